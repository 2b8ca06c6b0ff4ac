"""Patterns of recipient domains: ``gmail.com``, or ``*.outlook.com`` for it and all below it."""

from collections.abc import Iterable

from mailqueue.addresses import envelope_address


def domain_of(recipient: str) -> str:
    """The domain of a recipient, lower case and ASCII (IDNA); empty for what is no address."""
    try:
        address = envelope_address(recipient)
    except ValueError:
        return ""
    _, at, domain = address.rpartition("@")
    return domain.rstrip(".").lower() if at else ""


def in_domains(domain: str, patterns: Iterable[str]) -> bool:
    """True where a pattern matches the domain, which is as ``domain_of`` makes it."""
    return any(_matches(domain, pattern.lower()) for pattern in patterns)


def _matches(domain: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return domain == pattern[2:] or domain.endswith(pattern[1:])
    return domain == pattern
