"""The legacy service protocol, written from its description; shares no code with brubeck.

Parses as strictly as the originals: they split the envelope at spaces before they parse lengths, some cannot parse an empty
field, and all expect ASCII in JSON.
"""

import json
import time
import uuid

REQUEST = {
    "seed": "conn_id passphrase origin_sender_id origin_conn_id origin_out_addr path",
    "branch": "conn_id start_timestamp end_timestamp passphrase origin_sender_id origin_conn_id origin_out_addr path method",
    "pypi": "conn_id request_timestamp passphrase origin_sender_id origin_conn_id origin_out_addr path method",
    "pypi01x": "conn_id request_timestamp passphrase origin_sender_id origin_conn_id origin_out_addr handle_response"
    " path method",
}
RESPONSE = {
    "seed": REQUEST["seed"],
    "branch": REQUEST["branch"],
    "pypi": "conn_id request_timestamp start_timestamp end_timestamp passphrase origin_sender_id origin_conn_id"
    " origin_out_addr path method",
    "pypi01x": "conn_id request_timestamp start_timestamp end_timestamp passphrase origin_sender_id origin_conn_id"
    " origin_out_addr handle_response path method",
}


class Malformed(Exception):
    pass


def in_band(dialect):
    """Returns True if requests carry their sender, because they arrive on a PULL."""
    return dialect in ("pypi", "pypi01x")


def now():
    return int(time.time() * 1000)


def dumps(value):
    """Encodes like ujson 1.35: no whitespace, ASCII only, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def lenstr(value):
    value = value if isinstance(value, bytes) else str(value).encode("utf-8")
    return b"%d:%s" % (len(value), value)


def take(data, dialect):
    length, colon, rest = data.partition(b":")
    if not colon or not length.isdigit() or int(length) > len(rest):
        raise Malformed(f"no string at {data[:40]!r}")
    value, rest = rest[: int(length)], rest[int(length) :]
    if not value and in_band(dialect):
        raise Malformed("an empty field, which this dialect cannot parse")
    return value, rest


def take_envelope(data, names, dialect):
    fields = {}
    for name in names.split():
        value, rest = take(data, dialect)
        if b" " in value:
            raise Malformed(f"{name} has a space in it")
        if not rest.startswith(b" "):
            raise Malformed(f"no space after {name}")
        fields[name] = value.decode("utf-8")
        data = rest[1:]
    return fields, data


def take_tail(data, names, dialect):
    fields = {}
    for name in names.split():
        fields[name], data = take(data, dialect)
    if data:
        raise Malformed(f"{len(data)} bytes follow the tail")
    return fields


def ascii_json(data):
    return json.loads(data.decode("ascii"))


# ---- requests --------------------------------------------------------------------------------------------------


def request(dialect, sender, passphrase, path, arguments, **other):
    """Returns the fields of a request and its bytes."""
    stamp = now()
    fields = {
        "sender": sender,
        "conn_id": uuid.uuid4().hex if in_band(dialect) else str(uuid.uuid4()),
        "request_timestamp": stamp,
        "start_timestamp": stamp,
        "end_timestamp": stamp,
        "passphrase": passphrase,
        "origin_sender_id": "34f9ceee-cd52-4b7f-b197-88bf2f0ec378",
        "origin_conn_id": "108",
        "origin_out_addr": "tcp://127.0.0.1:9998",
        "handle_response": "1",
        "path": path,
        "method": "request",
        "headers": {},
        "body": {},
    }
    fields.update(other)
    envelope = b"".join(lenstr(fields[name]) + b" " for name in REQUEST[dialect].split())
    if dialect == "seed":
        headers = dict(fields["headers"], METHOD=fields["method"])
        tail = [dumps(headers), dumps(dict(fields["body"], **arguments))]
    else:
        arguments = arguments if isinstance(arguments, bytes) else dumps(arguments)
        tail = [arguments, dumps(fields["headers"]), dumps(fields["body"])]
    front = {"seed": b" ", "branch": b" ", "pypi": b" %s " % sender.encode(), "pypi01x": b"%s " % sender.encode()}
    return fields, front[dialect] + envelope + b"".join(map(lenstr, tail))


def read_request(dialect, data, identity=None):
    if dialect == "pypi":
        data = data.strip()
    elif dialect != "pypi01x":
        if not data.startswith(b" "):
            raise Malformed("a request without a leading space")
        data = data[1:]
    if in_band(dialect):
        sender, space, data = data.partition(b" ")
        if not space or not sender:
            raise Malformed("no sender")
    else:
        sender = identity
    fields, data = take_envelope(data, REQUEST[dialect], dialect)
    fields["sender"] = sender
    if dialect == "seed":
        tail = take_tail(data, "headers body", dialect)
        fields["headers"] = ascii_json(tail["headers"])
        fields["method"] = fields["headers"]["METHOD"]
        fields["arguments"] = fields["body"] = ascii_json(tail["body"])
    else:
        tail = take_tail(data, "arguments headers body", dialect)
        fields.update((name, ascii_json(text)) for name, text in tail.items())
    for name in ("arguments", "headers", "body"):
        if not isinstance(fields[name], dict):
            raise Malformed(f"{name} is no object")
    return fields


# ---- responses -------------------------------------------------------------------------------------------------


def response(dialect, request, code, message, payload, **other):
    """Returns the bytes of a response, without the empty frame before it."""
    stamp = now()
    fields = dict(request, method="response", request_timestamp=stamp, start_timestamp=stamp, end_timestamp=stamp)
    fields.update(other)
    envelope = b"".join(lenstr(fields[name]) + b" " for name in RESPONSE[dialect].split())
    body = payload if isinstance(payload, bytes) else dumps(payload)
    if dialect == "seed":
        tail = [str(code), message, dumps({"METHOD": "response"}), body]
    else:
        message = message if fields.get("raw") else dumps(message)
        tail = [str(code), message, b"{}", b"{}", body]
    return request["sender"] + b" " + envelope + b"".join(map(lenstr, tail))


def read_response(dialect, frames):
    data = b"".join(frames)
    sender, space, data = data.partition(b" ")
    if not space or not sender:
        raise Malformed("no sender")
    fields, data = take_envelope(data, RESPONSE[dialect], dialect)
    fields["sender"] = sender
    if dialect == "seed":
        tail = take_tail(data, "status_code status_msg headers body", dialect)
        fields["method"] = ascii_json(tail["headers"])["METHOD"]
        fields["status_msg"] = tail["status_msg"].decode("ascii")
    else:
        tail = take_tail(data, "status_code status_msg arguments headers body", dialect)
        fields["arguments"] = ascii_json(tail["arguments"])
        fields["status_msg"] = ascii_json(tail["status_msg"])
    fields["status_code"] = int(tail["status_code"])
    fields["headers"] = ascii_json(tail["headers"])
    fields["body"] = ascii_json(tail["body"])
    return fields
