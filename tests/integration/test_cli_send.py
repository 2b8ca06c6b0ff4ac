"""``mailqueue send``: what it puts into a real queue, and what it says when it does not."""

import base64
import json
import os
import subprocess
import sys

import pytest
import redis
from click.testing import CliRunner
from support.brokers import free_port
from support.processes import environment

from mailqueue import conf
from mailqueue.cli import main
from mailqueue.envelope import Envelope
from mailqueue.message import EmailMultiAlternatives
from mailqueue.unpacking import unpack_message

TO = ("--to", "ann@example.com")


class Queue:
    """What lies in the test's queue."""

    def __init__(self, url: str, name: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._name = name

    def envelopes(self) -> list[Envelope]:
        found = []
        # Each list as producers leave it: the newest is in front. Mailings have one of their own.
        raws = self._client.lrange(self._name, 0, -1) + self._client.lrange(
            f"{self._name}.bulk", 0, -1
        )
        for raw in reversed(raws):
            args, _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
            found += [Envelope.decode(document) for document in args[0]]
        return found

    def messages(self):
        return [unpack_message(envelope) for envelope in self.envelopes()]

    def only(self):
        (message,) = self.messages()
        return message


@pytest.fixture
def settings(redis_settings, monkeypatch):
    for name, value in redis_settings.items():
        monkeypatch.setenv(name, value)
    return redis_settings


@pytest.fixture
def queue(settings):
    return Queue(settings["MAILQUEUE_BROKER_URL"], settings["MAILQUEUE_QUEUE"])


def send(*arguments, stdin=None):
    return CliRunner().invoke(main, ["send", *map(str, arguments)], input=stdin)


def refused(result, *words) -> None:
    """Exit code 2 and a sentence with these words, without a traceback."""
    assert result.exit_code == 2, (result.output, result.exception)
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr
    assert not result.stdout


def test_a_mail_with_every_option_is_enqueued_as_it_was_said(queue, tmp_path):
    (tmp_path / "page.html").write_text("<p>Grüße</p>", "utf-8")
    (tmp_path / "notes.txt").write_text("Some notes\n")
    (tmp_path / "all.bin").write_bytes(bytes(range(256)))
    result = send(
        *TO, "--to", "Bob <bob@example.com>", "--cc", "carl@example.com", "--bcc",
        "dora@example.com", "--reply-to", "answers@example.com", "--from", "Me <me@example.com>",
        "--subject", "Grüße", "--body", "Good morning", "--html", tmp_path / "page.html",
        "--attach", tmp_path / "notes.txt", "--attach", tmp_path / "all.bin",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (envelope,) = queue.envelopes()
    assert result.stdout == f"{envelope.id}\n"
    message = queue.only()
    assert isinstance(message, EmailMultiAlternatives)
    assert message.subject == "Grüße"
    assert message.body == "Good morning"
    assert message.from_email == "Me <me@example.com>"
    assert message.to == ["ann@example.com", "Bob <bob@example.com>"]
    assert (message.cc, message.bcc) == (["carl@example.com"], ["dora@example.com"])
    assert message.reply_to == ["answers@example.com"]
    assert [tuple(part) for part in message.alternatives] == [("<p>Grüße</p>", "text/html")]
    assert [tuple(part) for part in message.attachments] == [
        ("notes.txt", "Some notes\n", "text/plain"),
        ("all.bin", bytes(range(256)), "application/octet-stream"),
    ]


def test_a_dash_reads_the_body_from_standard_input(settings, queue):
    done = subprocess.run(
        [sys.executable, "-m", "mailqueue", "send", *TO, "--body", "-"],
        input="From the pipe: ž\n".encode(),
        env=environment(settings) | {"PYTHONUTF8": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert queue.only().body == "From the pipe: ž\n"
    assert len(done.stdout.split()) == 1


def test_a_blind_copy_alone_is_recipient_enough(queue):
    assert send("--bcc", "dora@example.com", "--body", "x").exit_code == 0
    assert queue.only().recipients() == ["dora@example.com"]


def test_the_default_sender_is_the_setting(queue, monkeypatch):
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", "shop@example.com")
    assert send(*TO).exit_code == 0
    assert queue.only().from_email == "shop@example.com"


def test_a_mail_to_nobody_is_wrong_usage(queue):
    refused(send("--subject", "Hello"), "--to is missing")
    assert queue.messages() == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--subject", "Hello\nBcc: victim@example.com"), "newline"),
        (("--from", "me@example.com\r\nBcc: victim@example.com"), "newline"),
        (("--cc", "c@example.com\nX-Evil: 1"), "newline"),
        (("--reply-to", "c@example.com\nX-Evil: 1"), "newline"),
        (("--cc", "not@an@address"), "not@an@address"),
        (("--bcc", "one@example.com, two@example.com"), "one@example.com"),
    ],
)
def test_what_would_break_out_of_a_header_is_refused_before_the_queue(queue, options, word):
    refused(send(*TO, *options), word)
    assert queue.messages() == []


def test_bytes_that_are_no_text_are_refused_with_a_sentence(settings, queue):
    command: list[str | bytes] = [sys.executable, "-m", "mailqueue", "send", *TO]
    command += ["--subject", b"caf\xe9"]
    done = subprocess.run(
        command, env=environment(settings) | {"PYTHONUTF8": "1"}, capture_output=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.strip()
    assert queue.messages() == []


def test_a_broker_that_is_away_is_one_sentence_and_exit_code_1(settings, monkeypatch):
    port = free_port()
    monkeypatch.setenv("MAILQUEUE_BROKER_URL", f"redis://user:hunter2@127.0.0.1:{port}/0")
    result = send(*TO, "--subject", "Hello")
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_one_sentence_that_names_it(settings, monkeypatch):
    monkeypatch.setenv("EMAIL_PORT", "many")
    result = send(*TO)
    assert result.exit_code == 1
    assert "EMAIL_PORT" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_file_is_wrong_usage(queue, tmp_path):
    for option in ("--attach", "--html", "--eml", "--csv"):
        refused(send(*TO, option, tmp_path / "nowhere"), "nowhere", option)
    assert queue.messages() == []


def test_html_that_is_not_utf8_is_refused(queue, tmp_path):
    (tmp_path / "page.html").write_bytes(b"<p>caf\xe9</p>")
    refused(send(*TO, "--html", tmp_path / "page.html"), "page.html is not UTF-8")
    assert queue.messages() == []


# --- --eml -----------------------------------------------------------------------------------

LETTER = (
    b"Received: from nowhere\n by here\n"
    b"From: Ann <ann@example.com>\n"
    b'To: Bob <bob@example.com>,\n\t"Doe, Jane" <jane@example.com>\n'
    b"bcc: secret@example.com,\n other@example.com\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 +0000\n"
    b"Message-ID: <own@example.com>\n"
    b"\n"
    b"From here on, text.\n"
    b"Bcc: this line is text\n"
)  # fmt: skip


@pytest.fixture
def eml(tmp_path):
    def write(content: bytes):
        path = tmp_path / "letter.eml"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_finished_message_keeps_its_bytes_except_for_the_blind_copies(queue, eml, line_end):
    result = send("--eml", eml(LETTER.replace(b"\n", line_end)))
    assert result.exit_code == 0, result.output
    message = queue.only()
    expected = LETTER.replace(b"bcc: secret@example.com,\n other@example.com\n", b"")
    assert message.message().as_bytes().replace(b"\r\n", b"\n") == expected
    assert message.from_email == "Ann <ann@example.com>"
    assert message.recipients() == [
        "Bob <bob@example.com>",
        '"Doe, Jane" <jane@example.com>',
        "secret@example.com",
        "other@example.com",
    ]
    (envelope,) = queue.envelopes()
    assert envelope.message_id == "<own@example.com>"


def test_recipients_and_sender_given_with_it_count_more_than_its_own(queue, eml):
    result = send("--eml", eml(LETTER), *TO, "--bcc", "b@example.com", "--from", "bounce@e.com")
    assert result.exit_code == 0, result.output
    assert queue.only().recipients() == ["ann@example.com", "b@example.com"]
    assert queue.only().from_email == "bounce@e.com"


def test_the_first_line_of_an_mbox_is_no_part_of_the_message(queue, eml):
    result = send("--eml", eml(b"From ann@example.com Mon Jan  1 00:00:00 2024\n" + LETTER))
    assert result.exit_code == 0, result.output
    assert queue.only().message().as_bytes().startswith(b"Received:")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"To: bob@example.com\n\nHi\n", ("has no From", "--from")),
        (b"From: ann@example.com\n\nHi\n", ("names no recipient", "--to")),
        (b"From: ann@example.com\nTo: hidden:;\n\nHi\n", ("names no recipient", "--to")),
        (b"From: ann@example.com\nTo: not@an@address\n\nHi\n", ("not@an@address",)),
        (b"From: ann@example.com\nTo: a@example.com, b@\n\nHi\n", ("b@",)),
        (b"Just some text.\n", ("no header lines",)),
        (b"", ("no header lines",)),
        (b"\x00\xff\xfe\n\n\x80", ("no header lines",)),
        (b"From: a@example.com\nTo: b@example.com\n\n" + b"x" * 1200, ("longer than 998",)),
    ],
)  # fmt: skip
def test_what_is_no_sendable_message_is_refused_with_the_reason(queue, eml, content, words):
    refused(send("--eml", eml(content)), *words)
    assert queue.messages() == []


