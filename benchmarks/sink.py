"""An SMTP server that only counts, cheap enough not to be what is measured.

Prints its port, serves until it is terminated, and answers NOOP with how many messages it took
and how many seconds lay between the first and the last of them.
"""

import asyncio
import time

_END = b"\r\n.\r\n"


class Count:
    """What all connections have received."""

    messages = 0
    first = 0.0
    last = 0.0


class Session(asyncio.Protocol):
    """One SMTP connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""
        self._in_data = False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer each command that is complete by now."""
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Handle one command or message; whether there was one."""
        text, found, rest = self._buffer.partition(_END if self._in_data else b"\r\n")
        if not found:
            return False
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            Count.last = time.monotonic()
            Count.first = Count.first or Count.last
            Count.messages += 1
            self._transport.write(b"250 counted\r\n")
            return True
        verb = text[:4].upper()
        if verb == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"NOOP":
            self._transport.write(b"250 %d %f\r\n" % (Count.messages, Count.last - Count.first))
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 ok\r\n")
        return True


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
