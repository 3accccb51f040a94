"""A worker of protocol v3, written from docs/protocol.md alone.

Serves `/service/echo`, `/service/sleep` and the operations `thumbs::resize` and `brubeck::operations` to any number of callers.

    v3_worker.py tcp://127.0.0.1:0 KEY.pem

Prints `ready ADDRESS`, a line for each request, failed call, refused caller and unreadable message, and `drained` at the end. Drains
and exits after a line on standard input, or when standard input ends.
"""

import json
import os
import sys
import time

from v3_sockets import Listener
from v3_wire import *

SLOTS = 16
MAX_BODY = 8 << 20
VALUE, FAILURE, REJECTED, PANICKED, CANCELLED, TIMED_OUT, BUSY, DRAIN, REFUSED, TOO_LARGE, MALFORMED, FAILED = range(1, 13)

NAME, ARGUMENTS, RESULT, ERROR = "thumbs::resize", {"image": "Bytes", "width": "u64"}, "Bytes", "Refusal"
DECLARATION = digest("\n".join([NAME, *(f"{name}: {of}" for name, of in ARGUMENTS.items()), RESULT, ERROR]))
ARGUMENT_LIST = [{"name": name, "type": of} for name, of in ARGUMENTS.items()]
LIST = [{"name": NAME, "digest": f"{DECLARATION:016x}", "arguments": ARGUMENT_LIST, "result": RESULT, "error": ERROR}]


class Session:
    """The session of one caller."""

    def __init__(self, peer, heartbeat_interval):
        self.peer, self.channel = peer, Channel(int.from_bytes(os.urandom(8), "big") or 1)
        self.last_call, self.calls, self.last_seen, self.drain_notice = 0, {}, time.monotonic(), None
        self.peer_timeout = 3 * heartbeat_interval / 1000

    def is_done(self):
        """All its calls have ended and the caller has acknowledged the drain notice."""
        return bool(self.drain_notice and self.channel.acknowledged >= self.drain_notice and not self.calls)

    def limit(self):
        return self.last_call + max(0, SLOTS - len(self.calls))


class Worker:
    def __init__(self, address, key_file):
        self.draining, self.sessions = False, {}
        self.listener = Listener(address, key_file)
        print("ready", self.listener.endpoint, flush=True)

    def send(self, session, kind, fields, frames=()):
        session.peer.send(session.channel.encode(kind, fields, frames))

    def receive(self, peer, message):
        session, kind = self.sessions.get(peer), message.kind
        if kind == HELLO and not session:
            fields = message.fields()
            if fields["version"] < VERSION:
                return peer.send([head(DENIED, {"reason": 2})])
            session = self.sessions[peer] = Session(peer, fields["heartbeat_interval"])
            welcome = {"version": VERSION, "limit": session.limit(), "max_body": MAX_BODY, "name": "in Python"}
            contracts = digest(NAME).to_bytes(8, "big") + DECLARATION.to_bytes(8, "big")
            return self.send(session, WELCOME, {**welcome, "contracts": contracts})
        if not session or not session.channel.accepts(message):
            return
        session.last_seen = time.monotonic()
        fields = message.fields()
        if kind == REQUEST:
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
        if operation == "brubeck::operations":
            body = json.dumps({"operations": LIST, "omitted": 0}).encode()
            return self.reply(session, call, VALUE, 200, "OK", [], [body])
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
                self.send(session, BYE, {"last_request_id": session.last_call})
                del self.sessions[peer]
        if self.draining:
            for session in self.sessions.values():
                if session.drain_notice is None:
                    self.send(session, DRAINING, {})
                    session.drain_notice = session.channel.sent
        return not (self.draining and all(session.is_done() for session in self.sessions.values()))

    def run(self):
        while self.tick():
            peers, commands = self.listener.poll(0.02, *([] if self.draining else [sys.stdin]))
            self.draining |= bool(commands)
            for peer in peers:
                try:
                    self.receive(peer, Message(peer.receive()))
                except (ValueError, LookupError, UnicodeDecodeError) as error:
                    print("unreadable", error, flush=True)
                except OSError:
                    self.sessions.pop(peer, None)
                    self.listener.drop(peer)
        print("drained", flush=True)


if __name__ == "__main__":
    Worker(*sys.argv[1:3]).run()
