"""Tests an echo handler with the Python `websockets` client. Prints a line for each check that passes."""

import asyncio
import random
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


async def main(url):
    async with websockets.connect(url, max_size=None) as socket:
        # The client offers compression by default.
        assert [extension.name for extension in socket.protocol.extensions] == ["permessage-deflate"]
        for message in ["hello", "καλημέρα 🎷", "", b"\x00\xff", "x" * 125, "x" * 126, "x" * 65536, b"y" * 1_000_000]:
            await socket.send(message)
            assert await socket.recv() == message
        print("echo")
        await socket.send(["frag", "men", "ted"])
        assert await socket.recv() == "fragmented"
        await socket.send([b"a", b"", b"b"])
        assert await socket.recv() == b"ab"
        print("fragments")
        await asyncio.wait_for(await socket.ping(b"are you there"), 10)
        print("ping")
        await asyncio.gather(*(socket.send(str(n)) for n in range(200)))
        assert [await socket.recv() for _ in range(200)] == [str(n) for n in range(200)]
        print("many")
        await socket.close(4001, "enough")
    assert socket.close_code == 4001, socket.close_code
    print("close")
    text = "".join(f"{n} is not {n * n}, " for n in range(5000))
    for offer in [
        {"server_max_window_bits": 9, "client_max_window_bits": 9},
        {"server_max_window_bits": 12, "server_no_context_takeover": True, "client_max_window_bits": True},
        {"client_no_context_takeover": True},
    ]:
        factory = ClientPerMessageDeflateFactory(**offer)
        async with websockets.connect(url, compression=None, extensions=[factory]) as socket:
            assert len(socket.protocol.extensions) == 1
            for message in [text, text.encode(), random.randbytes(100_000), text[:1000] * 100, "short"]:
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send([text[:1000], text[1000:3000], text[3000:]])
            assert await socket.recv() == text
    async with websockets.connect(url, compression=None) as socket:
        assert socket.protocol.extensions == []
        await socket.send(text)
        assert await socket.recv() == text
    print("deflated")
    async with websockets.connect(url, subprotocols=["chat.v9", "chat.v1"]) as socket:
        assert socket.subprotocol == "chat.v1"
    print("subprotocol")
    async with websockets.connect(url) as socket:
        await socket.send("x" * ((1 << 20) + 1))
        try:
            await socket.recv()
        except websockets.ConnectionClosedError as error:
            assert error.rcvd.code == 1009, error
            print("too large")
    try:
        async with websockets.connect(url, origin="https://evil.example"):
            pass
    except websockets.InvalidStatus as error:
        assert error.response.status_code == 403
        print("origin")


asyncio.run(main(sys.argv[1]))
