"""Sends whole requests over TLS before it reads, and compares the statuses of the responses.

Arguments: the port, the certificate of the server, the number of rounds, and requests as lines: the status, the path, and headers.
"""

import socket
import ssl
import sys

BODY = b"x" * (20 << 20)


def main():
    port, certificate, rounds, *requests = sys.argv[1:]
    context = ssl.create_default_context(cafile=certificate)
    for request in requests:
        status, path, *headers = request.splitlines()
        for chunked in (False, True):
            framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(BODY)}"
            head = "\r\n".join([f"POST {path} HTTP/1.1", "host: localhost", *filter(None, headers), framing, "", ""])
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) if chunked else BODY
            for _ in range(int(rounds)):
                plain = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
                with context.wrap_socket(plain, server_hostname="localhost") as stream:
                    stream.sendall(head.encode() + body)
                    line = stream.makefile("rb").readline().decode()
                if line.split(" ")[1:2] != [status]:
                    sys.exit(f"{path}, chunked: {chunked}: expected {status}, got {line!r}")


main()
