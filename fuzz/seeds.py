#!/usr/bin/env python3
"""Writes the captures of the test suite into fuzz/corpus, in one directory per target and in the format of the target."""

import hashlib
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tests" / "fixtures"


def keep(target, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def frames(capture, joined):
    at = 0
    for size in capture["frame_sizes"]:
        yield joined[at : at + size]
        at += size


def service():
    folder = FIXTURES / "service"
    for capture in json.loads((folder / "index.json").read_text()):
        # The payload is the last frame. Frames before it depend on the socket type.
        *_, payload = frames(capture, (folder / capture["file"]).read_bytes())
        keep(f"{capture['dialect']}_{capture['kind']}", payload)
        keep("lenstr", payload.lstrip(b" "))


def mongrel2():
    folder = FIXTURES / "mongrel2"
    for capture in json.loads((folder / "index.json").read_text()):
        frame = (folder / capture["file"]).read_bytes()
        if capture["kind"] == "request":
            keep("mongrel2_request", frame)
            head = frame.split(b" ", 3)
            if len(head) == 4:
                keep("netstring", head[3])
                keep("tnetstring", head[3])
        elif capture["kind"] == "reply":
            keep("mongrel2_reply", frame)


def v2():
    """Writes the example of docs/protocol.md, and one message of each other kind, without authentication codes."""
    page = (HERE.parent / "docs" / "protocol.md").read_text()
    example = [bytes.fromhex(block) for block in re.findall(r"```text\n([0-9a-f\n]+)```", page)]
    fields = {6: 16, 8: 23, 9: 8, 10: 8, 11: 16, 12: 16, 13: 0, 14: 8, 15: 1}
    others = [b"\xb2brb\x02" + bytes([kind, *bytes(30), *b"\1" * size]) for kind, size in fields.items()]
    messages = [frame + b"{}" * (frame[35] // 2) for frame in [
        *(frame if frame[5] in (1, 2) else frame[:-32] for frame in example), *others]]
    for message in messages:
        keep("v2_message", message)
        keep("v2_worker", len(message).to_bytes(2, "big") + message)
    requests = [message for message in messages if message[5] in (5, 9, 11, 14)]
    keep("v2_worker", b"".join(len(message).to_bytes(2, "big") + message for message in requests))


def zmtp():
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
    ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me"
    ready = b"\x04" + bytes([len(ready)]) + ready
    keep("zmtp_handshake", greeting + ready)
    keep("zmtp_handshake", ready)
    # The first byte is the chunk size.
    for frames in [b"\x01\x01a\0\x01b", b"\x04\x0a\x04PING\0\x0aabc", b"\x04\x0f\x09SUBSCRIBEtopic",
                   b"\x03" + (300).to_bytes(8, "big") + bytes(300) + b"\0\0"]:
        keep("zmtp_frames", b"\x07" + frames)


def strings():
    keep("netstring", b"5:hello,0:,")
    for text in [b"0:}", b"8:1:a,1:1#}", b"5:hello,", b"4:true!", b"0:~", b"0:]", b"4:1:1#]", b"3:1.5^"]:
        keep("tnetstring", text)


service()
mongrel2()
v2()
zmtp()
strings()
for folder in sorted((HERE / "corpus").iterdir()):
    print(f"{len(list(folder.iterdir())):5} {folder.name}")
