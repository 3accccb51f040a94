"""A caller of protocol v3, written from docs/protocol.md alone.

Makes one call of an operation after the other, with an image of random bytes, and prints the outcome, the status, whether it may have
run, the body, and the parts in hexadecimal.

    v3_caller.py tcp://127.0.0.1:9000 KEY.pem OPERATION JSON [PART_IN_HEX ..]
"""

import sys

from v3_sockets import connect
from v3_wire import *


class Caller:
    def __init__(self, address, key_file):
        self.worker, self.last_call = connect(address, key_file), 0
        hello = {"version": VERSION, "heartbeat_interval": 10_000, "max_body": 8 << 20, "name": "in Python"}
        self.worker.send([head(HELLO, hello)])
        welcome = self.receive()
        if welcome.kind == DENIED:
            sys.exit(f"denied {welcome.fields()['reason']}")
        assert welcome.kind == WELCOME and welcome.fields()["version"] == VERSION
        self.channel = Channel(welcome.session, welcome.counter)
        self.limit = welcome.fields()["limit"]

    def send(self, kind, fields, frames=()):
        self.worker.send(self.channel.encode(kind, fields, frames))

    def receive(self):
        return Message(self.worker.receive())

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
    address, key_file, operation, body, *parts = sys.argv[1:]
    caller = Caller(address, key_file)
    fields, frames = caller.call(operation, body.encode(), [bytes.fromhex(part) for part in parts])
    ran = fields.get("may_have_run", 1)
    body = frames[0].decode() if frames else ""
    print(fields["outcome"], fields.get("status"), ran, body, *(part.hex() for part in frames[1:]), flush=True)
    caller.send(BYE, {})
    caller.worker.close()
