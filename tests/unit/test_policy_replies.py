import pytest
from support.reply_corpus import REPLIES, Reply

from mailqueue.outcomes import Fault, Stage
from worker.policy import Case, Kind, Reach, Rules, classify, decide
from worker.replies import ROWS, Row

RULES = Rules((30.0, 60.0), 86_400.0)
SMTP = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.CONTENT)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda r: f"{r.who}-{r.code}-{r.text[:30]}")
def test_replies_of_real_servers_mean_what_they_say(reply: Reply) -> None:
    assert classify(reply.fault) == (reply.reach, reply.kind)
    decision = decide(reply.fault, Case(), RULES, 0.5)
    assert decision.status is reply.status
    assert decision.counts is (reply.reach in {Reach.RECIPIENT, Reach.MESSAGE})


def test_the_corpus_is_large_and_has_no_twins() -> None:
    keys = [(reply.stage, reply.code, reply.text) for reply in REPLIES]
    assert len(keys) >= 120
    by_who = {(reply.who, *key) for reply, key in zip(REPLIES, keys, strict=True)}
    assert len(by_who) == len(keys)


def _fits(row: Row, reply: Reply) -> bool:
    words = " ".join(reply.text.replace(reply.fault.enhanced or " ", " ").split())
    return (
        (not row.codes or reply.code in row.codes or reply.code // 100 in row.codes)
        and (not row.enhanced or reply.fault.enhanced in row.enhanced)
        and (row.text is None or bool(row.text.search(words)))
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.preset}-{r.text and r.text.pattern}")
def test_each_row_has_an_example_in_the_corpus(row: Row) -> None:
    assert any(_fits(row, reply) and reply.kind is row.meaning.kind for reply in REPLIES) or (
        row.preset,
        row.meaning.kind,
    ) in {("sparkpost", Kind.QUOTA), ("mailgun", Kind.QUOTA)}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.preset}-{r.text and r.text.pattern}")
def test_a_row_that_bounces_is_bound_to_5xx_and_none_to_a_word_alone(row: Row) -> None:
    assert row.text or row.enhanced
    if row.meaning.kind is Kind.PERMANENT:
        assert row.codes
        assert all(code == 5 or code // 100 == 5 for code in row.codes)
    if row.text and row.meaning.reach is Reach.ACCOUNT:
        for word in ("quota", "quota exceeded", "limit exceeded", "rate", "sender", "not allowed"):
            assert not row.text.search(word)


@pytest.mark.parametrize("stage", SMTP)
@pytest.mark.parametrize(
    "text",
    [
        "4.2.2 mailbox full",
        "4.2.2 user is over quota",
        "quota exceeded",
        "4.2.1 mailbox is receiving messages too fast",
        "user has exceeded allowed storage space",
        "4.2.1 rate limited for this recipient",
    ],
)
def test_a_recipient_s_own_limits_never_pause_the_account(stage: Stage, text: str) -> None:
    for code in (422, 450, 452, 550, 552):
        reach = classify(Fault.of_reply(stage, code, text)).reach
        assert reach in {Reach.RECIPIENT, Reach.MESSAGE}


def test_words_are_found_across_the_lines_of_a_reply() -> None:
    text = b"5.4.5 Daily user sending\n5.4.5 limit exceeded. gsmtp"
    assert classify(Fault.of_reply(Stage.CONTENT, 550, text)) == (Reach.ACCOUNT, Kind.QUOTA)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (0, "AnymailAPIError: (Throttling) Maximum sending rate exceeded.", Kind.RATE),
        (400, "(Throttling) Daily message quota exceeded.", Kind.QUOTA),
        (403, "The from address does not match a verified Sender Identity.", Kind.SENDER),
        (422, "The 'From' address is not a Sender Signature on your account.", Kind.SENDER),
        (420, "Exceed Sending Limit (hourly)", Kind.QUOTA),
        (403, "Domain mg.example.com is not allowed to send: request limit exceeded", Kind.QUOTA),
        (401, "Sending account has been disabled", Kind.QUOTA),
    ],
)
def test_an_api_s_sentences_are_known_too(code: int, text: str, kind: Kind) -> None:
    assert classify(Fault(Stage.BACKEND, code, text)) == (Reach.ACCOUNT, kind)
