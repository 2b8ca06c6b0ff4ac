"""Which recipient domains a pattern means: ``example.com``, or ``*.example.com``.

The second one is the domain and all below it. Patterns and domains are compared in ASCII (IDNA),
without regard to case; the more exact pattern wins.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mailqueue.addresses import to_ascii_domain


class DomainTable(NamedTuple):
    """Names by domain; make it with ``domain_table()``."""

    exact: Mapping[str, str]
    below: Mapping[str, str]

    def find(self, domain: str) -> str | None:
        """The name whose pattern fits ``domain`` best; None where none does."""
        domain = _plain(domain)
        if domain in self.exact:
            return self.exact[domain]
        while self.below and domain:
            if domain in self.below:
                return self.below[domain]
            domain = domain.partition(".")[2]
        return None


def domain_table(named: Mapping[str, Iterable[str]]) -> DomainTable:
    """Make the table of what belongs to which name.

    Raises ``ValueError`` for what is no pattern, and for one that stands for two names.
    """
    exact: dict[str, str] = {}
    below: dict[str, str] = {}
    for name, patterns in named.items():
        for pattern in patterns:
            domain, and_below = read_pattern(pattern)
            taken = below if and_below else exact
            if taken.setdefault(domain, name) != name:
                raise ValueError(f"{pattern!r} is in both {taken[domain]!r} and {name!r}")
    return DomainTable(exact, below)


def read_pattern(pattern: str) -> tuple[str, bool]:
    """The domain of a pattern, in ASCII, and whether those below it are meant as well.

    Raises ``ValueError`` for what is no pattern.
    """
    text = pattern.strip().lower()
    and_below = text.startswith("*.")
    try:
        domain = to_ascii_domain(text.removeprefix("*.").removesuffix("."))
    except ValueError:
        domain = ""
    if not domain:
        raise ValueError(
            f"{pattern!r} is no domain; write 'example.com', or '*.example.com' for the domain and "
            "all below it"
        )
    return domain, and_below


def _plain(domain: str) -> str:
    domain = domain.lower().removesuffix(".")
    try:
        return domain if domain.isascii() else to_ascii_domain(domain)
    except ValueError:
        return domain
