import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue.addresses import (
    envelope_address,
    sanitize_address,
    sanitize_address_list,
    split_addresses,
    to_ascii_domain,
)


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("ann@example.com", "ann@example.com"),
        ("<ann@example.com>", "ann@example.com"),
        ("Ann <ann@example.com>", "Ann <ann@example.com>"),
        ("Ann B. <ann@example.com>", '"Ann B." <ann@example.com>'),
        ('"B, Ann" <ann@example.com>', '"B, Ann" <ann@example.com>'),
        ("(note (nested \\)) more) ann@example.com (end)", "ann@example.com"),
        ("Änn <ann@example.com>", "=?utf-8?q?=C3=84nn?= <ann@example.com>"),
        ("=?utf-8?b?w4Rubg==?= <ann@example.com>", "=?utf-8?q?=C3=84nn?= <ann@example.com>"),
        ("=?nonsense?q?x?= <ann@example.com>", "=?nonsense?q?x?= <ann@example.com>"),
        ("ann@éxample.com", "ann@xn--xample-9ua.com"),
        ('"ann b"@example.com', '"ann b"@example.com'),
        ('"a\\"b"@example.com', '"a\\"b"@example.com'),
        ("ann@[127.0.0.1]", "ann@[127.0.0.1]"),
        ("ann@mail_server", "ann@mail_server"),
        ("root", "root"),
        (("Ann", "ann@example.com"), "Ann <ann@example.com>"),
        (("", "ann@example.com"), "ann@example.com"),
        (("Ann", '"ann b"@example.com'), 'Ann <"ann b"@example.com>'),
        (("Ann", "to@other.com@example.com"), 'Ann <"to@other.com"@example.com>'),
        (("A " * 50, "a@b.org"), None),
    ],
)
def test_sanitized(address, result):
    sanitized = sanitize_address(address, "utf-8")
    if result is None:
        assert all(len(line) < 100 for line in sanitized.split("\n"))
    else:
        assert sanitized == result


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("", 'Invalid address ""'),
        ("@", 'Invalid address "@"'),
        ("a@", 'Invalid address "a@"'),
        ("a@b@c.org", 'Invalid address "a@b@c.org"'),
        ("a@b..org", 'Invalid address "a@b..org"'),
        ("Ann <ann@example.com", "Invalid address"),
        ("(open ann@example.com", "Invalid address"),
        ("a@b.org, c@d.org", 'only a@b.org could be parsed from "a@b.org, c@d.org"'),
        ("A <a@b.org> more", "could be parsed"),
        ("list: a@b.org;", "could be parsed"),
        ("a@b.org\nBcc: x", "Invalid address; address parts cannot contain newlines."),
        (("A\r", "a@b.org"), "Invalid address; address parts cannot contain newlines."),
        ("A\x0b <a@b.org>", "control characters"),
        ("=?utf-8?q?a=0Ab?= <a@b.org>", "newlines"),
        (("Ann", "ann"), 'Invalid address "ann"'),
        (("Ann", ""), 'Invalid address ""'),
        ("t@example.com\ufe50evil\uff20other.com", "Invalid address"),
        ("t@éxample.com\uff1e", "Invalid address"),
        ("t@" + "é" * 70 + ".com", "Invalid address"),
        (("é", "a@b\u3002c d.org"), "Invalid address"),
    ],
)
def test_refused(address, error):
    with pytest.raises(ValueError, match="Invalid address") as caught:
        sanitize_address(address, "utf-8")
    assert error in str(caught.value)


def test_what_a_charset_cannot_say_is_refused():
    with pytest.raises(ValueError, match="Invalid address"):
        sanitize_address("漢 <a@b.org>", "iso-8859-1")


def test_lists():
    assert split_addresses('"a, b" <a@b.org>, (c, d) e@f.org,, g') == [
        '"a, b" <a@b.org>',
        "(c, d) e@f.org",
        "g",
    ]
    with pytest.raises(ValueError, match="Invalid address"):
        sanitize_address_list("a@b.org, é", "utf-8")
    assert sanitize_address_list("Ann (Sales) <a@b.org>, c@d.org (Ünal)", "utf-8") == (
        '"Ann (Sales)" <a@b.org>, =?utf-8?b?w5xuYWw=?= <c@d.org>'
    )


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("Ann <ann@Éxample.com>", "ann@xn--xample-9ua.com"),
        ('"ann b"@example.com', '"ann b"@example.com'),
        ("ünal@example.com", "ünal@example.com"),
    ],
)
def test_envelope(address, result):
    assert envelope_address(address) == result


@pytest.mark.parametrize(
    "address",
    [
        "a@b.org, c@d.org",
        "a@b.org c@d.org",
        "",
        "a" * 250 + "@b.org",
        "\udce9@b.org",
        "a@b.org\r\n",
    ],
)
def test_the_envelope_takes_one_mailbox(address):
    with pytest.raises(ValueError, match="Invalid address"):
        envelope_address(address)


@given(st.text(max_size=30))
def test_domains_are_domains_after_idna(domain):
    try:
        ascii_domain = to_ascii_domain(domain)
    except ValueError:
        return
    assert ascii_domain.isascii()
    assert not set(ascii_domain) & set(' ,;:<>()"\\@\t\r\n')


LOCAL = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)


@given(LOCAL)
def test_a_local_part_comes_back(local):
    quoted = local.replace("\\", "\\\\").replace('"', '\\"')
    envelope = envelope_address(f'"{quoted}"@example.com')
    assert envelope_address(envelope) == envelope
    assert envelope in {f"{local}@example.com", f'"{quoted}"@example.com'}
