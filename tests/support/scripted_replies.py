"""An SMTP server that gives each mail the reply that its script has for it, at any stage.

A mail is known by the local part of its sender, so one server and one worker can play through
hundreds of replies at once. Greetings and logins come before any mail is named: these are given
out one a connection, in order.
"""

import base64
import socketserver
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Self

from mailqueue.outcomes import Stage
from support.smtp import Received

#: Instead of a reply: hang up …
CLOSE: Final = "close"
#: … or say nothing until the client leaves …
SILENCE: Final = "silence"
#: … or, after the final dot: take the mail, and hang up all the same.
KEEP_AND_CLOSE: Final = "keep and close"


class Play(NamedTuple):
    """What the server does to one mail."""

    stage: Stage
    #: A reply's line, or one of the words above.
    reply: str
    #: At ``Stage.RECIPIENT``: to whom; empty: to each.
    recipient: str = ""
    #: How often; None: each time.
    times: int | None = 1


class ScriptedServer:
    """Takes all mail, except where a script says otherwise.

    Attributes:
        port: The port of 127.0.0.1 that it listens on.
        plays: What is done to a mail, by the local part of its sender; the first that fits.
        played: How often something was done to it.
        greetings: Replies instead of the greeting, each to one connection.
        logins: Replies instead of 235, each to one AUTH.
        password: Offer AUTH, and refuse every other password with 535; None: no AUTH.
        hang_up_after: Close the connection once that many mails were taken, one time.
        received: What it took, in order.
        connections: How often somebody connected.
        attempts_to_log_in: How often somebody said AUTH.
    """

    def __init__(self, *, password: str | None = None) -> None:
        self.plays: dict[str, Sequence[Play]] = {}
        self.played: Counter[str] = Counter()
        self._given: Counter[tuple[str, Play]] = Counter()
        self.greetings: deque[str] = deque()
        self.logins: deque[str] = deque()
        self.password = password
        self.hang_up_after: int | None = None
        self.received: list[Received] = []
        self.connections = 0
        self.attempts_to_log_in = 0
        #: One dialogue's step at a time; a step never waits for a client.
        self.lock = threading.Lock()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="scripted-smtp", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def settings(self) -> dict[str, str]:
        """The settings that lead a worker here."""
        return {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(self.port)}

    def deliveries(self) -> Counter[tuple[str, str]]:
        """How often each recipient was served, by the sender's local part and the address."""
        taken = list(self.received)
        return Counter((_local(mail.sender), who) for mail in taken for who in mail.recipients)

    def reply_to(self, stage: Stage, sender: str, recipient: str = "") -> str | None:
        """What the script says; None: go on."""
        name = _local(sender)
        for play in self.plays.get(name, ()):
            if play.stage is stage and play.recipient in {"", recipient}:
                with self.lock:
                    if play.times is None or self._given[name, play] < play.times:
                        self._given[name, play] += 1
                        self.played[name] += 1
                        return play.reply
        return None

    def greet(self) -> tuple[int, str]:
        """A new connection's number, and what it is greeted with."""
        with self.lock:
            self.connections += 1
            return self.connections, self.greetings.popleft() if self.greetings else "220 scripted"

    def let_in(self, said: str) -> str:
        """The answer to AUTH PLAIN."""
        with self.lock:
            self.attempts_to_log_in += 1
            if self.logins:
                return self.logins.popleft()
        given = base64.b64decode(said.rsplit(maxsplit=1)[-1]).decode().rpartition("\0")[2]
        return "235 2.7.0 welcome" if given == self.password else "535 5.7.8 wrong password"

    def take(self, mail: Received) -> bool:
        """Keep a mail; True where the connection is to be closed then."""
        with self.lock:
            self.received.append(mail)
            done = self.hang_up_after is not None and len(self.received) >= self.hang_up_after
            if done:
                self.hang_up_after = None
            return done


def _local(address: str) -> str:
    return address.partition("@")[0]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, owner: ScriptedServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Dialogue)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is its own affair."""


class _HangUpError(Exception):
    """The dialogue ends here."""


class _Dialogue(socketserver.StreamRequestHandler):
    """One connection."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        self._owner = self.server.owner
        self._number, greeting = self._owner.greet()
        self._sender = ""
        self._recipients: list[str] = []
        try:
            self._say(greeting)
            if not greeting.startswith("220"):
                return
            while line := self.rfile.readline():
                self._answer(line.decode().rstrip("\r\n"))
        except (_HangUpError, OSError):
            return

    def _answer(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "EHLO":
                offers = ["scripted", "8BITMIME", "SMTPUTF8"]
                offers += ["AUTH PLAIN"] if self._owner.password is not None else []
                self._say(*_multiline(offers))
            case "AUTH":
                self._say(self._owner.let_in(argument))
            case "MAIL":
                self._sender = _path(argument)
                self._recipients = []
                self._say(self._scripted(Stage.SENDER) or "250 ok")
            case "RCPT":
                who = _path(argument)
                reply = self._scripted(Stage.RECIPIENT, who)
                if reply is None:
                    self._recipients.append(who)
                self._say(reply or "250 ok")
            case "DATA":
                reply = self._scripted(Stage.DATA)
                self._say(reply or "354 go on")
                if reply is None:
                    self._content()
            case "QUIT":
                self._say("221 bye")
                raise _HangUpError
            case _:
                self._say("250 ok")

    def _content(self) -> None:
        content = b""
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise _HangUpError
            content += line.removeprefix(b".")
        reply = self._scripted(Stage.CONTENT)
        if reply not in {None, KEEP_AND_CLOSE}:
            self._say(str(reply))
            return
        mail = Received(self._sender, self._recipients, content, self._number)
        close = self._owner.take(mail)
        if reply is None:
            self._say("250 kept")
        if close or reply is not None:
            raise _HangUpError

    def _scripted(self, stage: Stage, recipient: str = "") -> str | None:
        reply = self._owner.reply_to(stage, self._sender, recipient)
        if reply == CLOSE:
            raise _HangUpError
        if reply == SILENCE:
            self.rfile.read()  # until the client has had enough
            raise _HangUpError
        return reply

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        if lines[-1].startswith("421"):
            raise _HangUpError


def _multiline(lines: Iterable[str]) -> list[str]:
    *first, last = lines
    return [f"250-{line}" for line in first] + [f"250 {last}"]


def _path(argument: str) -> str:
    """The address in ``FROM:<…>`` or ``TO:<…>``."""
    return argument.partition("<")[2].partition(">")[0]
