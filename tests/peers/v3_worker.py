"""A worker of protocol v3, written from docs/protocol.md alone.

Serves `/service/echo`, `/service/sleep` and the operation `thumbs::resize` on a ROUTER to any number of callers.

    v3_worker.py tcp://127.0.0.1:* my_shared_secret

Prints `ready ADDRESS`, a line for each request, failed call, refused caller and unreadable message, and `drained` at the end. Drains
and exits after a line on standard input, or when standard input ends.
"""

import json
import os
import sys
import time

import zmq
from v3_wire import *

SLOTS = 16
MAX_BODY = 8 << 20
VALUE, FAILURE, REJECTED, PANICKED, CANCELLED, TIMED_OUT, BUSY, DRAIN, REFUSED, TOO_LARGE, MALFORMED, FAILED = range(1, 13)


class Session:
    """The session of one caller, from its `hello` on."""

    def __init__(self, passphrase, peer, hello):
        self.peer, self.hello = peer, hello
        number = int.from_bytes(os.urandom(8), "big") or 1
        self.challenge = head(CHALLENGE, {"version": VERSION, "nonce": os.urandom(32)}, number)
        to_worker, to_caller = keys(passphrase, hello, self.challenge)
        self.channel, self.last_call, self.calls = Channel(number, to_caller, to_worker), 0, {}
        self.open, self.last_seen, self.peer_timeout, self.drain_notice = False, time.monotonic(), 5.0, None

    def is_done(self):
        """The session was never open, or all its calls have ended and the caller has acknowledged the drain notice."""
        return not self.open or bool(self.drain_notice and self.channel.acknowledged >= self.drain_notice and not self.calls)

    def limit(self):
        return self.last_call + max(0, SLOTS - len(self.calls))


class Worker:
    def __init__(self, address, passphrase):
        self.passphrase, self.draining, self.sessions = passphrase.encode(), False, {}
        self.router = zmq.Context().socket(zmq.ROUTER)
        self.router.maxmsgsize, self.router.linger = MAX_BODY, 1000
        self.router.bind(address)
        print("ready", self.router.last_endpoint.decode(), flush=True)

    def send(self, session, kind, fields, frames=()):
        self.router.send_multipart([session.peer, *session.channel.seal(kind, fields, frames)])

    def receive(self, peer, message):
        session, kind = self.sessions.get(peer), message.kind
        if kind == HELLO:
            if not session or session.hello != message.head:
                session = self.sessions[peer] = Session(self.passphrase, peer, message.head)
            return self.router.send_multipart([peer, session.challenge])
        if not session or session.channel.session != message.session:
            return
        if not session.channel.accepts(message):
            if kind == PROOF and not session.open:
                del self.sessions[peer]
                self.router.send_multipart([peer, head(DENIED, {"reason": 1})])
                print("denied", flush=True)
            return
        session.last_seen = time.monotonic()
        fields = message.fields()
        if kind == PROOF:
            session.open, session.peer_timeout = True, 3 * fields["heartbeat_interval"] / 1000
            self.send(session, WELCOME, {"limit": session.limit(), "max_body": MAX_BODY, "name": "in Python"})
        elif not session.open:
            return
        elif kind == REQUEST:
            self.request(session, fields, message.frames)
        elif kind == CANCEL:
            self.fail(session, fields["request_id"], CANCELLED, "the caller cancelled it", may_have_run=1)
        elif kind == PING:
            session.last_call = max(session.last_call, fields["last_request_id"])
            self.send(session, PONG, {"stamp": fields["stamp"], "limit": session.limit()})
        elif kind == BYE:
            del self.sessions[peer]

    def request(self, session, fields, frames):
        call, path, operation = fields["request_id"], fields.get("path", ""), fields.get("operation", "")
        if call <= session.last_call:
            return
        full, session.last_call = len(session.calls) >= SLOTS, call
        session.calls[call] = time.monotonic() + fields["timeout"] / 1000
        if self.draining or full or fields.get("hops", 0) > 16:
            return self.fail(session, call, DRAIN if self.draining else BUSY if full else REFUSED, "not now")
        if fields.get("flags", 0) & 2:
            self.send(session, ACCEPTED, {"request_id": call, "limit": session.limit()})
        print(fields["method"], path, flush=True)
        if operation == "thumbs::resize":
            arguments = json.loads(frames[0])
            image = frames[1 + arguments["image"]["$bytes"]]
            if not image:
                return self.reply(session, call, FAILURE, 422, "", [], [b'{"why":"no image"}'])
            self.reply(session, call, VALUE, 200, "OK", [], [b'{"$bytes":0}', image[: arguments["width"]]])
        elif operation:
            self.reply(session, call, REJECTED, 404, "no operation " + operation, [], [b"{}"])
        elif path == "/service/echo":
            self.reply(session, call, VALUE, 200, "echoed", fields["header"], frames)
        elif path == "/service/panic":
            self.reply(session, call, PANICKED, 500, "Internal Server Error", [], [b"{}"])
        elif path != "/service/sleep":
            self.reply(session, call, REJECTED, 404, "no such service", [], [b"{}"])

    def reply(self, session, call, outcome, status, message, headers, frames):
        del session.calls[call]
        fields = {"request_id": call, "limit": session.limit(), "outcome": outcome, "status": status, "message": message}
        if outcome != VALUE:
            fields["may_have_run"] = int(outcome != REJECTED)
        self.send(session, RESPONSE, {**fields, "header": headers}, frames)

    def fail(self, session, call, outcome, message, may_have_run=0):
        if session.calls.pop(call, None) is not None:
            print("ended", outcome, flush=True)
            fields = {"request_id": call, "limit": session.limit(), "outcome": outcome, "may_have_run": may_have_run}
            self.send(session, RESPONSE, {**fields, "retry_after": 10, "message": message})

    def tick(self):
        now = time.monotonic()
        for peer, session in list(self.sessions.items()):
            for call in [call for call, end in session.calls.items() if end <= now]:
                self.fail(session, call, TIMED_OUT, "it ran until its deadline", may_have_run=1)
            if now - session.last_seen > session.peer_timeout:
                if session.open:
                    self.send(session, BYE, {"last_request_id": session.last_call})
                del self.sessions[peer]
        if self.draining:
            for session in self.sessions.values():
                if session.open and session.drain_notice is None:
                    self.send(session, DRAINING, {})
                    session.drain_notice = session.channel.sent
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
                try:
                    self.receive(peer, Message(frames))
                except (ValueError, LookupError, UnicodeDecodeError) as error:
                    print("unreadable", error, flush=True)
        self.router.close()
        print("drained", flush=True)


if __name__ == "__main__":
    Worker(sys.argv[1], sys.argv[2]).run()
