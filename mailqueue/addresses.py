"""Mail addresses: parsing, their form in a header, and their form in the SMTP envelope.

The parser is our own and follows RFC 5322 (section 3.4) with RFC 6532's non-ASCII letters. The
standard library's ``getaddresses()`` finds addresses in text that holds none (CVE-2023-27043), and
which bugs it has depends on Python's patch level.

Domains are checked again *after* IDNA: its NFKC step turns full-width look-alikes into ``@`` and
``,``, which would make one address into two.
"""

import re
from email.charset import Charset
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.utils import formataddr
from typing import Any, Final, NamedTuple

#: RFC 5321, section 4.5.3.1.3: a path has 256 octets at most, its angle brackets included.
MAX_ENVELOPE_ADDRESS: Final = 254

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_SPACE: Final = re.compile(r"[ \t]+")
_ATOM: Final = re.compile(r'[^ \t()<>@,:;\\".\[\]]+')
_DOT_ATOM: Final = re.compile(r'[^ \t()<>@,:;\\".\[\]]+(?:\.[^ \t()<>@,:;\\".\[\]]+)*')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LITERAL: Final = re.compile(r"\[[^\[\]\\\s]*\]")
_LDH_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
# No host name by RFC 952, yet names like these live in container networks, and Django sends there.
_ASCII_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[\x21-\x5a\x5e-\x7e]+\]")


class Mailbox(NamedTuple):
    """One parsed address; ``local`` is unquoted, ``domain`` is empty where none was given."""

    name: str
    local: str
    domain: str


def sanitize_address(addr: Any, encoding: str | Charset) -> str:
    """Return an address in the form that a header takes.

    Args:
        addr: A str like ``Ann <ann@example.com>``, or a pair of name and address.
        encoding: Charset for a non-ASCII name or local part (RFC 2047).

    Raises:
        ValueError: It is not exactly one address, or it would break out of its header.
    """
    if isinstance(addr, tuple):
        name, address = (str(part) for part in addr)
        _refuse_control_characters(name, address)
        mailbox = _from_pair(name, address)
    else:
        addr = str(addr)
        _refuse_control_characters(addr)
        mailbox = _parse_one(addr)
    try:
        return _format(mailbox, encoding)
    except (UnicodeError, LookupError, HeaderParseError) as error:
        raise ValueError(f'Invalid address "{mailbox.local}@{mailbox.domain}": {error}') from error


def sanitize_address_list(value: str, encoding: str | Charset) -> str:
    """Return the comma-separated addresses of a header, each in the form that the header takes.

    Comments become part of the name, as ``Ünal (Sales) <u@example.com>`` is meant.

    Raises:
        ValueError: One of them is not an address with a domain.
    """
    _refuse_control_characters(value)
    sanitized = []
    for text in split_addresses(value):
        comments: list[str] = []
        mailbox = _parse_one(text, comments)
        if not mailbox.domain:
            raise ValueError(f'Invalid address "{mailbox.local}"')
        if comments:
            noted = " ".join(comments)
            name = f"{mailbox.name} ({noted})" if mailbox.name else noted
            mailbox = mailbox._replace(name=name)
        sanitized.append(_format(mailbox, encoding))
    return ", ".join(sanitized)


def envelope_address(addr: Any) -> str:
    """Return the bare address for ``MAIL FROM`` or ``RCPT TO`` (RFC 5321, section 4.1.2).

    The domain is ASCII (IDNA); the local part may be non-ASCII, which needs SMTPUTF8 (RFC 6531).

    Raises:
        ValueError: It is not exactly one mailbox, or longer than 254 octets.
    """
    addr = str(addr)
    _refuse_control_characters(addr)
    mailbox = _parse_one(addr)
    address = _addr_spec(mailbox, mailbox.local)
    if len(address.encode(errors="surrogateescape")) > MAX_ENVELOPE_ADDRESS:
        raise ValueError(
            f'Invalid address "{addr}"; longer than {MAX_ENVELOPE_ADDRESS} octets (RFC 5321)'
        )
    if any("\ud800" <= char <= "\udfff" for char in address):
        raise ValueError(f"Invalid address {addr!a}; it holds undecodable bytes")
    return address


def split_addresses(value: str) -> list[str]:
    """Split a header's list of addresses at the commas outside quotes, comments and brackets."""
    found = []
    start = position = 0
    while position < len(value):
        char = value[position]
        if char == '"' and (quoted := _QUOTED.match(value, position)):
            position = quoted.end()
        elif char == "(":
            position = _after_comment(value, position)
        else:
            if char == ",":
                found.append(value[start:position])
                start = position + 1
            position += 1
    found.append(value[start:])
    return [text.strip(" \t") for text in found if text.strip(" \t")]


def to_ascii_domain(domain: str) -> str:
    """Return a domain in ASCII, by IDNA where needed, and only if it is one afterwards.

    Raises:
        ValueError: After IDNA and its NFKC step something else than letters, digits, hyphens and
            dots is in it.
    """
    if domain.isascii():
        encoded, allowed = domain, _ASCII_DOMAIN
    else:
        allowed = _LDH_DOMAIN
        try:
            encoded = domain.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise ValueError(f"Invalid domain {domain!a}: {error}") from error
    if not allowed.fullmatch(encoded):
        raise ValueError(f"Invalid domain {domain!a}")
    return encoded


