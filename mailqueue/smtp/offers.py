"""What the server's EHLO offers (RFC 5321, section 2.2), and what a message needs of it."""

import smtplib
from collections.abc import Iterable


class AddressNotSupportedError(smtplib.SMTPNotSupportedError):
    """An address has a non-ASCII local part, and the server does not offer SMTPUTF8 (RFC 6531)."""


def check_address(client: smtplib.SMTP, address: str) -> None:
    """Check that the server can be told this address; EHLO has been said.

    Raises:
        AddressNotSupportedError: It is not ASCII, and the server offers no SMTPUTF8.
    """
    if not address.isascii() and not client.has_extn("smtputf8"):
        raise AddressNotSupportedError(
            f"The server does not offer SMTPUTF8 (RFC 6531), which the address {address!r} needs"
        )


def mail_options(client: smtplib.SMTP, addresses: Iterable[str], content: bytes) -> tuple[str, ...]:
    """Return the options of ``MAIL FROM`` that a message needs, of those that the server offers.

    Says EHLO only where the answer hangs on it.

    Raises:
        AddressNotSupportedError: One of the addresses needs SMTPUTF8, and it is not offered.
        OSError: EHLO failed.
    """
    non_ascii = [address for address in addresses if not address.isascii()]
    if content.isascii() and not non_ascii:
        return ()
    client.ehlo_or_helo_if_needed()
    for address in non_ascii:
        check_address(client, address)
    options = ("SMTPUTF8",) if non_ascii else ()
    return (*options, "BODY=8BITMIME") if client.has_extn("8bitmime") else options


def largest_size(client: smtplib.SMTP) -> int | None:
    """Return the octets that the server takes in one message (RFC 1870); None for no fixed limit.

    Both ``SIZE`` without a number and ``SIZE 0`` set no limit.
    """
    said = client.esmtp_features.get("size", "").strip()
    return int(said) or None if said.isascii() and said.isdigit() else None