@pytest.mark.parametrize(
    "option",
    [("--subject", "x"), ("--body", "x"), ("--reply-to", "a@example.com"), ("--attach", __file__)],
)
def test_what_a_finished_message_could_not_take_is_refused_not_ignored(queue, eml, option):
    refused(send("--eml", eml(LETTER), *option), "finished message", option[0])
    assert queue.messages() == []


# --- --csv -----------------------------------------------------------------------------------


@pytest.fixture
def mailing(tmp_path):
    """Runs a mailing with this table and these templates."""

    def run(table, *options, subject="Dear {{ name }}", **templates):
        path = tmp_path / "people.csv"
        path.write_bytes(table if isinstance(table, bytes) else table.encode())
        arguments = ["--csv", path, "--subject", subject]
        for kind, text in (templates or {"txt": "Hello {{ name }}!\n"}).items():
            (tmp_path / f"letter.{kind}").write_text(text, "utf-8")
            arguments += ["--template", tmp_path / f"letter.{kind}"]
        return send(*arguments, *options)

    return run


def test_a_mailing_is_bulk_unless_its_caller_says_otherwise(queue, mailing, monkeypatch):
    monkeypatch.setenv("MAILQUEUE_ROUTES", '{"news": {"host": "h.example"}}')
    conf.reset()
    assert mailing("email,name\na@example.com,Ann\n").exit_code == 0
    named = mailing("email,name\nb@example.com,Bob\n", "--route", "news", "--priority", "normal")
    assert named.exit_code == 0, named.output
    found = {e.to[0]: (e.route, e.priority) for e in queue.envelopes()}
    assert found == {"a@example.com": ("default", "bulk"), "b@example.com": ("news", "normal")}


