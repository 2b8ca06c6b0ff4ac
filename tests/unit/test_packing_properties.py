"""Whatever a message says when it enters the queue, it says when it comes out."""

import contextlib
import copy
import datetime as dt
import email.policy
import enum
import json
import math
import re
import threading
from email.charset import BASE64, QP, Charset
from email.message import EmailMessage as ModernMessage
from email.message import Message, MIMEPart
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailqueue import configure
from mailqueue.attachments import EmailAttachment
from mailqueue.envelope import Envelope
from mailqueue.errors import BadHeaderError, DecodeError, EncodeError
from mailqueue.message import EmailMessage, EmailMultiAlternatives
from mailqueue.options import Options
from mailqueue.packing import pack_message
from mailqueue.raw import RawMessage
from mailqueue.unpacking import unpack_message

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BOUNDARY = re.compile(rb"={15}\d+==")

thorough = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


# The round trip


def travel(message: Any) -> Any:
    return unpack_message(Envelope.decode(pack_message(message).encode()))


def mime_bytes(message: Any) -> bytes | type[Exception]:
    """Its bytes with counted boundaries, which are random; or why there are none."""
    try:
        data = message.message().as_bytes()
    except ValueError as error:
        return type(error)
    seen: dict[bytes, bytes] = {}
    return BOUNDARY.sub(lambda m: seen.setdefault(m[0], b"BOUNDARY-%d" % len(seen)), data)


def same_after_the_queue(message: Any) -> Any:
    """Send it through; the copy, once it was found equal."""
    before = {
        name: copy.copy(value) if isinstance(value, list | dict) else value
        for name, value in vars(message).items()
    }
    envelope = pack_message(message)
    assert vars(message) == before

    document = envelope.encode()
    assert isinstance(json.loads(document), dict)
    document.encode()  # no lone surrogates: UTF-8 has them all
    carried = unpack_message(Envelope.decode(document.encode()))

    # What a message makes up while it is built, the envelope has fixed.
    given_names = {name.lower() for name in message.extra_headers}
    made_up = {
        name: value
        for name, value in envelope.headers
        if name in {"Date", "Message-ID"} and name.lower() not in given_names
    }
    original = copy.copy(message)
    original.extra_headers = {**made_up, **message.extra_headers}
    assert mime_bytes(carried) == mime_bytes(original)
    assert carried.recipients() == message.recipients()
    return carried


def as_json_has_it(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [as_json_has_it(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json_has_it(item) for key, item in value.items()}
    return value


# What messages are made of

ESCAPED = st.binary(max_size=30).map(lambda data: data.decode("utf-8", "surrogateescape"))
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
LONG_LINES = st.sampled_from(["x" * 999, "ä" * 600, "From here\n" + "y " * 700])
FROM_LINES = st.just("From me\nto you\n\nFrom both\n.\n..\n")
TEXT = PLAIN | LATIN | ESCAPED | LONG_LINES | FROM_LINES
SUBJECTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120
) | st.sampled_from(["", "Grüße aus Köln", "x" * 1500])
ADDRESSES = st.sampled_from(
    [
        "ann@example.com",
        "Ann <ann@example.com>",
        '"Lee, Bob" <bob@example.org>',
        "Jürgen Groß <jg@müller.example>",
        "日本 <nihon@example.jp>",
        "",
    ]
)
PEOPLE = st.lists(ADDRESSES, max_size=3) | st.lists(ADDRESSES, max_size=2).map(tuple)
FILE_NAMES = st.none() | st.sampled_from(
    ["a.txt", "b.pdf", "c.eml", "noextension", "Über uns.html", "日本.png", 'q"uote.csv', ""]
)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
INSTANTS = st.datetimes() | st.datetimes(timezones=OFFSETS)

STRANGE_CHARSET = Charset("iso-8859-1")
STRANGE_CHARSET.header_encoding = QP
STRANGE_CHARSET.body_encoding = BASE64
ENCODINGS = st.sampled_from(
    [None, "utf-8", "iso-8859-1", "us-ascii", Charset("utf-8"), STRANGE_CHARSET]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "X-Text": SUBJECTS,
        "X-Count": st.integers(-(2**63), 2**63 - 1),
        "X-Share": st.floats(allow_nan=False, allow_infinity=False),
        "X-Flag": st.booleans() | st.none(),
        "X-When": INSTANTS | st.dates(),
        "Date": INSTANTS | st.just("Fri, 21 Nov 1997 09:55:06 -0600"),
        "message-id": st.just("<own@example.com>"),
        "From": st.just("Other <other@example.com>"),
        "To": st.just("undisclosed-recipients:;"),
        "Reply-To": ADDRESSES,
        "Sender": ADDRESSES.filter(bool),
        "In-Reply-To": st.just("<earlier@example.com>"),
    },
)
INNER_HEADERS = {"Date": "Fri, 21 Nov 1997 09:55:06 -0600", "Message-ID": "<inner@example.com>"}


