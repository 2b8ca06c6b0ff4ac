"""``mailqueue failed``: list, show, retry, discard."""

import email
import json
import time
from typing import Any

import pytest
from click.testing import CliRunner
from support.filling import fails, mail, name, waits

from mailqueue import conf, failed, schedule
from mailqueue.cli import main
from mailqueue.envelope import Envelope, Try
from mailqueue.failed import Failed
from mailqueue.state import get_state, key

USER_UNKNOWN = "550 5.1.1 <ann@example.com>: no such user"


@pytest.fixture(autouse=True)
def _state(redis_settings):
    conf.configure(**redis_settings)


def run(*arguments, exit_code=0, **options):
    result = CliRunner().invoke(main, ["failed", *map(str, arguments)], **options)
    assert result.exit_code == exit_code, (result.output, result.exception)
    assert "Traceback" not in result.output
    if "--eml" not in arguments:
        assert "secret" not in result.output
    return result


def listed(*options):
    return [e["id"] for e in json.loads(run("list", *options, "--json").stdout)["entries"]]


def kept() -> list[str]:
    return sorted(entry.id for entry in failed.entries())


def kept_since(number: int, seconds: float, **fields) -> None:
    """An entry of a certain age."""
    defaults: dict[str, Any] = {
        "reason": "bounced", "detail": USER_UNKNOWN, "data": mail(number).encode().encode(),
        "kept_at": time.time() - seconds,
    }  # fmt: skip
    failed._keep(Failed(name(number), **(defaults | fields)))


@pytest.fixture
def four():
    """1 oldest … 4 newest."""
    kept_since(1, 3 * 86_400, reason="gave up", detail="451 4.2.2 Mailbox FULL")
    kept_since(2, 7200)
    kept_since(3, 600, data=mail(3, to="bob@Bücher.example").encode().encode())
    kept_since(4, 5, data=b"garbage", reason="undecodable", detail="no envelope")


def test_the_list_shows_the_newest_first_and_no_address(four):
    result = run("list")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    at = [result.stdout.index(name(number)) for number in (4, 3, 2, 1)]
    assert at == sorted(at)
    assert "ann@" not in result.stdout
    assert "***@example.com>: no such user" in " ".join(result.stdout.split())
    assert "xn--bcher-kva.example" in result.stdout
    assert "4 shown; 4 mails in the failed store" in result.stdout
    found = json.loads(run("list", "--json").stdout)
    assert (found["total"], found["more"]) == (4, False)
    assert set(found["entries"][1]) == {
        "id", "reason", "kept_at", "enqueued_at", "attempts", "domains", "recipients", "reply",
        "bytes",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ((), [4, 3, 2, 1]),
        (("--reason", "gave up"), [1]),
        (("--reply", "mailbox full"), [1]),
        (("--domain", "example.com"), [2, 1]),
        (("--domain", "@EXAMPLE.com", "--reason", "bounced"), [2]),
        (("--domain", "bücher.example"), [3]),
        (("--older", "1h"), [2, 1]),
        (("--newer", "90s"), [4]),
        (("--older", "1h", "--newer", "1d"), [2]),
        (("--limit", "1"), [4]),
        (("--limit", "0"), [4, 3, 2, 1]),
        (("--reply", "nothing of the kind"), []),
    ],
)
def test_filters_hold_together(four, options, numbers):
    assert listed(*options) == [name(number) for number in numbers]


@pytest.mark.parametrize(
    "options",
    [("--older", "3"), ("--newer", "soon"), ("--reason", "tired"), ("--limit", "-1"),
     ("--domain", "a b")],
)  # fmt: skip
def test_a_filter_that_has_no_meaning_is_wrong_usage(options):
    run("list", *options, exit_code=2)


def test_an_empty_store_is_said():
    assert run("list").stdout == "0 shown; 0 mails in the failed store\n"


def test_thousands_are_listed_in_pages():
    pipe = get_state().pipeline()
    for number in range(2000):
        entry = Failed(name(number), "bounced", "550 no", mail(number).encode().encode(), number)
        pipe.hset(key("failed"), entry.id, failed._encode(entry))
        pipe.zadd(key("failed", "by-time"), {entry.id: number})
    pipe.execute()
    result = run("list")
    assert "50 shown, the newest; there are more (--limit); 2,000 mails" in result.stdout
    assert name(1999) in result.stdout
    assert name(1949) not in result.stdout
    assert listed("--limit", "0") == [name(number) for number in reversed(range(2000))]
    assert run("discard", "--all", "--yes").stdout == "2,000 mails discarded\n"
    assert failed.count() == 0


def test_show_tells_every_try_and_the_recipients_but_no_content():
    tries = (Try(1.0, "451 4.7.1 <bob@example.org> greylisted"),)
    fails(mail(bcc=("bob@example.org",), tries=tries), detail=USER_UNKNOWN)
    said = " ".join(run("show", name(1)).stdout.split())
    for words in ("ann@example.com bob@example.org", "greylisted", "no such user", "kB", "bounced"):
        assert words in said
    found = json.loads(run("show", f"<{name(1)}@host>", "--json").stdout)
    assert found["to"] == ["ann@example.com", "bob@example.org"]
    assert [one["reply"] for one in found["tries"]] == [tries[0].detail, USER_UNKNOWN]
    assert found["tries"][0]["at"] == 1.0


