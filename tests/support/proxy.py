"""A network that fails on demand: a TCP proxy that turns into a black hole."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, Self

LOCALHOST: Final = "127.0.0.1"
#: Seconds in which a client notices that it is connected; a reset before that fails its connect().
_CONNECTED: Final = 0.05


class Proxy:
    """A TCP proxy on a free port, whose network can fail.

    Where the target refuses a connection, the client's is reset (it was accepted already).

    Attributes:
        port: The port that it listens on.
        connections: Connections accepted so far.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._socket = socket.create_server((LOCALHOST, 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._black_hole = False
        #: What passes bytes on (or waits to reset), with the sockets that it uses.
        self._tasks: dict[asyncio.Task[None], list[socket.socket]] = {}
        #: Open, and nobody reads them.
        self._swallowed: list[socket.socket] = []
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def cut(self) -> None:
        """Become a black hole: from when this returns no byte passes, and nobody is told.

        Connections stay open and new ones are accepted, but none is read: senders notice when
        their socket's buffer is full, as when nobody acknowledges their packets.
        """
        self._call(self._cut())

    def mend(self, *, reset_old: bool = False) -> None:
        """Let new connections work; those of before the mend stay dead, as after a NAT's time-out.

        Args:
            reset_old: Reset each end of a dead connection on its next packet. What it sent during
                the cut counts: TCP would be sending that again.
        """
        self._call(self._mend(reset_old))

    def drop(self) -> None:
        """Reset all connections, the swallowed ones too."""
        self._call(self._drop())

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _cut(self) -> None:
        self._black_hole = True
        await self._interrupt()

    async def _mend(self, reset_old: bool) -> None:
        self._accept()  # who is connected for the kernel, but not yet for us, is of before too
        self._black_hole = False
        if reset_old:
            old, self._swallowed = self._swallowed, []
            for sock in old:
                self._start(self._reset_on_packet(sock), [sock])

    async def _drop(self) -> None:
        self._accept()
        await self._interrupt()
        for sock in self._swallowed:
            _reset(sock)
        self._swallowed.clear()

    async def _interrupt(self) -> None:
        """Stop all tasks where they are, be it in the middle of a write; keep their sockets."""
        tasks = dict(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task, sockets in tasks.items():
            if task.cancelled():  # else it ended just before, and has closed them
                self._swallowed += sockets

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop.add_reader(self._socket, self._accept)
        await self._stopping.wait()
        self._loop.remove_reader(self._socket)
        await self._drop()
        self._socket.close()

    def _accept(self) -> None:
        """Accept whoever waits."""
        with suppress(BlockingIOError):
            while True:
                client, _ = self._socket.accept()
                client.setblocking(False)
                self.connections += 1
                if self._black_hole:
                    self._swallowed.append(client)
                else:
                    server = socket.socket()
                    server.setblocking(False)
                    self._start(self._relay(client, server), [client, server])

    def _start(self, coroutine: Coroutine[Any, Any, None], sockets: list[socket.socket]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks[task] = sockets
        task.add_done_callback(self._tasks.pop)

    async def _relay(self, client: socket.socket, server: socket.socket) -> None:
        try:
            try:
                await self._loop.sock_connect(server, self._target)
            except OSError:
                await asyncio.sleep(_CONNECTED)
                raise
            for sock in (client, server):  # pass packets on as they come
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(client, server))
                group.create_task(self._pump(server, client))
        except* OSError:
            _reset(client)
            _reset(server)
        else:
            client.close()
            server.close()

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, 1 << 16):
            await self._loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)  # one direction's end; the other may go on

    async def _reset_on_packet(self, sock: socket.socket) -> None:
        with suppress(OSError):
            await self._loop.sock_recv(sock, 1)
        _reset(sock)


def _reset(sock: socket.socket) -> None:
    # To linger for no time is to send RST instead of FIN.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