def image() -> MIMEImage:
    part = MIMEImage(PNG, "png")
    part.add_header("Content-ID", "<logo>")
    part.add_header("Content-Disposition", "inline", filename="logo.png")
    return part


def binary_part() -> MIMEBase:
    part = MIMEBase("application", "x-own", name="späte Daten")
    part.set_payload("raw text, no transfer encoding\nFrom here on\n")
    return part


def eight_bit_part() -> Message:
    part = MIMEBase("text", "plain", charset="utf-8")
    part["Content-Transfer-Encoding"] = "8bit"
    part.set_payload("Grüße".encode().decode("ascii", "surrogateescape"))
    return part


def related_part() -> MIMEMultipart:
    part = MIMEMultipart("related")
    part.attach(MIMEText("<img src='cid:logo'>", "html"))
    part.attach(image())
    return part


def modern_part(policy: Any = email.policy.default) -> MIMEPart:
    part = MIMEPart(policy)
    part.set_content("Grüße vom neuen Teil\nFrom line\n")
    part.add_header("Content-Disposition", "attachment", filename="Grüße " * 20 + ".txt")
    return part


def modern_message(policy: Any = email.policy.default) -> ModernMessage:
    inner = ModernMessage(policy)
    inner["Subject"] = "Grüße " * 30
    inner["To"] = "Jürgen <j@example.com>"
    inner.set_content("Neu: äöü\n")
    inner.add_attachment(PNG, "image", "png", filename="ä.png")
    return inner


def our_message() -> EmailMultiAlternatives:
    inner = EmailMultiAlternatives(
        "Innen", "From inside\n", "a@example.com", ["b@example.com"], headers=INNER_HEADERS
    )
    inner.attach_alternative("<p>Innen", "text/html")
    inner.attach("x.bin", PNG)
    return inner


def old_message() -> Message:
    inner = email.message_from_string("Subject: old\nX-Long: " + "word " * 60 + "\n\nFrom old\n")
    assert isinstance(inner, Message)
    return inner