def test_show_says_what_is_not_there_or_not_readable():
    assert "not in the failed store" in run("show", name(1), exit_code=1).stderr
    id_ = failed.keep_undecodable(b"\xff", "not an envelope")
    assert "not an envelope" in run("show", id_).stdout
    assert "cannot be read as a mail" in run("show", id_, "--eml", "-", exit_code=1).stderr


def test_eml_is_what_the_server_gets(tmp_path):
    fails(mail(bcc=("dora@example.org",)))
    path = tmp_path / "mail.eml"
    run("show", name(1), "--eml", path)
    data = path.read_bytes()
    found = email.message_from_bytes(data)
    assert found["To"] == "ann@example.com"
    assert found.get_payload() == "A secret body"
    assert b"dora" not in data
    assert b"\r\n" in data
    assert run("show", name(1), "--eml", "-").stdout_bytes == data
    assert "cannot be written" in run("show", name(1), "--eml", tmp_path / "no" / "x",
                                      exit_code=1).stderr  # fmt: skip


def test_eml_of_a_mail_that_could_never_be_built_is_a_sentence():
    fails(mail(content_subtype="pl\nain"))
    assert "cannot be built" in run("show", name(1), "--eml", "-", exit_code=1).stderr


def test_retry_by_id_moves_it_to_the_schedule(four):
    assert run("retry", name(2), name(2)).stdout == "1 mail retried\n"
    assert schedule.find(name(2)) is not None
    assert kept() == [name(1), name(3), name(4)]


def test_retry_tells_each_count():
    for number in (1, 2):
        fails(mail(number))
    failed.keep_undecodable(b"x", "no envelope")
    failed.keep_message(mail(3), "bounced", "550 no")
    waits(mail(3))
    found = json.loads(run("retry", "--all", "--json").stdout)
    assert found == {"retried": 2, "gone": 0, "live": 1, "unreadable": 1}
    said = run("retry", "--all").stdout
    assert "0 mails retried" in said
    assert "1 still on their way for other recipients" in said
    assert "1 unreadable, and kept" in said


def test_an_id_that_is_not_retried_is_a_failure():
    fails(mail(1))
    assert "1 mail retried; 1 already gone" in run("retry", name(1), name(2), exit_code=1).stdout


def test_ids_and_filters_together_mean_those_that_match(four):
    run("retry", name(1), name(2), "--reason", "gave up")
    assert kept() == [name(2), name(3), name(4)]


@pytest.mark.parametrize("what", ["retry", "discard"])
@pytest.mark.parametrize(
    "arguments", [(), ("--all", name(1)), ("--all", "--reason", "bounced")]
)  # fmt: skip
def test_nothing_or_everything_and_something_is_wrong_usage(what, arguments, four):
    run(what, *arguments, exit_code=2)
    assert len(kept()) == 4


def test_a_corrected_address_is_where_it_goes_and_what_its_header_says():
    fails(mail(to="Ann <ann@exmple.com>"))
    run("retry", name(1), "--to", "ann@example.com")
    waiting = schedule.find(name(1))
    assert waiting is not None
    assert Envelope.decode(waiting.document).to == ("Ann <ann@example.com>",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((name(1), "--to", "no address"), "Invalid address"),
        ((name(1), "--to", "x@example.com"), "--instead-of"),
        ((name(1), name(2), "--to", "x@example.com"), "name its id"),
        (("--all", "--to", "x@example.com"), "name its id"),
        ((name(1), "--instead-of", "x@example.com"), "needs --to"),
    ],
)
def test_a_correction_that_is_not_clear_is_wrong_usage(arguments, words):
    fails(mail(cc=("bob@example.com",)))
    assert words in " ".join(run("retry", *arguments, exit_code=2).stderr.split())
    assert kept() == [name(1)]
    run("retry", name(1), "--to", "x@example.com", "--instead-of", "bob@example.com")


def test_discard_forgets_for_good(four):
    assert run("discard", name(1), "--yes").stdout == "1 mail discarded\n"
    assert run("discard", "--reason", "bounced", "--yes").stdout == "2 mails discarded\n"
    assert kept() == [name(4)]
    assert "1 already gone" in run("discard", name(1), "--yes", exit_code=1).stdout
    found = json.loads(run("discard", "--all", "--yes", "--json").stdout)
    assert found == {"discarded": 1, "gone": 0}


def test_discard_asks_and_where_nobody_can_answer_it_does_nothing(four, monkeypatch):
    assert "--yes" in run("discard", "--all", exit_code=2).stderr
    assert len(kept()) == 4
    monkeypatch.setattr("mailqueue.cli.tables.sys", Terminal())
    assert "Discard 4 mails for good?" in run("discard", "--all", input="n\n", exit_code=1).stdout
    assert len(kept()) == 4
    run("discard", "--all", input="y\n")
    assert kept() == []


class Terminal:
    """What ``sys`` looks like where a person sits."""

    stdin = stdout = property(lambda self: self)

    def isatty(self) -> bool:
        return True