def _refuse_control_characters(*parts: str) -> None:
    for part in parts:
        if "\n" in part or "\r" in part:
            raise ValueError("Invalid address; address parts cannot contain newlines.")
        if found := _CONTROL.search(part):
            raise ValueError(
                f"Invalid address; address parts cannot contain control characters "
                f"(got {found[0]!a})."
            )


def _format(mailbox: Mailbox, encoding: str | Charset) -> str:
    # Encoded words must be unpacked first: what hides inside them counts for the checks, too.
    name = _decoded(mailbox.name) if "=?" in mailbox.name else mailbox.name
    local = mailbox.local
    if not local.isascii():
        local = Header(local, encoding).encode()
    # An ASCII name stays readable; going through Header folds it all the same.
    header = Header(name) if name.isascii() else Header(name, encoding)
    return formataddr((header.encode(), _addr_spec(mailbox, local)))


def _decoded(name: str) -> str:
    try:
        decoded = str(make_header(decode_header(name)))
    except (HeaderParseError, UnicodeError, LookupError, ValueError):
        return name
    _refuse_control_characters(decoded)
    return decoded


def _addr_spec(mailbox: Mailbox, local: str) -> str:
    if not _DOT_ATOM.fullmatch(local):
        local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
    if not mailbox.domain:
        return local
    try:
        return f"{local}@{to_ascii_domain(mailbox.domain)}"
    except ValueError as error:
        raise ValueError(f'Invalid address "{mailbox.local}@{mailbox.domain}": {error}') from error


def _from_pair(name: str, address: str) -> Mailbox:
    local, at, domain = address.strip(" \t").rpartition("@")
    if not at or not local or not domain:
        raise ValueError(f'Invalid address "{address}"')
    if quoted := _QUOTED.fullmatch(local):
        local = _unquote(quoted[1])
    return Mailbox(name, local, domain)


def _parse_one(addr: str, comments: list[str] | None = None) -> Mailbox:
    mailbox, end = _parse(addr, [] if comments is None else comments)
    if end < len(addr):
        if addr[end] == "@":
            raise ValueError(f'Invalid address "{addr}"')
        raise ValueError(f'Invalid address; only {addr[:end]} could be parsed from "{addr}"')
    return mailbox


def _parse(text: str, comments: list[str]) -> tuple[Mailbox, int]:
    """Read one mailbox from the start of ``text``; tell where it ends, collect its comments."""
    words, end = _read_words(text, 0, comments)
    name = ""
    bracketed = text[end : end + 1] == "<"
    if bracketed:
        name = words
        words, end = _read_words(text, end + 1, comments)
    if not words:
        raise ValueError(f'Invalid address "{text}"')
    domain = ""
    if text[end : end + 1] == "@":
        domain, end = _read_domain(text, end + 1, comments)
    if bracketed:
        if text[end : end + 1] != ">":
            raise ValueError(f'Invalid address "{text}"')
        end = _skip(text, end + 1, comments)
    return Mailbox(name, words, domain), end


def _read_words(text: str, position: int, comments: list[str]) -> tuple[str, int]:
    """Read atoms, quoted strings and dots; blanks between two words become one."""
    read = ""
    after_dot = True
    while True:
        before, position = position, _skip(text, position, comments)
        blank = " " if position > before and not after_dot else ""
        if found := _QUOTED.match(text, position):
            read += blank + _unquote(found[1])
            after_dot = False
        elif found := _ATOM.match(text, position):
            read += blank + found[0]
            after_dot = False
        elif text[position : position + 1] == "." and read:
            read += "."
            after_dot = text[position + 1 : position + 2] not in {" ", "\t"}
            position += 1
            continue
        else:
            return read, position
        position = found.end()


def _read_domain(text: str, start: int, comments: list[str]) -> tuple[str, int]:
    position = _skip(text, start, comments)
    found = _LITERAL.match(text, position) or _DOT_ATOM.match(text, position)
    if not found or text[found.end() : found.end() + 1] == ".":
        raise ValueError(f'Invalid address "{text}"')
    return found[0], _skip(text, found.end(), comments)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _skip(text: str, position: int, comments: list[str]) -> int:
    """Step over blanks and comments (CFWS)."""
    while True:
        if blank := _SPACE.match(text, position):
            position = blank.end()
        elif text[position : position + 1] == "(":
            after = _after_comment(text, position)
            if after == len(text) and text[-1] != ")":
                raise ValueError(f'Invalid address "{text}"')
            comments.append(_unquote(text[position + 1 : after - 1]))
            position = after
        else:
            return position


def _after_comment(text: str, position: int) -> int:
    """Where the comment that opens here closes; the end of the text where it never does."""
    depth = 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return position + 1
        position += 1
    return len(text)
