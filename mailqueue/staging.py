"""Staging safety: no mail leaves for somebody who is not meant to get it.

Two settings, applied in the worker to every message that it is about to hand over, whatever way it
came: fresh, deferred, scheduled, or retried from the failed store.

| MAILQUEUE_REDIRECT_ALL_TO | MAILQUEUE_ALLOWED_DOMAINS | who gets the mail |
| --- | --- | --- |
| set   | unset | that address alone |
| unset | set   | recipients in those domains; the others fail, and say so |
| set   | set   | recipients in those domains; that address for the others |

The recipient fields themselves are changed, since some backends look at nothing else. What was
changed is said in the headers ``X-Mailqueue-…``.
"""

from collections.abc import Sequence
from typing import Any, Final

from mailqueue.domains import domain_of
from mailqueue.narrowing import keep_only
from mailqueue.outcomes import Fault, Stage
from mailqueue.raw import RawMessage
from mailqueue.routing.domain_patterns import domain_table

_FIELDS: Final = ("to", "cc", "bcc")
#: A header's length that every server takes; more originals are counted.
_LONGEST: Final = 900


def stage(
    message: Any, *, redirect_to: str | None, allowed: Sequence[str]
) -> tuple[tuple[str, Fault], ...]:
    """Change a message so that it goes to nobody else.

    Args:
        message: Ours; changed in place.
        redirect_to: ``MAILQUEUE_REDIRECT_ALL_TO``.
        allowed: ``MAILQUEUE_ALLOWED_DOMAINS``.

    Returns the recipients who do not get it and for whom nobody else does, each with the reason.
    """
    if not redirect_to and not allowed:
        return ()
    everyone = [str(recipient) for recipient in message.recipients()]
    table = domain_table({"allowed": allowed})
    welcome = [who for who in everyone if table.find(domain_of(who))]
    others = [who for who in everyone if who not in welcome]
    # Also those of whom an earlier attempt was the last: it is still the mail that named them.
    named = [str(who) for field in _FIELDS for who in getattr(message, field)]
    strangers = [who for who in named if not table.find(domain_of(who))]
    if not others and not strangers:
        return ()
    keep_only(message, welcome)
    count = f"{max(len(others), len(strangers))} of {max(len(everyone), len(named))} recipients"
    if redirect_to:
        if welcome:
            message.bcc = [*message.bcc, *([redirect_to] if others else [])]
            _say(message, "X-Mailqueue-Redirected", count)
        else:
            # Nobody else sees it, so it may tell all of them, blind copies too.
            message.to = [redirect_to]
            _say(message, "X-Mailqueue-Redirected-From", _listed(others))
        return ()
    _say(message, "X-Mailqueue-Withheld", count)
    fault = Fault(Stage.BUILD, 0, "the domain is not in MAILQUEUE_ALLOWED_DOMAINS")
    return tuple((who, fault) for who in others)


def _say(message: Any, name: str, value: str) -> None:
    if isinstance(message, RawMessage):
        message.put_in_front(name, value)
    else:
        message.extra_headers[name] = value


def _listed(recipients: Sequence[str]) -> str:
    text = ""
    for at, who in enumerate(recipients):
        ascii_only = who.encode("ascii", "backslashreplace").decode()
        longer = f"{text}, {ascii_only}" if text else ascii_only
        if len(longer) > _LONGEST:
            return f"{text} and {len(recipients) - at} more"
        text = longer
    return text
