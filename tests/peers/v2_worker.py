"""A worker of protocol v2, written from docs/protocol.md alone.

Serves `/service/echo` and `/service/sleep` on a ROUTER to any number of callers.

    v2_worker.py tcp://127.0.0.1:* my_shared_secret

Prints `ready ADDRESS`, a line for each request, failed call, refused caller and unreadable message, and `drained` at the end. Drains
and exits after a line on standard input, or when standard input ends.
"""

import hashlib
import hmac
import json
import os
import struct
import sys
import time

import zmq

MAGIC = b"\xb2\x62\x72\x62"
HELLO, CHALLENGE, PROOF, WELCOME, REQUEST, STARTED, REPLY, ERROR, CANCEL = range(1, 10)
CREDIT, PING, PONG, DRAINING, BYE, DENIED = range(10, 16)
HEAD = struct.Struct(">4sBBHQQQI")
SLOTS = 16
MAX_BODY = 8 << 20


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def text(size, value):
    data = value.encode()
    return struct.pack(size, len(data)) + data


class Fields:
    """Reads the fields of a message head in order."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise ValueError("a message cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def text(self, size):
        return self.take(self.number(size)).decode()

    def headers(self):
        return [(self.text(2), self.text(2)) for _ in range(self.number(1))]


class Session:
    """The session of one caller, from its `hello` on."""

    def __init__(self, passphrase, peer, hello):
        self.peer, self.hello, self.number = peer, hello, int.from_bytes(os.urandom(8), "big") or 1
        fields = struct.pack(">BI", 2, 0) + os.urandom(32)
        self.challenge = HEAD.pack(MAGIC, 2, CHALLENGE, 0, self.number, 0, 0, 0) + fields
        root = mac(passphrase, b"brubeck v2", hello, self.challenge)
        self.receives, self.sends = mac(root, b"to worker"), mac(root, b"to caller")
        self.sent = self.received = self.last_call = self.acknowledged = 0
        self.open, self.last_seen, self.peer_timeout, self.drain_notice, self.calls = False, time.monotonic(), 5.0, None, {}

    def seal(self, kind, fields, body=b""):
        self.sent += 1
        head = HEAD.pack(MAGIC, 2, kind, 0, self.number, self.sent, self.received, len(body)) + fields
        return [self.peer, head + mac(self.sends, head, body)] + ([body] if body else [])

    def accepts(self, head, counter, ack, body):
        if not hmac.compare_digest(mac(self.receives, head[:-32], body), head[-32:]) or counter <= self.received:
            return False
        self.received, self.acknowledged, self.last_seen = counter, ack, time.monotonic()
        return True

    def is_done(self):
        """The session was never open, or all its calls have ended and the caller has acknowledged the drain notice."""
        return not self.open or bool(self.drain_notice and self.acknowledged >= self.drain_notice and not self.calls)

    def limit(self):
        return struct.pack(">Q", self.last_call + max(0, SLOTS - len(self.calls)))


class Worker:
    def __init__(self, address, passphrase):
        self.passphrase, self.draining, self.sessions = passphrase.encode(), False, {}
        self.router = zmq.Context().socket(zmq.ROUTER)
        self.router.maxmsgsize, self.router.linger = MAX_BODY, 1000
        self.router.bind(address)
        print("ready", self.router.last_endpoint.decode(), flush=True)

    def send(self, session, kind, fields=b"", body=b""):
        self.router.send_multipart(session.seal(kind, fields, body))

    def receive(self, peer, head, body):
        magic, version, kind, flags, number, counter, ack, length = HEAD.unpack_from(head)
        if magic != MAGIC or version != 2 or length != len(body) or len(head) > 32 << 10:
            return
        session = self.sessions.get(peer)
        if kind == HELLO:
            if not session or session.hello != head:
                session = self.sessions[peer] = Session(self.passphrase, peer, head)
            return self.router.send_multipart([peer, session.challenge])
        if not session or session.number != number:
            return
        if not session.accepts(head, counter, ack, body):
            if kind == PROOF and not session.open:
                del self.sessions[peer]
                denied = HEAD.pack(MAGIC, 2, DENIED, 0, 0, 0, 0, 0) + b"\x01"
                self.router.send_multipart([peer, denied])
                print("denied", flush=True)
            return
        fields = Fields(head[HEAD.size : -32])
        if kind == PROOF:
            session.open, session.peer_timeout = True, 3 * fields.number(4) / 1000
            self.send(session, WELCOME, session.limit() + struct.pack(">I", MAX_BODY) + text("B", "in Python"))
        elif not session.open:
            return
        elif kind == REQUEST:
            self.request(session, flags, fields, body)
        elif kind == CANCEL:
            self.fail(session, fields.number(8), 8, "the caller cancelled it")
        elif kind == PING:
            stamp = fields.take(8)
            session.last_call = max(session.last_call, fields.number(8))
            self.send(session, PONG, stamp + session.limit())
        elif kind == BYE:
            del self.sessions[peer]

    def request(self, session, flags, fields, body):
        call, deadline, hops = fields.number(8), fields.number(4), fields.number(1)
        method, path = fields.text(1), fields.text(2)
        _traceparent, _tracestate, headers = fields.text(1), fields.text(2), fields.headers()
        if call <= session.last_call:
            return
        full, session.last_call = len(session.calls) >= SLOTS, call
        session.calls[call] = time.monotonic() + deadline / 1000
        if self.draining or full or hops > 16:
            code = 2 if self.draining else 1 if full else 3
            return self.fail(session, call, code, "not now")
        if flags & 2:
            self.send(session, STARTED, struct.pack(">Q", call) + session.limit())
        print(method, path, flush=True)
        if path == "/service/echo":
            self.reply(session, call, 200, "echoed", headers, body)
        elif path != "/service/sleep":
            self.reply(session, call, 404, "no such service", [], b"{}")

    def reply(self, session, call, status, message, headers, body):
        del session.calls[call]
        fields = struct.pack(">Q", call) + session.limit() + struct.pack(">i", status) + text(">H", message)
        fields += bytes([len(headers)]) + b"".join(text(">H", part) for pair in headers for part in pair)
        self.send(session, REPLY, fields, body)

    def fail(self, session, call, code, message):
        if session.calls.pop(call, None) is not None:
            print("ended", code, flush=True)
            fields = struct.pack(">Q", call) + session.limit() + struct.pack(">BI", code, 10) + text(">H", message)
            self.send(session, ERROR, fields)

    def tick(self):
        now = time.monotonic()
        for peer, session in list(self.sessions.items()):
            for call in [call for call, end in session.calls.items() if end <= now]:
                self.fail(session, call, 7, "it ran until its deadline")
            if now - session.last_seen > session.peer_timeout:
                if session.open:
                    self.send(session, BYE, struct.pack(">Q", session.last_call))
                del self.sessions[peer]
        if self.draining:
            for session in self.sessions.values():
                if session.open and session.drain_notice is None:
                    self.send(session, DRAINING)
                    session.drain_notice = session.sent
        return not (self.draining and all(session.is_done() for session in self.sessions.values()))

    def run(self):
        poller = zmq.Poller()
        poller.register(self.router, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        while self.tick():
            ready = dict(poller.poll(20))
            if sys.stdin.fileno() in ready:
                poller.unregister(sys.stdin.fileno())
                self.draining = True
            if self.router in ready:
                peer, *frames = self.router.recv_multipart()
                if len(frames) in (1, 2) and len(frames[0]) >= HEAD.size:
                    try:
                        self.receive(peer, frames[0], b"".join(frames[1:]))
                    except (ValueError, UnicodeDecodeError) as error:
                        print("unreadable", error, flush=True)
        self.router.close()
        print("drained", flush=True)


if __name__ == "__main__":
    Worker(sys.argv[1], sys.argv[2]).run()
