"""Verifies the example of docs/protocol.md with Python's own HMAC.

    v2_example.py docs/protocol.md
"""

import hashlib
import hmac
import re
import sys


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


blocks = re.findall(r"```text\n([0-9a-f\n]+)```", open(sys.argv[1]).read())
hello, challenge, proof, welcome, request, reply = (bytes.fromhex(block) for block in blocks)
root = mac(b"my_shared_secret", b"brubeck v2", hello, challenge)
to_worker, to_caller = mac(root, b"to worker"), mac(root, b"to caller")
for key, frame, body in [
    (to_worker, proof, b""),
    (to_caller, welcome, b""),
    (to_worker, request, b"{}"),
    (to_caller, reply, b"{}"),
]:
    assert mac(key, frame[:-32], body) == frame[-32:], frame.hex()
print("the example is right")
