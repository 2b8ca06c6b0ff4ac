"""The content arrives as it was written: dots, line ends and all."""

import re
import smtplib
from email.message import Message
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.smtp import SmtpServer

from mailqueue.backends.smtp import EmailBackend
from mailqueue.message import EmailMessage
from mailqueue.smtp.letter import terminated
from mailqueue.wire import serialise

lines = st.lists(st.text(st.sampled_from(". \tab\u00e9"), max_size=5), max_size=8)


@given(content=lines.map(lambda them: "\r\n".join(them).encode()))
def test_dots_are_doubled_as_the_standard_library_does(content):
    library: Any = smtplib
    quoted = library._quote_periods(content)
    ended = quoted if quoted.endswith(b"\r\n") else quoted + b"\r\n"
    assert terminated(content) == ended + b".\r\n"


@given(content=lines.map(lambda them: "\r\n".join(them).encode()))
def test_the_final_dot_is_the_only_lone_one_and_undone_the_content_is_back(content):
    sent = terminated(content)
    assert re.findall(rb"(?:\A|\r\n)\.\r\n", sent) == [sent[-5:]] or content == b""
    assert sent.endswith(b"\r\n.\r\n")
    back = re.sub(rb"(\A|\r\n)\.", rb"\1", sent[:-3])
    assert back in {content, content + b"\r\n"}


def test_a_whole_run_of_messages_arrives_octet_by_octet():
    with (
        SmtpServer(decode_data=False) as server,
        EmailBackend(host="127.0.0.1", port=server.port, timeout=10) as connection,
    ):

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(body=lines.map("\n".join), attached=st.binary(max_size=60))
        def arrives(body: str, attached: bytes) -> None:
            message = EmailMessage("Subject", body, "me@example.com", ["a@example.com"])
            if attached:
                message.attach("a.bin", attached, "application/octet-stream")
            built: Message = message.message()
            # Built once: a boundary is another one each time.
            message.message = lambda **_: built  # type: ignore[method-assign, assignment]
            [attempt] = connection.deliver_messages([message])
            assert attempt.taken
            written = serialise(built)
            ended = written if written.endswith(b"\r\n") else written + b"\r\n"
            assert server.received.pop().content == ended

        arrives()
    assert server.connections == 1


def test_content_that_takes_several_writes_arrives_as_one():
    body = "".join("." * (number % 7) + "x" * (number % 11) + "\n" for number in range(60_000))
    message = EmailMessage("Subject", body, "me@example.com", ["a@example.com"])
    with (
        SmtpServer() as server,
        EmailBackend(host="127.0.0.1", port=server.port, timeout=10) as connection,
    ):
        [attempt] = connection.deliver_messages([message])
    assert attempt.taken
    _, _, content = server.received[0].content.partition(b"\r\n\r\n")
    assert content == body.replace("\n", "\r\n").encode()
