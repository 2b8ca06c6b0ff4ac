"""Every place where mailqueue differs from Django 5.2 on purpose: what was tried, and why.

``test_mail_django_differences.py`` runs each ``probe`` with both and compares with what is said
here; the table in ``docs/mail-api.md`` is written from this list (``make docs``).

A probe is an expression over ``api``, the tools in ``django_probes.py`` for one of the two
implementations. ``django`` and ``ours`` are what it gives: the ``repr`` of its value, or the name
of the error that it raises. ``*`` stands for anything, where Python versions differ.
"""

from typing import NamedTuple


class Difference(NamedTuple):
    name: str
    probe: str
    django: str
    ours: str
    why: str


_SPLITS = "the standard library ends a line at each of these, so a header would begin there"
_TWICE = "a message with two of them is read differently by different programs"

DIFFERENCES = [
    # Headers
    *(
        Difference(
            f"U+{ord(char):04X} in a header value",
            f"api.header_names(headers={{'X-A': {f'a{char}b: 1'!r}}})",
            "*",
            "BadHeaderError",
            _SPLITS if char not in "\x00\x7f" else "no control character belongs into a header",
        )
        for char in "\x00\x0b\x0c\x1c\x1d\x1e\x7f\x85\u2028\u2029"
    ),
    Difference(
        "line break in a header name",
        "api.header_names(headers={'X-A: 1\\nEvil': 'x'})",
        "*",
        "BadHeaderError",
        "it would inject a header",
    ),
    Difference(
        "space in a header name",
        "api.header_names(headers={'X A': 'x'})",
        "*",
        "BadHeaderError",
        "RFC 5322 allows none; what follows would be taken for the body",
    ),
    Difference(
        "U+2028 in a file name",
        "api.attached('a\\u2028Evil: 1.txt', b'x')",
        "*",
        "BadHeaderError",
        _SPLITS,
    ),
    Difference(
        "line break in a mimetype",
        "api.attached('a', b'x', 'image/png\\nEvil: 1')",
        "*",
        "BadHeaderError",
        "it would inject a header",
    ),
    Difference(
        "mimetype without a slash",
        "api.attached('a', b'x', 'image')",
        "ValueError",
        "BadHeaderError",
        "still a ValueError, and one that says which attachment",
    ),
    Difference(
        "quote in an encoding",
        "api.header_names(encoding='utf-8\"; x=\"')",
        "LookupError",
        "BadHeaderError",
        "it would add a parameter to Content-Type",
    ),
    Difference(
        "unknown encoding",
        "api.header_names(encoding='nope')",
        "LookupError",
        "ValueError",
        "every refusal of a message is a ValueError or TypeError",
    ),
    Difference(
        "Bcc among the headers",
        "api.header_names(headers={'Bcc': 'c@example.com'})",
        "*",
        "BadHeaderError",
        "it would show the blind copies",
    ),
    *(
        Difference(
            f"{name} among the headers",
            f"api.header_names(headers={{{name!r}: {value!r}}})",
            "*",
            "BadHeaderError",
            _TWICE,
        )
        for name, value in (
            ("Subject", "2"),
            ("Content-Type", "text/html"),
            ("MIME-Version", "1.0"),
        )
    ),
    Difference(
        "a once-only header in two letter cases",
        "api.header_names(headers={'Date': 'x', 'date': 'y'})",
        "*",
        "BadHeaderError",
        _TWICE,
    ),
    Difference(
        "lines of at most 998 octets for a subject of 2,000 letters",
        "api.longest_line(subject='x' * 2000) <= 998",
        "False",
        "True",
        "RFC 5322 allows 998 octets a line; it is encoded, which can be split",
    ),
    Difference(
        "lines of at most 998 octets for another header of 2,000 letters",
        "api.longest_line(headers={'X-A': 'x' * 2000}) <= 998",
        "False",
        "BadHeaderError",
        "RFC 5322 allows 998 octets a line; encoding it could change its sense",
    ),
    Difference(
        "a datetime as Date",
        "api.date_header(datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.UTC))",
        "'2026-11-21 10:00:00+00:00'",
        "'Sat, 21 Nov 2026 10:00:00 +0000'",
        "the form of RFC 5322",
    ),
    # Addresses
    Difference(
        "domain that turns into two addresses",
        "api.sanitize('t@example.com\\ufe52evil\\uff20other.com')",
        "*",
        "ValueError",
        "IDNA's normalisation turns look-alikes into a comma and an at sign",
    ),
    Difference(
        "control character in an address",
        "api.sanitize('a\\x0b@example.com')",
        "*",
        "ValueError",
        "no control character belongs into a header",
    ),
    Difference(
        "unclosed `<`",
        "api.sanitize('Ann <a@example.com')",
        "'Ann <a@example.com>'",
        "ValueError",
        "what was meant is anybody's guess",
    ),
    Difference(
        "two dots in a local part",
        "api.sanitize('a..b@example.com')",
        "'a..b@example.com'",
        "'\"a..b\"@example.com'",
        "RFC 5321 wants it quoted",
    ),
    Difference(
        "odd character in a domain",
        "api.sanitize('a@exa!mple.com')",
        "'a@exa!mple.com'",
        "ValueError",
        "no such domain can exist",
    ),
    Difference(
        "empty entries in to",
        "api.to_header(['', None, 'c@example.com'])",
        "', None, c@example.com'",
        "'c@example.com'",
        "they are no recipients, so the header does not name them",
    ),
    Difference(
        "a str assigned to `to` later",
        "api.header_names(to='c@example.com')",
        "*",
        "TypeError",
        "each letter would be a recipient",
    ),
    Difference(
        "non-ASCII local part without SMTPUTF8",
        "api.smtp_recipients(['ü@example.com'])",
        "['=?utf-8?b?w7w=?=@example.com']",
        "AddressNotSupportedError",
        "the encoded word is another mailbox",
    ),
    Difference(
        "recipient of 300 octets",
        "api.smtp_recipients(['a' * 300 + '@example.com']) and 'sent'",
        "'sent'",
        "ValueError",
        "RFC 5321 allows 254; the server's refusal would come later",
    ),
    # Content
    Difference(
        "a NUL in the body is written as it is",
        "b'\\0' in api.bytes_of(body='a\\0b')",
        "True",
        "False",
        "no server need take it; the text becomes quoted-printable",
    ),
    Difference(
        "lines of at most 998 octets for an ASCII line of 1,200",
        "api.longest_line(body='x' * 1200, encoding='us-ascii') <= 998",
        "False",
        "True",
        "RFC 5322 allows 998 octets a line",
    ),
    Difference(
        "bytes as body are written as UTF-8",
        "b'\\xc3\\xa9' in api.bytes_of(body='é'.encode())",
        "AttributeError",
        "True",
        "they are UTF-8 text",
    ),
    Difference(
        "text for a binary attachment",
        "api.attached_bytes('a.bin', 'é')",
        "b'\\xe9'",
        "b'\\xc3\\xa9'",
        "text is UTF-8 everywhere else",
    ),
    Difference(
        "a MIMEPart as attachment",
        "api.attached_part_type()",
        "*",
        "'text/plain'",
        "the standard library's modern class is a MIME part like the older ones",
    ),
    # Backends
    Difference(
        "backend that does not exist",
        "api.mail.get_connection('nope.Backend')",
        "ModuleNotFoundError",
        "ConfigurationError",
        "the error names the setting and what it should look like",
    ),
    Difference(
        "filebased without a directory",
        "api.backend('filebased')()",
        "TypeError",
        "ConfigurationError",
        "the error names the setting",
    ),
    Difference(
        "permissions of filebased's files",
        "api.file_mode()",
        "'0o644'",
        "'0o600'",
        "mail is nobody else's business",
    ),
    Difference(
        "console and an empty list",
        "api.backend('console')(stream=io.StringIO()).send_messages([])",
        "None",
        "0",
        "a count, as from every other backend",
    ),
    Difference(
        "console and undecodable bytes",
        "api.backend('console')(stream=io.StringIO()).send_messages([api.made(body='a\\udcff')])",
        "*",
        "1",
        "development should not stop at one byte",
    ),
    Difference(
        "OSError while sending with fail_silently",
        "api.smtp_count(ConnectionResetError(), fail_silently=True)",
        "ConnectionResetError",
        "0",
        "silence covers the network, too",
    ),
    Difference(
        "a connection that died is kept",
        "api.smtp_keeps_dead_connection()",
        "True",
        "False",
        "the next message would fail on it",
    ),
    Difference(
        "authorities are trusted beside a client certificate",
        "api.trusts_authorities_with_client_certificate()",
        "False",
        "True",
        "without authorities no server's certificate can be verified",
    ),
    Difference(
        "pickling a message that holds an SMTP connection",
        "type(pickle.loads(pickle.dumps(api.made(connection=api.backend('smtp')())))).__name__",
        "TypeError",
        "'EmailMessage'",
        "the connection stays behind",
    ),
]
