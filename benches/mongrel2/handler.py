"""Replies `hello` to every request of a Mongrel2: handler.py <send_spec> <recv_spec>"""

import sys

import zmq

HELLO = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\nhello"
)


def main(send_spec: str, recv_spec: str) -> None:
    context = zmq.Context()
    # XPUB, to wait for the subscription of Mongrel2. A PUB would lose the replies that it sends before.
    replies = context.socket(zmq.XPUB)
    replies.connect(recv_spec)
    replies.recv()
    requests = context.socket(zmq.PULL)
    requests.connect(send_spec)
    print('{"address":"","pids":[]}', flush=True)
    while True:
        uuid, connection, _ = requests.recv().split(b" ", 2)
        replies.send(b"%s %d:%s, %s" % (uuid, len(connection), connection, HELLO))


main(*sys.argv[1:])