RFC822 = "message/rfc822"
MADE = st.sampled_from(
    [
        image,
        binary_part,
        eight_bit_part,
        related_part,
        modern_part,
        lambda: modern_part(email.policy.SMTP),
        lambda: MIMEText("From the start\nof a line: é", "plain", "utf-8"),
        lambda: MIMEText("From the start\n", "plain"),
        lambda: MIMEApplication(PNG, name="a.bin"),
        lambda: ("inner.eml", our_message(), RFC822),
        lambda: EmailAttachment(None, old_message(), RFC822),
        lambda: ("inner.eml", old_message()),
        lambda: ("inner.bin", old_message(), "application/octet-stream"),
        lambda: ("modern.eml", modern_message(), RFC822),
        lambda: ("modern.eml", modern_message(email.policy.SMTPUTF8), RFC822),
        lambda: ("text.eml", "Subject: text\n\nFrom ä\n", RFC822),
        lambda: ("bytes.eml", b"Subject: bytes\r\n\r\n\xff\xfe\n", RFC822),
        lambda: (Path("folder/report.pdf"), b"%PDF"),
    ]
).map(lambda make: make())
CONTENTS = TEXT | st.binary(max_size=60) | st.just(PNG) | st.just(b"From \xe4\n")
MEDIA_TYPES = st.sampled_from(
    ["text/plain", "text/html", "text/calendar; method=REQUEST", "image/png", "application/json"]
)
ATTACHMENTS = st.lists(
    MADE
    | st.tuples(FILE_NAMES, CONTENTS)
    | st.tuples(FILE_NAMES, CONTENTS, st.none() | MEDIA_TYPES)
    | st.builds(EmailAttachment, FILE_NAMES, CONTENTS, MEDIA_TYPES),
    max_size=3,
)
ALTERNATIVES = st.lists(st.tuples(CONTENTS, MEDIA_TYPES), max_size=2)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=10)
    | st.binary(max_size=10)
    | INSTANTS
    | st.dates()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(PLAIN.map(lambda text: text[:8]), inner, max_size=3)
    ),
    max_leaves=8,
)
EXTRAS = st.dictionaries(
    st.sampled_from(
        [
            "tags",
            "metadata",
            "merge_data",
            "merge_global_data",
            "template_id",
            "esp_extra",
            "envelope_sender",
            "send_at",
            "track_opens",
            "raw",
            "_private",
            "größe",
        ]
    ),
    TREES,
    max_size=4,
)


@st.composite
def messages(draw: Any) -> EmailMessage:
    cls: type[EmailMessage] = draw(st.sampled_from([EmailMessage, EmailMultiAlternatives]))
    message = cls(
        draw(SUBJECTS),
        draw(st.none() | TEXT | st.binary(max_size=60)),
        draw(st.none() | ADDRESSES),
        draw(PEOPLE),
        draw(PEOPLE),
        headers=draw(HEADERS),
        cc=draw(PEOPLE),
        reply_to=draw(PEOPLE),
    )
    attachments = draw(ATTACHMENTS)
    if draw(st.booleans()):
        # Put there by hand, as many an application does: nothing is settled by attach().
        message.attachments = attachments
    else:
        for attachment in attachments:
            message.attach(*(attachment if isinstance(attachment, tuple) else (attachment,)))
    if isinstance(message, EmailMultiAlternatives):
        for alternative in draw(ALTERNATIVES):
            message.attach_alternative(*alternative)
        message.alternative_subtype = draw(st.sampled_from(["alternative", "related"]))
    message.encoding = draw(ENCODINGS)
    message.content_subtype = draw(st.sampled_from(["plain", "html", "x-own; format=flowed"]))
    message.mixed_subtype = draw(st.sampled_from(["mixed", "related", "report"]))
    return message


@thorough
@given(messages(), EXTRAS)
def test_a_message_that_went_through_the_queue_has_the_same_bytes(
    message: EmailMessage, extra: dict[str, Any]
) -> None:
    for name, value in extra.items():
        setattr(message, name, value)
    if isinstance(error := mime_bytes(message), type):
        # It can never be sent; where it has to be built to be carried, that is said at once.
        with contextlib.suppress(error):
            same_after_the_queue(message)
        return
    carried = same_after_the_queue(message)
    for name, value in extra.items():
        assert getattr(carried, name) == as_json_has_it(value)


@pytest.mark.parametrize("kind", range(18))
@pytest.mark.parametrize("by_hand", [False, True])
def test_each_kind_of_attachment_comes_through(kind: int, by_hand: bool) -> None:
    made = _every_kind()[kind]
    message = EmailMultiAlternatives("s", "From body\n", "a@example.com", ["b@example.com"])
    if by_hand:
        message.attachments.append(made)
    else:
        message.attach(*(made if isinstance(made, tuple) else (made,)))
    assert isinstance(mime_bytes(message), bytes)
    carried = same_after_the_queue(message)
    assert len(carried.attachments) == 1 or isinstance(carried, RawMessage)


