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


def hosts():
    keep("cookies", 'a=1; __Host-b="x"; %61=2; c=J\xfcrgen'.encode("latin-1"))
    for host in ["example.org:8080", "[2001:db8::1]:80", "[v1.a:b]", "a%20b", "https://example.org:443"]:
        keep("authority", host.encode())
    for value in ['for=192.0.2.43, for="[2001:db8:cafe::17]:4711";proto=https;host="a.b:80"', "for=_hidden", "203.0.113.9:80"]:
        keep("forwarded", value.encode())


def v3():
    """Writes the example of docs/protocol.md, and one message of each other kind."""
    page = (HERE.parent / "docs" / "protocol.md").read_text()
    example = [bytes.fromhex(block) for block in re.findall(r"```text\n([0-9a-f\n]+)```", page)]
    frames = {5: b'|parts|{"image":{"$bytes":0},"width":200}|parts|\xff\xd8\xff', 7: b'|parts|{"$bytes":0}|parts|\xff\xd8\xff'}
    fields = {6: [8, 7], 8: [8], 9: [7], 10: [26, 25], 11: [26, 7], 12: [], 13: [25], 14: [27]}
    others = [b"\xb2brb\x03" + bytes([kind, *bytes(24), *(b for field in numbers for b in (field, 0, 1, 1))])
              for kind, numbers in fields.items()]
    # Only a message with the lengths of its other frames has some.
    messages = [*(frame + (frames.get(frame[5], b"") if b"\x13\x00\x08" in frame else b"") for frame in example), *others]
    keep("v3_message", re.search(r'{"operations".*}', page)[0].encode())
    for message in messages:
        keep("v3_message", message)
        keep("v3_worker", len(message).to_bytes(2, "big") + message)
    requests = [message for message in messages if message[5] in (5, 8, 10, 13)]
    keep("v3_worker", b"".join(len(message).to_bytes(2, "big") + message for message in requests))


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


def forms():
    # The target decodes a form with the boundary `XX`. The first byte is the chunk size.
    for file in sorted((FIXTURES / "multipart").glob("*.http")):
        head, body = file.read_bytes().split(b"\r\n\r\n", 1)
        boundary = head.split(b"boundary=")[1].strip(b'"')
        keep("multipart", b"\x07" + body.replace(boundary, b"XX"))


def files():
    for path in [b"/static/a%20b.css", b"/a/../b", b"/.well-known/x", b"/%2e%2e%2f%00"]:
        keep("file_request", path + b"\n bytes=0-1,-5 , 7-\nm\"7.0-3e8\"\nnW/\"a\", *\nrSun, 06 Nov 1994 08:49:37 GMT\nebr;q=0.5, gzip")


service()
mongrel2()
forms()
v3()
zmtp()
strings()
hosts()
files()
for folder in sorted((HERE / "corpus").iterdir()):
    print(f"{len(list(folder.iterdir())):5} {folder.name}")
