"""A service like the originals: responds to some requests, rejects some with -1, and ignores others.

Prints `ready` when it accepts requests, then the reason for each request that it ignores.
"""

import argparse
import sys

import zmq
import wire

parser = argparse.ArgumentParser()
parser.add_argument("dialect", choices=wire.REQUEST)
parser.add_argument("passphrase")
parser.add_argument("address")
parser.add_argument("responses", nargs="?")
arguments = parser.parse_args()
dialect = arguments.dialect

context = zmq.Context()
router = context.socket(zmq.ROUTER)
router.linger = 1000
if wire.in_band(dialect):
    # Connects the socket for requests first, like the original. The response to a request that arrives before the other socket is
    # connected is lost.
    incoming = context.socket(zmq.PULL)
    incoming.connect(arguments.address)
    router.connect(arguments.responses)
else:
    incoming = router
    router.bind(arguments.address)

together = []


def send(request, data):
    router.send_multipart([request["sender"], b"", data])


def reply(request, code, message, payload, **other):
    body = dict(payload, status_code=code, status_msg=message, timestamp=wire.now())
    send(request, wire.response(dialect, request, code, message, body, **other))


def echo(request):
    reply(request, 200, "OK", {"RETURN_DATA": request["arguments"]["RETURN_DATA"]})


def status(request):
    arguments = request["arguments"]
    reply(request, arguments["CODE"], arguments["MSG"], {"k": "v"})


def envelope(request):
    shown = dict(request, sender=request["sender"].decode("latin1"))
    reply(request, 200, "OK", {"request": shown})


def gather(request):
    """Responds when all requests have arrived, to the last one first."""
    together.append(request)
    if len(together) == request["arguments"]["ALL"]:
        while together:
            echo(together.pop())


def garbage(request):
    """Sends invalid responses before and after a valid one."""
    good = wire.response(dialect, request, 200, "OK", {"RETURN_DATA": "good"})
    stranger = dict(request, conn_id="0" * 32)
    for data in [
        b"",
        b" ",
        b"garbage",
        b"\xff\xfe\x00",
        b"sender 999999999999999:x",
        good[:-40].replace(request["conn_id"].encode(), b"1" * len(request["conn_id"])),
        wire.response(dialect, stranger, 200, "OK", {"RETURN_DATA": "stray"}),
        wire.response(dialect, request, 200, "OK", {"RETURN_DATA": "forged"}, passphrase="guessed"),
        wire.response(dialect, request, 200, "OK", {"RETURN_DATA": "forged"}, path="/"),
        good,
        b"garbage",
        good,
    ]:
        send(request, data)
    router.send_multipart([request["sender"], b"", b"many", b"frames"])


def forge(request):
    send(request, wire.response(dialect, request, 200, "OK", {"RETURN_DATA": "forged"}, passphrase="guessed"))


def broken(request):
    """A response with a valid envelope and an invalid status."""
    send(request, wire.response(dialect, request, "two hundred", "OK", {}))


def foreign(request):
    """A response like those of services in other languages: raw texts, and timestamps in seconds."""
    stamp = wire.now() // 1000
    send(
        request,
        wire.response(
            dialect, request, 200, b"success", b"hello from afar!", raw=True, start_timestamp=stamp, end_timestamp=stamp
        ),
    )


def listing(request):
    send(request, wire.response(dialect, request, 200, "OK", [1, "two", None]))


def fault(_):
    raise RuntimeError("on purpose")


def leave(_):
    sys.exit(0)


ROUTES = [
    ("/service/echo", echo),
    ("/service/status", status),
    ("/service/envelope", envelope),
    ("/service/gather", gather),
    ("/service/garbage", garbage),
    ("/service/forge", forge),
    ("/service/broken", broken),
    ("/service/foreign", foreign),
    ("/service/listing", listing),
    ("/service/fault", fault),
    ("/service/leave", leave),
]


def answer(frames):
    if wire.in_band(dialect):
        request = wire.read_request(dialect, b"".join(frames))
    else:
        # The originals join all frames, with the identity in front.
        identity, *payload = frames
        request = wire.read_request(dialect, b"".join(payload), identity)
    if request["passphrase"] != arguments.passphrase:
        print("another passphrase", flush=True)
        return
    route = next((handler for path, handler in ROUTES if request["path"].startswith(path)), None)
    if route is None:
        print("no such path", flush=True)
        return
    try:
        if request["method"] != "request":
            raise RuntimeError("no such method")
        route(request)
    except Exception:
        reply(request, -1, "Bad request", {})


print("ready", flush=True)
while True:
    frames = incoming.recv_multipart()
    try:
        answer(frames)
    except (wire.Malformed, ValueError) as error:
        print(f"malformed: {error}", flush=True)
