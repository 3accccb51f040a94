"""Connections of protocol v3, written from docs/protocol.md alone: TLS 1.3 by the standard module `ssl`, and ZMTP 3.0 inside."""

import select
import socket
import ssl
import struct

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
TIMEOUT = 20


def context(server, key_file):
    """`key_file` has the private key and the certificate that both sides derive from the secret, in PEM."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_REQUIRED
    # The certificate is its own anchor, which pins its key.
    tls.load_verify_locations(key_file)
    tls.load_cert_chain(key_file)
    tls.set_alpn_protocols(["brubeck/3"])
    if server:
        tls.num_tickets = 0
    return tls


def address_of(endpoint):
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


class Connection:
    """A connection to one peer, with the ZMTP handshake done. Raises `OSError` (`ssl.SSLError`) if TLS fails."""

    def __init__(self, stream, tls, server, socket_type):
        stream.settimeout(TIMEOUT)
        is_ipc = stream.family == socket.AF_UNIX
        if not is_ipc:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = tls.wrap_socket(stream, server_side=server, server_hostname=None if server else "brubeck")
        if self.stream.selected_alpn_protocol() != "brubeck/3":
            raise OSError("the peer does not speak brubeck/3")
        if is_ipc:
            # Both sides close TLS and continue in clear.
            self.stream = self.stream.unwrap()
        self.received = b""
        body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type
        self.stream.sendall(GREETING + bytes([4, len(body)]) + body)
        greeting = self.take(64)
        if greeting[:1] != b"\xff" or greeting[10] < 3 or greeting[12:17] != b"NULL\0":
            raise OSError("another protocol")
        flags, ready = self.frame()
        if flags != 4 or not ready.startswith(b"\x05READY"):
            raise OSError("no READY")

    def fill(self):
        chunk = self.stream.recv(1 << 16)
        if not chunk:
            raise OSError("the connection was closed")
        self.received += chunk

    def take(self, length):
        while len(self.received) < length:
            self.fill()
        taken, self.received = self.received[:length], self.received[length:]
        return taken

    def frame(self):
        flags = self.take(1)[0]
        length = int.from_bytes(self.take(8 if flags & 2 else 1), "big")
        return flags, self.take(length)

    def send(self, frames):
        encoded = []
        for index, frame in enumerate(frames):
            flags = (index + 1 < len(frames)) | (len(frame) > 255) << 1
            encoded += [bytes([flags]), len(frame).to_bytes(8 if flags & 2 else 1, "big"), frame]
        self.stream.sendall(b"".join(encoded))

    def receive(self):
        """Waits for the next message."""
        frames, more = [], True
        while more:
            flags, frame = self.frame()
            if not flags & 4:
                frames.append(frame)
                more = flags & 1
        return frames

    def has_data(self):
        """Bytes of this connection were read from its socket already."""
        return bool(self.received or self.stream.pending())

    def close(self):
        self.stream.close()


class Listener:
    """Accepts any number of connections, and receives from all of them."""

    def __init__(self, endpoint, key_file):
        host, port = address_of(endpoint)
        self.tls, self.socket, self.peers = context(True, key_file), socket.create_server((host, port)), []
        self.endpoint = "tcp://%s:%d" % self.socket.getsockname()

    def poll(self, seconds, *others):
        """Waits for events. Returns the connections with a message, and those of `others` that are readable."""
        waiting = [peer for peer in self.peers if peer.has_data()]
        readable = select.select([self.socket, *others, *(peer.stream for peer in self.peers)], [], [], 0 if waiting else seconds)[0]
        if self.socket in readable:
            self.accept()
        peers = [peer for peer in self.peers if peer in waiting or peer.stream in readable]
        return peers, [other for other in others if other in readable]

    def accept(self):
        try:
            self.peers.append(Connection(self.socket.accept()[0], self.tls, True, b"ROUTER"))
        except OSError:
            print("denied", flush=True)

    def drop(self, peer):
        self.peers.remove(peer)
        peer.close()


def connect(endpoint, key_file):
    if endpoint.startswith("ipc://"):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(endpoint.removeprefix("ipc://"))
    else:
        stream = socket.create_connection(address_of(endpoint), TIMEOUT)
    return Connection(stream, context(False, key_file), False, b"DEALER")
