"""An SMTP server that follows a script octet by octet, for what no real server can be told to do.

A script is a list of steps, one for each thing that the client says: what is expected, and what is
done about it. The client's QUIT or hanging up ends it at any point after its last step. Leaving
``with`` raises what did not go by the script.
"""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import BinaryIO, Final, Self

HANG_UP: Final = "hang up"  #: close, as a server does that shuts down
RESET: Final = "reset"  #: a TCP RST, as a server that crashed sends it
SILENCE: Final = "silence"  #: nothing is said or read until the test is over

#: Octets to send, or pieces of them, each in a packet of its own, or one of the words above.
Action = bytes | Sequence[bytes] | str
#: What is expected: the beginning of a command; "" nothing, "." the content with its final dot,
#: "content" its beginning.
Step = tuple[str, Action]

OK: Final = b"250 ok\r\n"
GO: Final = b"354 go on\r\n"


def greeting(*offers: str) -> list[Step]:
    """The steps up to EHLO, with the server's offers."""
    lines = ["raw", *offers, "HELP"]
    said = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
    return [("", b"220 raw\r\n"), ("EHLO", said.encode())]


def taken(recipients: int = 1) -> list[Step]:
    """The steps of one message that is taken."""
    return [("MAIL", OK), *[("RCPT", OK)] * recipients, ("DATA", GO), (".", OK)]


class RawSmtp:
    """Serves one connection after another, each by its script.

    Attributes:
        port: The port of 127.0.0.1 that it listens on.
        commands: The commands of each connection.
        contents: What came after each 354, up to and with the final dot.
    """

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = scripts
        self._socket = socket.create_server(("127.0.0.1", 0))
        # Small, so that a client notices soon that nobody reads.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._leaving = threading.Event()
        self._trouble: BaseException | None = None
        self.port: int = self._socket.getsockname()[1]
        self.commands: list[list[str]] = []
        self.contents: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        self._leaving.set()
        self._thread.join(0 if kind else 5)
        self._socket.close()
        if kind is None:
            assert not self._thread.is_alive(), "the client is still there, or never came"
            if self._trouble:
                raise self._trouble

    def _run(self) -> None:
        try:
            for script in self._scripts:
                peer, _ = self._socket.accept()
                peer.settimeout(10)
                with peer, peer.makefile("rb") as lines:
                    self.commands.append([])
                    self._follow(script, peer, lines)
        except BaseException as error:  # noqa: BLE001 - raised where the test leaves
            self._trouble = error

    def _follow(self, script: Sequence[Step], peer: socket.socket, lines: BinaryIO) -> None:
        for expected, action in script:
            self._expect(expected, lines)
            if not isinstance(action, str):
                _say(peer, action)
                continue
            if action == SILENCE:
                # Without reading: a client that still writes shall feel the silence, too.
                self._leaving.wait(10)
            elif action == RESET:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            lines.close()
            peer.close()
            return
        left = lines.readline()
        if left.upper().startswith(b"QUIT"):
            _say(peer, b"221 bye\r\n")
        else:
            assert not left, f"the script is over, and the client says {left!r}"

    def _expect(self, expected: str, lines: BinaryIO) -> None:
        if expected == ".":
            content = b""
            while not content.endswith(b"\r\n.\r\n"):
                line = lines.readline()
                assert line, f"the client left in the content: {content[-99:]!r}"
                content += line
            self.contents.append(content)
        elif expected == "content":
            assert lines.read(1)
        elif expected:
            said = lines.readline().decode().rstrip("\r\n")
            self.commands[-1].append(said)
            assert said.upper().startswith(expected.upper()), f"{expected} is due, not {said!r}"


def _say(peer: socket.socket, said: bytes | Sequence[bytes]) -> None:
    pieces = [said] if isinstance(said, bytes) else said
    for number, piece in enumerate(pieces):
        time.sleep(0.02 if number else 0)
        peer.sendall(piece)