def test_a_mailing_by_a_route_that_there_is_not_is_wrong_usage(queue, mailing):
    result = mailing("email,name\n", "--route", "nws")
    refused(result, "route is 'nws'; the routes are default")
    refused(mailing("email,name\n", "--delay", "2h"), "goes out at once", "--delay")
    assert queue.messages() == []


def test_each_row_gets_its_own_subject_and_body(queue, mailing):
    result = mailing(
        '\ufeffname,email,city\nŁucja,l@example.com,"Łódź, PL"\nBob, b@example.com ,Rome\n',
        "--from", "us@example.com", txt="Hello {{ name }} in {{ city }}!\n",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == "2 mails enqueued\n"
    assert [(m.subject, m.body, m.to, m.from_email) for m in queue.messages()] == [
        ("Dear Łucja", "Hello Łucja in Łódź, PL!\n", ["l@example.com"], "us@example.com"),
        ("Dear Bob", "Hello Bob in Rome!\n", ["b@example.com"], "us@example.com"),
    ]


def test_1200_rows_are_1200_mails_in_their_order(queue, mailing):
    rows = "".join(f"reader{n}@example.com,Reader {n}\n" for n in range(1200))
    result = mailing("email,name\n" + rows)
    assert result.stdout == "1200 mails enqueued\n", result.output
    found = queue.envelopes()
    assert [unpack_message(e).subject for e in found] == [f"Dear Reader {n}" for n in range(1200)]
    assert len({envelope.id for envelope in found}) == 1200


def test_an_html_template_escapes_what_it_is_given_and_text_does_not(queue, mailing):
    table = "email,name\na@example.com,<b>Tom & Co</b>\n"
    assert mailing(table, txt="{{ name }}", html="<p>{{ name }}</p>").exit_code == 0
    message = queue.only()
    assert message.subject == "Dear <b>Tom & Co</b>"
    assert message.body == "<b>Tom & Co</b>"
    assert [tuple(part) for part in message.alternatives] == [
        ("<p>&lt;b&gt;Tom &amp; Co&lt;/b&gt;</p>", "text/html")
    ]


def test_html_alone_is_the_body_itself(queue, mailing):
    assert mailing("email,name\na@example.com,A&B\n", html="<p>{{ name }}</p>").exit_code == 0
    mime = queue.only().message()
    assert mime.get_content_type() == "text/html"
    assert mime.get_payload(decode=True) == b"<p>A&amp;B</p>"


def test_rows_can_be_left_out_at_the_beginning(queue, mailing):
    table = "email,name\n" + "".join(f"{n}@example.com,{n}\n" for n in range(5))
    assert mailing(table, "--skip", 3).stdout == "2 mails enqueued\n"
    assert [message.to for message in queue.messages()] == [["3@example.com"], ["4@example.com"]]
    refused(mailing(table, "--skip", -1), "--skip")


def test_another_delimiter_is_an_option_and_a_wrong_one_is_noticed(queue, mailing):
    table = "email;name\na@example.com;Ann\n"
    refused(mailing(table), "no column `email`", "email;name")
    refused(mailing(table, "--delimiter", ";;"), "cannot be read as CSV")
    assert queue.messages() == []
    assert mailing(table, "--delimiter", ";").exit_code == 0
    assert queue.only().subject == "Dear Ann"


GOOD = "email,name\n" + "".join(f"{n}@example.com,{n}\n" for n in range(40))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (GOOD + "last@example.com\n", ("row 41", "cells")),
        (GOOD + "last@example.com,Last,extra\n", ("row 41", "cells")),
        (GOOD + ",Nobody\n", ("row 41", "`email` is empty", "1 of 41")),
        (GOOD + "  ,Nobody\n", ("row 41", "`email` is empty")),
        (GOOD + "no@address@,Last\n", ("row 41", "no@address@")),
        (GOOD + '"a@example.com, b@example.com",Last\n', ("row 41",)),
        (GOOD + 'a@example.com,"Eve\nBcc: victim@example.com"\n', ("row 41", "newline")),
        (GOOD.encode() + b"a@example.com,caf\xe9\n", ("UTF-8",)),
        (GOOD + 'a@example.com,"never closed\n', ("CSV",)),
        ("name\nAnn\n", ("no column `email`", "name")),
        ("", ("no column `email`",)),
    ],
)
def test_one_bad_row_is_named_and_nobody_is_written_to(queue, mailing, table, words):
    refused(mailing(table), *words)
    assert queue.messages() == []


