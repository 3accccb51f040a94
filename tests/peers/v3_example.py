"""Verifies the example of docs/protocol.md with Python's own HMAC.

    v3_example.py docs/protocol.md
"""

import hashlib
import hmac
import re
import sys


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def fields(head):
    """Returns the fields of a head without its code, by number."""
    rest, found = head[30:], {}
    while rest:
        length = int.from_bytes(rest[1:3], "big")
        found[rest[0]], rest = rest[3 : 3 + length], rest[3 + length :]
    return found


blocks = re.findall(r"```text\n([0-9a-f\n]+)```", open(sys.argv[1]).read())
hello, challenge, proof, welcome, request, value, timed_out = (bytes.fromhex(block) for block in blocks)
root = mac(b"my_shared_secret", b"brubeck v3", hello, challenge)
to_worker, to_caller = mac(root, b"to worker"), mac(root, b"to caller")
for key, head, frames in [
    (to_worker, proof, []),
    (to_caller, welcome, []),
    (to_worker, request, [b'{"image":{"$bytes":0},"width":200}', b"\xff\xd8\xff"]),
    (to_caller, value, [b'{"$bytes":0}', b"\xff\xd8\xff"]),
    (to_caller, timed_out, []),
]:
    assert mac(key, head[:-32], *frames) == head[-32:], head.hex()
    lengths = b"".join(len(frame).to_bytes(4, "big") for frame in frames)
    assert fields(head[:-32]).get(19, b"") == lengths, head.hex()
assert fields(hello)[3] == b"\x11" * 32 and fields(request[:-32])[14] == b"thumbs::resize"
assert fields(value[:-32])[20] == b"\x01" and fields(timed_out[:-32])[20] == b"\x06"
print("the example is right")
