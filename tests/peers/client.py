"""A client like the originals. Runs its cases against a service.

Prints `ok NAME` or `failed NAME: why` for each case, and `done` at the end. Prints `stop` or `start` to have the service stopped or
started, then waits for a line on standard input.
"""

import argparse
import json
import pathlib
import sys
import traceback
import uuid

import zmq
import wire
from zmq.utils.monitor import recv_monitor_message

parser = argparse.ArgumentParser()
parser.add_argument("dialect", choices=wire.REQUEST)
parser.add_argument("passphrase")
parser.add_argument("address")
parser.add_argument("responses", nargs="?")
options = parser.parse_args()
dialect = options.dialect

CORPUS = json.loads((pathlib.Path(__file__).parent / "corpus.json").read_text("ascii"))

context = zmq.Context()
dealer = context.socket(zmq.DEALER)
identity = uuid.uuid4().hex if wire.in_band(dialect) else str(uuid.uuid4())
dealer.identity = identity.encode()
dealer.rcvtimeo = 20_000
if wire.in_band(dialect):
    outgoing = context.socket(zmq.PUSH)
    outgoing.bind(options.address)
    dealer.bind(options.responses)
else:
    outgoing = dealer
    dealer.connect(options.address)
for socket in (outgoing, dealer):
    socket.sndtimeo = 20_000
    socket.linger = 0


def send(path, arguments, passphrase=options.passphrase, **other):
    fields, data = wire.request(dialect, identity, passphrase, path, arguments, **other)
    outgoing.send(data)
    return fields


def receive():
    frames = dealer.recv_multipart()
    assert frames[0] == b"" and len(frames) == 2, frames
    return wire.read_response(dialect, frames)


def call(path, arguments, **other):
    sent = send(path, arguments, **other)
    got = receive()
    assert got["conn_id"] == sent["conn_id"], (sent, got)
    return sent, got


def equal(got, wanted):
    assert got == wanted and type(got) is type(wanted), f"got {got!r:.300}, wanted {wanted!r:.300}"


def echoed(value):
    sent, got = call("/service/echo", {"RETURN_DATA": value})
    equal(got["status_code"], 200)
    equal(got["body"]["RETURN_DATA"], value)
    return sent, got


def status_is(got, code):
    equal(got["status_code"], code)
    if isinstance(got["body"], dict):
        equal(got["body"]["status_code"], code)
        equal(got["body"]["status_msg"], got["status_msg"])


# ---- cases -----------------------------------------------------------------------------------------------------


def first_call():
    echoed("the very first")


def sync():
    before = wire.now()
    sent, got = echoed("hello")
    after = wire.now()
    for name in ("passphrase", "origin_conn_id", "origin_out_addr", "origin_sender_id", "path", "conn_id"):
        equal(got[name], sent[name])
    equal(got["method"], "response")
    equal(got["sender"], identity.encode())
    if dialect != "seed":
        assert before - 1 <= int(got["start_timestamp"]) <= int(got["end_timestamp"]) <= after + 1, got
    if wire.in_band(dialect):
        equal(int(got["request_timestamp"]), sent["request_timestamp"])
    if dialect == "pypi01x":
        equal(got["handle_response"], "1")
    assert before - 1 <= got["body"]["timestamp"] <= after + 1, got


def nowait():
    """Responses to unawaited requests arrive, in any order."""
    sent = [send("/service/echo", {"RETURN_DATA": n}) for n in range(10)]
    got = [receive() for _ in sent]
    equal(sorted(one["conn_id"] for one in got), sorted(one["conn_id"] for one in sent))
    equal(sorted(one["body"]["RETURN_DATA"] for one in got), list(range(10)))


def many():
    """256 requests in flight: the service responds to none before it has received all."""
    sent = {send("/service/gather", {"RETURN_DATA": n})["conn_id"]: n for n in range(256)}
    for _ in range(256):
        got = receive()
        equal(got["status_code"], 200)
        equal(got["body"]["RETURN_DATA"], sent.pop(got["conn_id"]))
    equal(sent, {})


def one_megabyte():
    echoed("x" * 1_000_000)
    echoed("é" * 500_000)


def unicode():
    for text in ["café", "日本語", "\U0001f98a", "\u0000\u001f\u007f\u2028\u2029", '"\\/\b\f\n\r\t', "100:abc 5:x,"]:
        echoed(text)
    _, got = call("/service/echo/café", {"RETURN_DATA": 1})
    equal(got["path"], "/service/echo/café")
    # JSON may contain raw UTF-8 instead of escapes.
    if dialect != "seed":
        raw = json.dumps({"RETURN_DATA": "日本語"}, ensure_ascii=False).encode()
        _, got = call("/service/echo", raw)
        equal(got["body"]["RETURN_DATA"], "日本語")


