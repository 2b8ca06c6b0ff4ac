"""Who is still to get a mail, and the correction of an address that was wrong."""

from collections.abc import Iterable
from typing import Any

import msgspec

from mailqueue.addresses import envelope_address, split_addresses
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError
from mailqueue.intake import check_message
from mailqueue.unpacking import unpack_message
from mailqueue.values import Text, pack, unpack


def left(envelope: Envelope) -> list[str]:
    """Bare addresses of those who are still to be served; as they stand where they are none."""
    given = envelope.recipients
    if given is None:
        given = (*envelope.to, *envelope.cc, *envelope.bcc)
    return [address for address in map(_bare, given) if address]


def domains(envelope: Envelope) -> list[str]:
    """Their domains, each once."""
    return list(dict.fromkeys(a.rpartition("@")[2].lower() for a in left(envelope)))


def corrected(envelope: Envelope, new: str, instead_of: str = "") -> Envelope:
    """The mail, with one address corrected wherever it is named.

    A finished (raw) message keeps its headers: changing them would break its signature.

    Args:
        envelope: The mail.
        new: The right address, with or without a name.
        instead_of: The wrong one; may be left out where the mail has one recipient left.

    Raises:
        ValueError: It is not clear which address is meant, or the new one is none.
    """
    if "@" not in envelope_address(new):
        raise ValueError(f'Invalid address "{new}"; it has no domain')
    open_ = list(dict.fromkeys(left(envelope)))
    if instead_of:
        wrong = envelope_address(instead_of)
        if wrong not in open_:
            raise ValueError("the mail is not kept for the address that is to be corrected")
    elif len(open_) == 1:
        wrong = open_[0]
    else:
        raise ValueError(f"the mail is kept for {len(open_)} recipients; say which one is wrong")
    fields: dict[str, Any] = {
        name: _replaced(getattr(envelope, name), wrong, new) for name in ("to", "cc", "bcc")
    }
    if envelope.recipients is not None:
        fields["recipients"] = _replaced(envelope.recipients, wrong, new)
    if envelope.kind != "raw":
        fields["headers"] = tuple(
            (name, _in_header(value, wrong, new) if name.lower() in {"to", "cc"} else value)
            for name, value in envelope.headers
        )
    changed = msgspec.structs.replace(envelope, **fields)
    check_message(unpack_message(changed))
    return changed


def _replaced(addresses: Iterable[Text], wrong: str, new: str) -> tuple[Text, ...]:
    return tuple(
        pack(_with_its_name(str(unpack(one)), new), "address") if _bare(one) == wrong else one
        for one in addresses
    )


def _in_header(value: Any, wrong: str, new: str) -> Any:
    if not isinstance(value, str) or wrong not in map(_bare, split_addresses(value)):
        return value
    return ", ".join(str(one) for one in _replaced(split_addresses(value), wrong, new))


def _with_its_name(old: str, new: str) -> str:
    """Keep the person's name where the correction brings none."""
    head, bracket, _ = old.rpartition("<")
    if not bracket or "<" in new:
        return new
    named = f"{head}<{new.strip()}>"
    return named if _bare(named) == _bare(new) else new


def _bare(address: Text) -> str:
    try:
        text = str(unpack(address))
    except DecodeError:
        return "?"
    try:
        return envelope_address(text)
    except ValueError:
        return text
