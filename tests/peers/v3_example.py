"""Decodes the example of docs/protocol.md.

    v3_example.py docs/protocol.md
"""

import re
import sys

from v3_wire import *

blocks = re.findall(r"```text\n([0-9a-f\n]+)```", open(sys.argv[1]).read())
hello, welcome, request, value, timed_out, request_of_list = (bytes.fromhex(block) for block in blocks)
contracts = digest("thumbs::resize").to_bytes(8, "big") + bytes.fromhex("1122334455667788")
for data, kind, frames, expected in [
    (hello, HELLO, [], {"version": 3, "heartbeat_interval": 1000, "name": "demo"}),
    (welcome, WELCOME, [], {"version": 3, "limit": 128, "name": "slow", "contracts": contracts}),
    (request, REQUEST, [b'{"image":{"$bytes":0},"width":200}', b"\xff\xd8\xff"], {"operation": "thumbs::resize"}),
    (value, RESPONSE, [b'{"$bytes":0}', b"\xff\xd8\xff"], {"outcome": 1}),
    (timed_out, RESPONSE, [], {"outcome": 6}),
    (request_of_list, REQUEST, [], {"request_id": 2, "operation": "brubeck::operations"}),
]:
    message = Message([data, *frames])
    fields = message.fields()
    assert message.kind == kind and expected.items() <= fields.items(), fields
print("the example is right")