def corpus():
    for value in CORPUS:
        echoed(value)
    # Half of a surrogate pair is not a character: the request is rejected, and the service continues.
    _, got = call("/service/echo", {"RETURN_DATA": "\ud83e"})
    status_is(got, 400)
    echoed("still there")


def status():
    for code, message in [(200, "Took a while, but I am back."), (500, "it broke"), (201, "201"), (-1, 'a "quote"')]:
        _, got = call("/service/status", {"CODE": code, "MSG": message})
        status_is(got, code)
        equal(got["status_msg"], message)
        equal(got["body"]["k"], "v")
    _, got = call("/service/status", {"CODE": 200, "MSG": "café"})
    equal(got["status_msg"], "caf?" if dialect == "seed" else "café")
    equal(got["body"]["status_msg"], "café")


def errors():
    status_is(call("/service/fault", {})[1], 500)
    status_is(call("/none", {})[1], 404)
    status_is(call("/service/echo", {}, method="delete")[1], 405)
    status_is(call("/service/echo", {}, method="brew")[1], 400)
    status_is(call("/service/echo", {"OTHER": 1})[1], 400)
    echoed("still there")


def passphrase():
    _, got = call("/service/echo", {"RETURN_DATA": "hello"}, passphrase="guessed")
    status_is(got, 401)
    assert "RETURN_DATA" not in got["body"], got
    assert options.passphrase not in json.dumps({name: str(value) for name, value in got.items()}), got
    echoed("still there")


def malformed():
    _, good = wire.request(dialect, identity, options.passphrase, "/service/echo", {"RETURN_DATA": "good"})
    front = b"" if dialect == "pypi01x" else b" "
    sender = identity.encode() + b" " if wire.in_band(dialect) else b""
    silent = [
        b"",
        b" ",
        b"garbage",
        b"\xff\xfe\x00\x80",
        front + sender,
        front + sender + b"5:abc",
        front + sender + b"-1:x " + b"1:a " * 8,
        front + sender + b"99999999999:x",
        front + sender + b"0x2:ab ",
        front + sender + b"1:a" * 40,
        good[: len(good) // 4],
        b"x" * 100_000,
    ]
    for data in silent:
        outgoing.send(data)
        echoed("between")
    # If the envelope is valid, an otherwise invalid request is answered with 400.
    for data in [good[:-1], good + b"surplus"]:
        outgoing.send(data)
        status_is(receive(), 400)
    if dialect != "seed":
        for arguments in [b"{", b"[1]", b"null", b'"text"', b'{"RETURN_DATA":"\xff"}', b"[" * 5000 + b"]" * 5000]:
            status_is(call("/service/echo", arguments)[1], 400)
    outgoing.send_multipart([b"many", b"frames", b"of", b"garbage"])
    outgoing.send(good)
    equal(receive()["body"]["RETURN_DATA"], "good")
    # Whitespace after the tail is accepted, and in pypi also before the message.
    for data in [good + b" \r\n"] + ([b"  \n" + good] if dialect == "pypi" else []):
        outgoing.send(data)
        equal(receive()["body"]["RETURN_DATA"], "good")


def envelope():
    """The request as its handler sees it."""
    sent, got = call(
        "/service/envelope", {"a": 1}, headers={"X-Trace": "7", "n": 1}, body={"b": [2]}, method="Request"
    )
    seen = got["body"]
    equal(seen["body"], {"a": 1, "b": [2]} if dialect == "seed" else {"b": [2]})
    equal(seen["arguments"], {} if dialect == "seed" else {"a": 1})
    equal(seen["trace"], "7")
    equal(seen["method"], "request")
    equal(got["headers"].get("x-answered"), "yes")


def restart():
    echoed("before")
    events = outgoing.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    for command, event in [("stop", zmq.EVENT_DISCONNECTED), ("start", zmq.EVENT_HANDSHAKE_SUCCEEDED)]:
        print(command, flush=True)
        sys.stdin.readline()
        # A PUSH loses what it sends to a service that is gone, until libzmq closes the pipe to that service. libzmq reports the
        # disconnection before it closes the pipe. The handshake of a later connection proves that the pipe is closed.
        if wire.in_band(dialect):
            assert events.poll(20_000), f"no event after {command}"
            equal(recv_monitor_message(events)["event"], event)
    outgoing.disable_monitor()
    for n in range(20):
        echoed(n)


failed = 0
for case in [
    first_call,
    sync,
    nowait,
    many,
    one_megabyte,
    unicode,
    corpus,
    status,
    envelope,
    errors,
    passphrase,
    malformed,
    restart,
]:
    try:
        case()
        print(f"ok {case.__name__}", flush=True)
    except Exception as error:
        failed += 1
        traceback.print_exc()
        print(f"failed {case.__name__}: {type(error).__name__} {str(error)[:400]!r}", flush=True)
        # Discard responses that are still in flight for this case.
        while dealer.poll(200):
            dealer.recv_multipart()
print("done", flush=True)
sys.exit(failed)
