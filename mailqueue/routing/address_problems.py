"""What is wrong with addresses and domains in settings: routes' senders, and staging's."""

from collections.abc import Iterator

from mailqueue.addresses import envelope_address
from mailqueue.routing.domain_patterns import read_pattern
from mailqueue.routing.problems import Problem, at, said
from mailqueue.settings import Settings


def address_problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong whoever looks at it, a producer too."""
    yield from _senders(settings)
    yield from _staging(settings)


def _senders(settings: Settings) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for route in settings.MAILQUEUE_ROUTES.values():
        for position, text in enumerate(route.senders):
            try:
                sender = read_sender(text)
            except ValueError as error:
                yield said(at(route, f"senders[{position}]"), error)
                continue
            if (other := taken.setdefault(sender, route.name)) != route.name:
                yield Problem(
                    f"{at(route, f'senders[{position}]')}: {text!r} takes route {other!r} already",
                    "leave it out in one of the two",
                )


def read_sender(text: str) -> str:
    """A sender as senders are compared: an address, or ``@`` and a domain; ``ValueError`` else."""
    if text.startswith("@") and not text.startswith("@*"):
        return f"@{read_pattern(text[1:])[0]}"
    try:
        address = envelope_address(text).lower()
    except ValueError:
        address = ""
    if "@" not in address:
        raise ValueError(f"{text!r} is no sender; write an address, or '@example.com'")
    return address


def _staging(settings: Settings) -> Iterator[Problem]:
    address = settings.MAILQUEUE_REDIRECT_ALL_TO
    if address:
        try:
            fine = "@" in envelope_address(address)
        except ValueError:
            fine = False
        if not fine:
            yield Problem(
                f"MAILQUEUE_REDIRECT_ALL_TO is {address!r}, which is not one address",
                "set it to an address like 'staging@example.com', or unset it",
            )
    for pattern in settings.MAILQUEUE_ALLOWED_DOMAINS:
        try:
            read_pattern(pattern)
        except ValueError as error:
            yield said("MAILQUEUE_ALLOWED_DOMAINS", error)
