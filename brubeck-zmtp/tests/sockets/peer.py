"""A peer on libzmq: one socket, driven by JSON lines on standard input.

usage: peer.py TYPE bind|connect ENDPOINT [OPTION=VALUE ..]

Prints the endpoint, then one line for each executed command.
"""

import json
import sys

import zmq

kind, how, endpoint, *options = sys.argv[1:]
socket = zmq.Context().socket(getattr(zmq, kind))
socket.linger = 0
for option in options:
    name, value = option.split("=", 1)
    value = value.encode() if name in ("IDENTITY", "SUBSCRIBE") else int(value)
    socket.setsockopt(getattr(zmq, name), value)
getattr(socket, how)(endpoint)


def answer(value):
    print(json.dumps(value), flush=True)


answer(socket.last_endpoint.rstrip(b"\0").decode())
for line in sys.stdin:
    command, argument = json.loads(line)
    if command == "send":
        socket.send_multipart([bytes.fromhex(frame) for frame in argument])
        answer(None)
    elif command == "send_zeros":
        socket.send_multipart([bytes(size) for size in argument])
        answer(None)
    elif command == "recv":
        answer([frame.hex() for frame in socket.recv_multipart()])
    elif command == "recv_sizes":
        answer([len(frame) for frame in socket.recv_multipart()])
    elif command == "echo":
        for _ in range(argument):
            socket.send_multipart(socket.recv_multipart())
        answer(None)
    elif command == "unsubscribe":
        socket.unsubscribe(argument)
        answer(None)