def _every_kind() -> list[Any]:
    return [
        image(),
        binary_part(),
        eight_bit_part(),
        related_part(),
        modern_part(),
        modern_part(email.policy.SMTP),
        MIMEText("From the start\n", "plain"),
        MIMEApplication(PNG, name="a.bin"),
        ("inner.eml", our_message(), RFC822),
        EmailAttachment(None, old_message(), RFC822),
        ("inner.eml", old_message()),
        ("inner.bin", old_message(), "application/octet-stream"),
        ("modern.eml", modern_message(), RFC822),
        ("modern.eml", modern_message(email.policy.SMTPUTF8), RFC822),
        ("text.eml", "Subject: text\n\nFrom ä\n", RFC822),
        ("bytes.eml", b"Subject: bytes\r\n\r\n\xff\xfe\n", RFC822),
        ("data.csv", b"a,b\n"),
        (Path("folder/report.pdf"), b"%PDF"),
    ]


def test_mime_parts_travel_as_fields_and_do_not_make_the_message_raw() -> None:
    for part in (image(), binary_part(), modern_part(), MIMEText("From here\n")):
        message = mail()
        message.attach(part)
        assert pack_message(message).kind == "EmailMessage"


def test_a_mime_part_that_would_not_come_back_the_same_makes_the_message_raw() -> None:
    part = MIMEBase("text", "plain")
    part.set_payload("text")
    part["X-Odd"] = "a\n\nb"  # ends the part's header when it is read again
    message = mail()
    message.attach(part)
    assert pack_message(message).kind == "raw"
    same_after_the_queue(message)


def test_a_modern_message_body_keeps_its_lines_that_begin_with_from() -> None:
    message = mail()
    message.attach(MIMEText("From me\n", "plain"))
    assert b"\nFrom me\n" in travel(message).message().as_bytes()


def test_a_message_with_every_charset_field_changed_keeps_them_all() -> None:
    charset = Charset("utf-8")
    charset.header_encoding = BASE64
    charset.body_encoding = QP
    message = mail(body="Grüße " * 300)
    message.encoding = charset
    carried = same_after_the_queue(message)
    assert vars(carried.encoding) == vars(charset)


# Text that is not quite a str


