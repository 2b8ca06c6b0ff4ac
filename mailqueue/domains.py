"""The domain of a recipient."""

from mailqueue.addresses import envelope_address


def domain_of(recipient: str) -> str:
    """The domain of a recipient, lower case and ASCII (IDNA); empty for what is no address."""
    try:
        address = envelope_address(recipient)
    except ValueError:
        return ""
    _, at, domain = address.rpartition("@")
    return domain.rstrip(".").lower() if at else ""