def test_a_name_that_no_column_has_is_told_with_its_row(queue, mailing):
    refused(mailing(GOOD, txt="Hello {{ nmae }}"), "row 1", "nmae", "40 of 40")
    refused(mailing(GOOD, subject="{{ title }}"), "row 1", "title")
    assert queue.messages() == []


@pytest.mark.parametrize("text", ["Hello {{ name", "{% for %}", "{% include 'other.txt' %}"])
def test_a_template_that_cannot_be_used_is_wrong_usage(queue, mailing, text):
    refused(mailing(GOOD, txt=text))
    assert queue.messages() == []


@pytest.mark.parametrize(
    "text", ["{{ ().__class__.__bases__ }}", "{{ 1 / 0 }}", "{{ name + 1 }}", "{{ name.x.y }}"]
)
def test_an_error_inside_a_template_is_a_sentence_with_its_row(queue, mailing, text):
    refused(mailing(GOOD, txt=text), "row 1")
    assert queue.messages() == []


def test_a_template_that_is_not_utf8_is_refused(queue, mailing, tmp_path):
    (tmp_path / "latin.html").write_bytes(b"caf\xe9")
    refused(mailing(GOOD, "--template", tmp_path / "latin.html"), "template cannot be used")
    assert queue.messages() == []


def test_a_table_without_rows_enqueues_nothing_and_says_so(queue, mailing):
    result = mailing("email,name\n")
    assert (result.exit_code, result.stdout) == (0, "0 mails enqueued\n")
    assert queue.messages() == []


@pytest.mark.parametrize(
    "option",
    [TO, ("--cc", "a@example.com"), ("--reply-to", "a@example.com"), ("--body", "x"),
     ("--attach", __file__)],
)  # fmt: skip
def test_what_a_mailing_would_ignore_is_refused(queue, mailing, option):
    refused(mailing(GOOD, *option), option[0])
    assert queue.messages() == []


def test_table_and_template_need_each_other(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("email\na@example.com\n")
    refused(send("--csv", path), "--csv needs --template")
    refused(send("--template", path), "--template needs --csv")


def test_two_templates_of_one_kind_are_refused_not_ignored(queue, mailing, tmp_path):
    (tmp_path / "other.txt").write_text("Other")
    refused(mailing(GOOD, "--template", tmp_path / "other.txt"), "other.txt")
    assert queue.messages() == []


def test_a_broker_that_is_away_is_told_with_where_to_go_on(mailing, settings, monkeypatch):
    monkeypatch.setenv("MAILQUEUE_BROKER_URL", f"redis://127.0.0.1:{free_port()}/0")
    result = mailing(GOOD, "--skip", 10)
    assert result.exit_code == 1
    assert "0 of 30 mails are in the queue" in result.stderr
    assert "--skip 10" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_jinja2_the_extra_is_named(settings, tmp_path):
    # tests/acceptance/test_install.py has an environment that really lacks it.
    (tmp_path / "jinja2.py").write_text("raise ImportError('not here', name='jinja2')\n")
    (tmp_path / "people.csv").write_text(GOOD)
    (tmp_path / "letter.txt").write_text("x")
    done = subprocess.run(
        [sys.executable, "-m", "mailqueue", "send", "--csv", "people.csv", "--template",
         "letter.txt"],
        cwd=tmp_path, env=environment(settings) | {"PYTHONPATH": os.fspath(tmp_path)},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ("mailqueue: --template needs Jinja2: pip install 'mailqueue[csv]'\n")
