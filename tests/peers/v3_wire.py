"""The messages of protocol v3, written from docs/protocol.md alone."""

import struct

MAGIC, VERSION = b"\xb2\x62\x72\x62", 3
HELLO, WELCOME, REQUEST, ACCEPTED, RESPONSE = 1, 4, 5, 6, 7
CREDIT, PING, PONG, DRAINING, BYE, DENIED = range(9, 15)
CANCEL = 8
FIELDS = {
    "version": 1, "features": 2, "name": 4, "heartbeat_interval": 5, "max_body": 6, "limit": 7, "request_id": 8,
    "timeout": 9, "hops": 10, "flags": 11, "method": 12, "path": 13, "operation": 14, "contract": 15, "header": 16,
    "traceparent": 17, "tracestate": 18, "lengths": 19, "outcome": 20, "status": 21, "message": 22, "may_have_run": 23,
    "retry_after": 24, "last_request_id": 25, "stamp": 26, "reason": 27, "codec": 28, "contracts": 41,
}
NAMES = {number: name for name, number in FIELDS.items()}
TEXTS = {"name", "method", "path", "operation", "traceparent", "tracestate", "message"}
HEAD = struct.Struct(">4sBBQQQ")


def digest(text):
    """FNV-1a with 64 bits."""
    number = 0xCBF29CE484222325
    for byte in text.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return number


def encode_fields(fields):
    encoded = []
    for name, value in fields.items():
        for value in value if name == "header" else [value]:
            if name == "header":
                value = struct.pack(">H", len(value[0].encode())) + value[0].encode() + value[1].encode()
            elif name == "status":
                value = struct.pack(">i", value)
            elif isinstance(value, int):
                value = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
            elif isinstance(value, str):
                value = value.encode()
            encoded.append(struct.pack(">BH", FIELDS[name], len(value)) + value)
    return b"".join(encoded)


def decode_fields(data):
    fields, at = {"header": []}, 0
    while at < len(data):
        tag, length = struct.unpack_from(">BH", data, at)
        at += 3 + length
        if at > len(data):
            raise ValueError("a field cut short")
        value, name = data[at - length : at], NAMES.get(tag & 0x7F)
        if name is None and tag & 0x80:
            raise ValueError("an unknown field that is required")
        if name == "header":
            size = int.from_bytes(value[:2], "big")
            fields["header"].append((value[2 : 2 + size].decode(), value[2 + size :].decode()))
        elif name in fields:
            raise ValueError("a field that occurs twice")
        elif name in TEXTS:
            fields[name] = value.decode()
        elif name == "status":
            fields[name] = struct.unpack(">i", value)[0]
        elif name in ("lengths", "contracts"):
            fields[name] = value
        elif name is not None:
            if not 1 <= length <= 8:
                raise ValueError("a number of the wrong length")
            fields[name] = int.from_bytes(value, "big")
    return fields


def head(kind, fields, session=0, counter=0, ack=0):
    return HEAD.pack(MAGIC, VERSION, kind, session, counter, ack) + encode_fields(fields)


class Message:
    """A received message. Its fields are not checked yet."""

    def __init__(self, frames):
        self.head, self.frames = frames[0], frames[1:]
        if not HEAD.size <= len(self.head) <= 32 << 10 or len(self.frames) > 65:
            raise ValueError("a head of the wrong size")
        magic, version, self.kind, self.session, self.counter, self.ack = HEAD.unpack_from(self.head)
        if magic != MAGIC or version != VERSION:
            raise ValueError("another protocol")

    def fields(self):
        fields = decode_fields(self.head[HEAD.size :])
        if fields.get("lengths", b"") != b"".join(struct.pack(">I", len(frame)) for frame in self.frames):
            raise ValueError("frames with other lengths")
        return fields


class Channel:
    """One side of an open session."""

    def __init__(self, session, received=0):
        self.session, self.received = session, received
        self.sent = self.acknowledged = 0

    def encode(self, kind, fields, frames=()):
        """Returns the frames of a message. `frames` are the body and its parts."""
        self.sent += 1
        if frames:
            fields = {**fields, "lengths": b"".join(struct.pack(">I", len(frame)) for frame in frames)}
        return [head(kind, fields, self.session, self.sent, self.received), *frames]

    def accepts(self, message):
        if message.session != self.session or message.counter <= self.received:
            return False
        self.received, self.acknowledged = message.counter, message.ack
        return True
