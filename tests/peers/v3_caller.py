"""A caller of protocol v3, written from docs/protocol.md alone.

Makes one call of an operation after the other, with an image of random bytes, and prints the outcome, the status, whether it may have
run, the body, and the parts in hexadecimal.

    v3_caller.py tcp://127.0.0.1:9000 my_shared_secret OPERATION JSON [PART_IN_HEX ..]
"""

import json
import os
import sys
import time

import zmq
from v3_wire import *


class Caller:
    def __init__(self, address, passphrase):
        self.dealer, self.last_call = zmq.Context().socket(zmq.DEALER), 0
        self.dealer.linger = 0
        self.dealer.connect(address)
        hello = head(HELLO, {"version": VERSION, "nonce": os.urandom(32)})
        self.dealer.send(hello)
        challenge = self.receive()
        if challenge.kind == DENIED:
            sys.exit(f"denied {challenge.fields(0)['reason']}")
        assert challenge.kind == CHALLENGE and challenge.fields(0)["version"] == VERSION
        to_worker, to_caller = keys(passphrase.encode(), hello, challenge.head)
        self.channel = Channel(challenge.session, to_worker, to_caller)
        self.send(PROOF, {"heartbeat_interval": 10_000, "max_body": 8 << 20, "name": "in Python"})
        welcome = self.receive()
        if welcome.kind == DENIED:
            sys.exit(f"denied {welcome.fields(0)['reason']}")
        assert self.channel.accepts(welcome) and welcome.kind == WELCOME
        self.limit = welcome.fields()["limit"]

    def send(self, kind, fields, frames=()):
        self.dealer.send_multipart(self.channel.seal(kind, fields, frames))

    def receive(self):
        if not self.dealer.poll(20_000):
            sys.exit("no message")
        return Message(self.dealer.recv_multipart())

    def call(self, operation, body, parts):
        assert self.last_call < self.limit
        self.last_call += 1
        fields = {"request_id": self.last_call, "timeout": 10_000, "method": "request", "path": "/", "operation": operation}
        self.send(REQUEST, fields, [body, *parts])
        while True:
            message = self.receive()
            if not self.channel.accepts(message):
                continue
            fields = message.fields()
            self.limit = fields.get("limit", self.limit)
            if message.kind == RESPONSE and fields["request_id"] == self.last_call:
                return fields, message.frames


if __name__ == "__main__":
    address, passphrase, operation, body, *parts = sys.argv[1:]
    caller = Caller(address, passphrase)
    fields, frames = caller.call(operation, body.encode(), [bytes.fromhex(part) for part in parts])
    ran = fields.get("may_have_run", 1)
    body = frames[0].decode() if frames else ""
    print(fields["outcome"], fields.get("status"), ran, body, *(part.hex() for part in frames[1:]), flush=True)
    caller.send(BYE, {})
    # ZeroMQ sends in the background.
    caller.dealer.close(linger=1000)