class SafeString(str):
    """As Django's: ``str()`` of it is itself, which JSON encoders do not know."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


class Colour(str, enum.Enum):  # noqa: UP042 - people have such ones
    RED = "red"


class __proxy__:  # noqa: N801 - Django's name for lazy translations
    def __str__(self) -> str:
        return SafeString("faul übersetzt")


def test_safe_and_lazy_strings_travel_in_every_field() -> None:
    safe, lazy = SafeString("<b>ü</b>"), __proxy__()
    message = EmailMultiAlternatives(
        lazy, safe, SafeString("a@example.com"), [SafeString("b@example.com")]
    )
    message.extra_headers = {SafeString("X-Safe"): safe, "X-Lazy": lazy}
    message.encoding = SafeString("utf-8")
    message.attach_alternative(safe, SafeString("text/html"))
    message.attach(SafeString("a.html"), safe, SafeString("text/html"))
    vars(message)["metadata"] = {SafeString("key"): safe, "lazy": lazy}
    carried = same_after_the_queue(message)
    assert carried.metadata == {"key": "<b>ü</b>", "lazy": "faul übersetzt"}


def test_enumerations_of_text_travel_as_their_values_and_in_headers_as_they_are_written() -> None:
    message = mail(headers={"X-Colour": Colour.RED})
    message.tags = [Colour.RED]
    carried = same_after_the_queue(message)
    assert carried.tags == ["red"]


# Subclasses


def mail(cls: Any = EmailMessage, body: Any = "body", **kwargs: Any) -> Any:
    return cls("subject", body, "a@example.com", ["b@example.com"], **kwargs)


class Newsletter(EmailMultiAlternatives):
    content_subtype = "html"
    tags: ClassVar = ["news"]
    template_id = 7

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.metadata = {"issue": 3}

    def campaign(self) -> str:
        return "autumn"


class Signed(EmailMessage):
    def message(self) -> Any:
        built = super().message()
        built["X-Signature"] = "=" * 20
        return built


class Bare(EmailMessage):
    """Builds its MIME from nothing, without Date and Message-ID."""

    def message(self) -> Any:
        built = Message()
        built["Subject"] = "bare"
        built.set_payload("bare\n")
        return built


class Redirected(EmailMessage):
    def recipients(self) -> list[Any]:
        return ["everything@example.com"]


class Mixin:
    def _text(self, encoding: Any) -> Any:
        raise NotImplementedError


class Mixed(Mixin, EmailMessage):
    def _text(self, encoding: Any) -> Any:
        text = EmailMessage._text(self, encoding)
        text["X-Mixed"] = "yes"
        return text


def test_a_harmless_subclass_travels_as_fields_with_its_attributes_and_those_of_its_class() -> None:
    message = mail(Newsletter)
    message.attach_alternative("<p>", "text/html")
    assert pack_message(message).kind == "EmailMultiAlternatives"
    carried = same_after_the_queue(message)
    assert (carried.tags, carried.template_id, carried.metadata) == (["news"], 7, {"issue": 3})


@pytest.mark.parametrize("cls", [Signed, Redirected, Mixed])
def test_a_subclass_that_builds_or_addresses_by_itself_travels_raw(cls: Any) -> None:
    message = mail(cls, bcc=["c@example.com"])
    message.raw = "an attribute of this name is not the message"
    message.tags = ["x"]
    assert pack_message(message).kind == "raw"
    carried = same_after_the_queue(message)
    assert (carried.raw, carried.tags, carried.subject) == (message.raw, ["x"], "subject")


def test_a_raw_message_without_date_and_id_gets_those_of_its_envelope() -> None:
    envelope = pack_message(mail(Bare))
    built = unpack_message(envelope).message()
    assert built["Message-ID"] == envelope.message_id
    assert built["Date"] == dict(envelope.headers)["Date"]
    assert built.get_payload() == "bare\n"


def test_a_raw_message_takes_its_date_from_the_headers_where_they_have_it() -> None:
    when = dt.datetime(2026, 3, 4, 5, 6, tzinfo=dt.UTC)
    built = unpack_message(pack_message(mail(Bare, headers={"Date": when}))).message()
    assert built["Date"] == "Wed, 04 Mar 2026 05:06:00 +0000"


def test_no_header_is_smuggled_into_a_raw_message() -> None:
    with pytest.raises(BadHeaderError, match="Message-ID"):
        pack_message(mail(Bare, headers={"Message-ID": "<a@b>\nBcc: c@example.com"}))


def test_a_raw_message_that_came_out_of_the_queue_can_enter_it_again() -> None:
    once = travel(mail(Signed))
    del once.recipients  # an attempt's own
    twice = travel(once)
    assert twice.message().as_bytes() == once.message().as_bytes()
    assert copy.deepcopy(twice).message().as_bytes() == once.message().as_bytes()


# What cannot be carried


class Slow:
    """An object like any other."""


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), r"thing is a object"),
        ({1, 2}, r"thing is a set"),
        (len, r"thing is a builtin_function_or_method"),
        (threading.Lock(), r"thing is a lock"),
        (Slow(), r"thing is a Slow"),
        (math.nan, r"thing is nan"),
        ([1, math.inf], r"thing\[1\] is inf"),
        (2**63, r"thing is beyond 64 bits"),
        ({"a": {"b": [0, {"c": -(2**64)}]}}, r"thing\['a'\]\['b'\]\[1\]\['c'\] is beyond"),
        ({"a": (1, frozenset())}, r"thing\['a'\]\[1\] is a frozenset"),
        ({1: "x"}, r"thing has the key 1"),
        ({"a": {None: "x"}}, r"thing\['a'\] has the key None"),
        ({"\ud800": "x"}, r"thing has the key"),
        ({"$mailqueue": "x"}, r"thing has the key"),
        (CYCLE, r"thing\[0\]\[0\].*contains itself"),
        (dt.timedelta(1), r"thing is a timedelta"),
    ],
)
def test_an_attribute_that_cannot_be_carried_is_refused_by_its_path(value: Any, path: str) -> None:
    message = mail()
    message.thing = value
    with pytest.raises(EncodeError, match=f"^{path}"):
        pack_message(message)


def test_what_is_private_stays_behind_where_it_cannot_be_carried() -> None:
    message = mail()
    message._lock, message._note = threading.Lock(), "kept"
    carried = travel(message)
    assert carried._note == "kept"
    assert not hasattr(carried, "_lock")


def test_the_refusal_tells_how_to_leave_an_attribute_behind() -> None:
    message = mail()
    message.user = object()
    with pytest.raises(EncodeError, match=r"user is a object.*'_' in front"):
        pack_message(message)


def test_a_class_attribute_that_cannot_be_carried_is_refused_like_any_other() -> None:
    class WithSet(EmailMessage):
        tags: ClassVar = {"a", "b"}

    with pytest.raises(EncodeError, match=r"^tags is a set"):
        pack_message(mail(WithSet))


@pytest.mark.parametrize("name", ["message", "recipients", "_text"])
@pytest.mark.parametrize("value", [lambda *_: [], "text"])
def test_a_method_replaced_on_the_instance_is_refused(name: str, value: Any) -> None:
    message = mail()
    vars(message)[name] = value
    with pytest.raises(EncodeError, match=f"^{name} was replaced"):
        pack_message(message)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("subject", object(), "subject is a object"),
        ("body", object(), "body is a object"),
        ("from_email", None, "from_email is a NoneType"),
        ("to", ["a@example.com", 5], r"to\[1\] is a int"),
        ("extra_headers", {"X-List": [1]}, r"headers\['X-List'\] is a list"),
        ("extra_headers", {"X-Nan": math.nan}, r"headers\['X-Nan'\] is nan"),
        ("extra_headers", {"X-Bad\ud800": "x"}, r"headers has the key"),
        ("attachments", [("a.bin", object(), None)], "attachment's content is a object"),
        ("attachments", [(3.5, b"", "image/png")], "attachment's file name is a float"),
        ("alternatives", [(object(), "text/html")], "attachment's content is a object"),
        ("encoding", "\ud800", "encoding is no text"),
    ],
)
def test_a_field_that_cannot_be_carried_is_refused_by_name(
    field: str, value: Any, path: str
) -> None:
    message = mail(EmailMultiAlternatives)
    setattr(message, field, value)
    with pytest.raises(EncodeError, match=f"^{path}"):
        pack_message(message)


def test_the_connection_stays_in_the_process_that_made_it() -> None:
    message = mail(connection=threading.Lock())
    carried = travel(message)
    assert carried.connection is None


# Envelopes


def test_narrowed_recipients_are_the_message_s_recipients() -> None:
    envelope = Envelope(
        v=1,
        id="0" * 32,
        enqueued_at=1.0,
        to=("a@example.com", "b@example.com"),
        recipients=("b@example.com",),
    )
    carried = unpack_message(Envelope.decode(envelope.encode()))
    assert carried.recipients() == ["b@example.com"]
    assert carried.to == ["a@example.com", "b@example.com"]


def test_message_id_and_date_hold_for_every_attempt() -> None:
    envelope = pack_message(mail())
    first, second = (unpack_message(envelope).message().as_bytes() for _ in range(2))
    assert first == second
    assert f"<{envelope.id}@".encode() in first


def test_the_date_is_local_where_the_settings_say_so() -> None:
    configure(EMAIL_USE_LOCALTIME=True)
    local = dict(pack_message(mail()).headers)["Date"]
    configure(EMAIL_USE_LOCALTIME=False)
    assert dict(pack_message(mail()).headers)["Date"].endswith("-0000")
    assert not local.endswith("-0000")


def test_fail_silently_travels() -> None:
    assert pack_message(mail(), fail_silently=True).fail_silently
    assert not Envelope.decode(pack_message(mail()).encode()).fail_silently


OPTIONS = st.builds(
    Options,
    not_before=st.just(0.0) | st.floats(1e9, 1e10),
    expires_at=st.none() | st.floats(1e9, 1e10),
    on_unknown=st.sampled_from([None, "resend", "hold"]),
    idempotency_key=st.none() | st.text(st.characters(), min_size=1, max_size=30),
)


@thorough
@given(messages(), OPTIONS, st.integers(0, 10**6))
def test_options_travel_beside_the_message_and_change_nothing_but_its_date_and_id(
    message: EmailMessage, options: Options, position: int
) -> None:
    if isinstance(mime_bytes(message), type):
        return
    envelope = pack_message(message, options=options, position=position)
    carried = Envelope.decode(envelope.encode())
    assert carried == envelope
    assert carried.not_before == options.not_before
    assert carried.expires_at == options.expires_at
    assert carried.on_unknown == options.on_unknown
    assert options.idempotency_key is None or carried.id == options.id_of(position)
    plain = pack_message(message)
    made_up = {"Date", "Message-ID"}
    assert [pair for pair in carried.headers if pair[0] not in made_up] == [
        pair for pair in plain.headers if pair[0] not in made_up
    ]


def test_a_mail_for_later_bears_the_date_of_then() -> None:
    then = dt.datetime(2033, 5, 18, 3, 33, 20, tzinfo=dt.UTC)
    envelope = pack_message(mail(), options=Options(not_before=then.timestamp()))
    assert dict(envelope.headers)["Date"] == "Wed, 18 May 2033 03:33:20 -0000"
    own = pack_message(
        mail(headers={"Date": "Fri, 21 Nov 1997 09:55:06 -0600"}),
        options=Options(not_before=then.timestamp()),
    )
    assert dict(own.headers)["Date"] == "Fri, 21 Nov 1997 09:55:06 -0600"


def test_a_message_id_of_its_own_stays_beside_an_id_made_of_a_key() -> None:
    options = Options(idempotency_key="k")
    message = mail(headers={"Message-ID": "<own@example.com>"})
    envelope = pack_message(message, options=options)
    assert (envelope.id, envelope.message_id) == (options.id_of(0), "<own@example.com>")


OPTION_FIELDS = (
    "route", "not_before", "expires_at", "on_unknown", "edition", "attempts", "first_attempt_at",
    "tries",
)  # fmt: skip


@pytest.mark.parametrize("name", OPTION_FIELDS)
def test_a_document_of_an_older_producer_has_the_defaults(name: str) -> None:
    document = json.loads(pack_message(mail()).encode())
    assert name not in document
    blank = Envelope(v=1, id="0" * 32, enqueued_at=1.0)
    assert getattr(Envelope.decode(json.dumps(document)), name) == getattr(blank, name)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4))
def test_unknown_fields_of_a_newer_producer_are_ignored(unknown: dict[str, Any]) -> None:
    envelope = pack_message(
        mail(), options=Options(not_before=2e9, expires_at=3e9, on_unknown="hold")
    )
    unknown = {
        key: value for key, value in unknown.items() if key not in Envelope.__struct_fields__
    }
    document = {"colour": "blue"} | unknown | json.loads(envelope.encode())
    assert Envelope.decode(json.dumps(document)) == envelope


@pytest.mark.parametrize("rest", [{}, {"subject": ["of", "another", "shape"]}])
def test_another_version_is_named_and_what_to_do(rest: dict[str, Any]) -> None:
    document = json.dumps(json.loads(pack_message(mail()).encode()) | {"v": 2} | rest)
    with pytest.raises(DecodeError, match=r"version 2.*upgrade the workers") as caught:
        Envelope.decode(document)
    assert caught.value.data == document


@pytest.mark.parametrize("data", [None, 1, [], {}, 1.5, bytearray(b"{}")])
def test_what_is_neither_text_nor_bytes_is_no_envelope(data: Any) -> None:
    with pytest.raises(DecodeError, match=type(data).__name__) as caught:
        Envelope.decode(data)
    assert caught.value.data is data


@pytest.mark.parametrize("deep", ['{"v":1,"x":' + "[" * 10**5, '{"v":2,"x":' + "[" * 10**5])
def test_a_document_that_nests_too_deep_is_no_envelope(deep: str) -> None:
    with pytest.raises(DecodeError):
        Envelope.decode(deep)


@pytest.mark.parametrize(
    "attribute",
    ["__class__", "__dict__", "message", "recipients", "to", "connection", "_RawMessage__mime"],
)
def test_an_envelope_cannot_replace_what_a_message_is(attribute: str) -> None:
    envelope = Envelope(v=1, id="0" * 32, enqueued_at=1.0, extra={attribute: "x"})
    with pytest.raises(DecodeError, match=attribute):
        unpack_message(Envelope.decode(envelope.encode()))


@pytest.mark.parametrize("name", ["no-such-charset", "é", "", "a\nb"])
def test_an_envelope_with_an_unknown_charset_is_read_and_its_mime_cannot_be_built(
    name: str,
) -> None:
    message = mail()
    message.encoding = Charset("utf-8")
    document = json.loads(pack_message(message).encode())
    document["encoding"] |= {"input_charset": name, "output_charset": name}
    carried = unpack_message(Envelope.decode(json.dumps(document)))
    with pytest.raises(ValueError, match=r"charset|encod"):
        carried.message()


def test_mime_that_nests_too_deep_is_a_decode_error() -> None:
    data = b"Content-Type: message/rfc822\n\n" * 2000
    document = json.loads(pack_message(mail()).encode())
    special = {"kind": "mime", "data": _base64(data)}
    document["attachments"] = [{"content": special}]
    with pytest.raises(DecodeError, match="nests too deep"):
        unpack_message(Envelope.decode(json.dumps(document)))


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def decodes_or_refuses(data: str | bytes) -> None:
    """Nothing else may come of it: a worker handles exactly this error."""
    with contextlib.suppress(DecodeError):
        assert isinstance(unpack_message(Envelope.decode(data)), EmailMessage)


def rich_document() -> str:
    message = mail(EmailMultiAlternatives, "Grüße\udcff", headers={"Date": dt.datetime.now(dt.UTC)})
    message.attach_alternative("<p>", "text/html")
    message.attach("a.bin", PNG)
    message.attach(image())
    message.attach("i.eml", our_message(), RFC822)
    message.encoding = STRANGE_CHARSET
    message.metadata = {"when": dt.date(2026, 1, 2), "deep": [{"b": b"\xff"}]}
    return pack_message(message).encode()


RICH = rich_document()
RAW = pack_message(mail(Signed)).encode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@thorough
@given(st.text(st.characters()) | st.binary() | JSON.map(json.dumps))
@example("")
@example(b"\xff\xfe")
@example('{"v":1,"id":"a","enqueued_at":1e999}')
def test_arbitrary_payloads_are_refused_with_a_decode_error(data: str | bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        Envelope.decode(data)
    assert caught.value.data == data


@thorough
@given(st.sampled_from([RICH, RAW]), st.data())
def test_documents_with_damaged_bytes_are_read_or_refused(document: str, data: Any) -> None:
    raw = bytearray(document.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    decodes_or_refuses(bytes(raw))


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [path] * bool(path) + [
        place for key, child in children for place in _places(child, (*path, key))
    ]


SPECIALS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["bytes", "surrogates", "datetime", "date", "mime", "other"])},
    optional={"data": st.binary(max_size=20).map(_base64), "text": st.text(max_size=12)},
)
REPLACEMENTS = JSON | SPECIALS | SPECIALS.map(lambda special: {"$mailqueue": special})


@thorough
@given(st.sampled_from([RICH, RAW]), st.data())
def test_documents_with_values_of_another_shape_are_read_or_refused(
    document: str, data: Any
) -> None:
    tree = json.loads(document)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(_places(tree)))
        parent = tree
        for key in parents:
            parent = parent[key]
        parent[last] = data.draw(REPLACEMENTS)
    decodes_or_refuses(json.dumps(tree))
