import re
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from mailqueue import embedded
from mailqueue.errors import ConfigurationError
from mailqueue.settings import Settings
from mailqueue.urls import broker_url, for_redis_client, scheme, state_url, without_password

REDIS = "redis://r.example:6379/1"
OTHER = "rediss://state.example/2"
SOCKET = "redis+socket:///run/redis.sock?virtual_host=3"
AMQP = "amqp://q.example//"


@pytest.mark.parametrize(
    ("broker", "redis", "resolved_broker", "resolved_state"),
    [
        (REDIS, None, REDIS, REDIS),
        (SOCKET, None, SOCKET, SOCKET),
        (OTHER, None, OTHER, OTHER),
        (None, REDIS, REDIS, REDIS),
        (REDIS, OTHER, REDIS, OTHER),
        (AMQP, REDIS, AMQP, REDIS),
        ("AMQPS://q.example", SOCKET, "AMQPS://q.example", SOCKET),
    ],
)
def test_broker_and_state_store_follow_from_two_settings(
    broker: str | None, redis: str | None, resolved_broker: str, resolved_state: str
) -> None:
    settings = Settings(MAILQUEUE_BROKER_URL=broker, MAILQUEUE_REDIS_URL=redis)
    assert broker_url(settings) == resolved_broker
    assert state_url(settings) == resolved_state


@pytest.mark.parametrize(
    ("broker", "redis", "started"),
    [
        (None, None, ["embedded://", "embedded://"]),
        ("embedded://", None, ["embedded://", "embedded://"]),
        ("embedded:///data", None, ["embedded:///data", "embedded:///data"]),
        (None, "embedded:///data", ["embedded:///data", "embedded:///data"]),
        (AMQP, "embedded:///data", ["embedded:///data"]),
        (REDIS, OTHER, []),
    ],
)
def test_the_embedded_redis_is_started_where_it_is_named_or_nothing_is(
    monkeypatch: pytest.MonkeyPatch, broker: str | None, redis: str | None, started: list[str]
) -> None:
    asked: list[str] = []

    def url_for(url: str) -> str:
        asked.append(url)
        return SOCKET

    # Starting a server is tests/integration's business.
    monkeypatch.setattr(embedded, "url_for", url_for)
    settings = Settings(MAILQUEUE_BROKER_URL=broker, MAILQUEUE_REDIS_URL=redis)
    assert broker_url(settings) in {SOCKET, AMQP, REDIS}
    assert state_url(settings) in {SOCKET, OTHER}
    assert asked == started


def test_rabbitmq_without_a_redis_is_refused_with_the_remedy() -> None:
    settings = Settings(MAILQUEUE_BROKER_URL="amqp://me:secret@q.example//")
    assert broker_url(settings) == "amqp://me:secret@q.example//"
    with pytest.raises(ConfigurationError, match=r"set it to a Redis") as caught:
        state_url(settings)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqs://me:secret@q",
        "me:secret@q",
        "",
        "http://me:secret@q",
        "secret",
        "me:secret@://q",
        "://secret",
    ],
)
@pytest.mark.parametrize("setting", ["MAILQUEUE_BROKER_URL", "MAILQUEUE_REDIS_URL"])
def test_an_unknown_scheme_is_refused_without_repeating_the_password(
    setting: str, url: str
) -> None:
    settings = msgspec.structs.replace(Settings(MAILQUEUE_BROKER_URL=AMQP), **{setting: url})
    with pytest.raises(ConfigurationError, match=rf"^{setting} begins with .*redis://") as caught:
        state_url(settings)
    assert "secret" not in str(caught.value)


def test_amqp_is_no_state_store() -> None:
    settings = Settings(MAILQUEUE_BROKER_URL=REDIS, MAILQUEUE_REDIS_URL=AMQP)
    with pytest.raises(ConfigurationError, match=r"^MAILQUEUE_REDIS_URL begins with 'amqp'"):
        state_url(settings)


@pytest.mark.parametrize(
    ("url", "converted"),
    [
        (REDIS, REDIS),
        (OTHER, OTHER),
        ("redis+socket:///run/r.sock", "unix:///run/r.sock"),
        (SOCKET, "unix:///run/redis.sock?db=3"),
        ("redis+socket:///a.sock?virtual_host=1&health=2", "unix:///a.sock?db=1&health=2"),
        ("REDIS+SOCKET:///a.sock", "unix:///a.sock"),
    ],
)
def test_socket_urls_are_written_in_redis_py_s_words(url: str, converted: str) -> None:
    assert for_redis_client(url) == converted


@given(st.text("abc/%?#& äö@:", min_size=1), st.integers(0, 15))
def test_redis_py_finds_socket_and_database_in_the_converted_url(path: str, db: int) -> None:
    url = f"redis+socket:///{quote(path)}?virtual_host={db}"
    found = parse_url(for_redis_client(url))
    assert (found["path"], found["db"]) == (f"/{path}", db)


@pytest.mark.parametrize(
    ("url", "name"),
    [("redis://x", "redis"), ("Redis+Socket:///x", "redis+socket"), ("x", ""), ("a:b@c://d", "")],
)
def test_the_scheme_is_what_stands_before_the_slashes(url: str, name: str) -> None:
    assert scheme(url) == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@host:1/2", "redis://***@host:1/2"),
        ("amqp://user:pw@host//", "amqp://***@host//"),
        ("amqp://user@host", "amqp://***@host"),
        ("redis://host:1/2?x=1", "redis://host:1/2?x=1"),
        ("redis+socket:///run/a@b/r.sock", "redis+socket:///run/a@b/r.sock"),
        ("redis+socket://:pw@/run/r.sock", "redis+socket://***@/run/r.sock"),
        ("redis+socket:///r.sock?password=pw", "redis+socket:///r.sock?password=***"),
        ("embedded:///home/ann@corp/redis", "embedded:///home/ann@corp/redis"),
        ("redis://:pa/s#s@host", "redis://***@host"),
        ("redis://h?a=1&password=p@w&db=1", "redis://h?a=1&password=***&db=1"),
        ("redis://:pw@one;redis://:pw@two", "redis://***@two"),
        ("user:pw@host", "***@host"),
        ("redis://user:pw@[::1", "redis://***@[::1"),
    ],
)
def test_a_url_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


SECRETS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    st.sampled_from(["redis", "rediss", "redis+socket", "amqp", "amqps"]),
    SECRETS,
    SECRETS,
    st.sampled_from(["host", "host:1/2", "[::1]:6379", "/run/r.sock", "[broken"]),
)
def test_no_url_shows_its_password_however_it_is_spelled(
    kind: str, user: str, password: str, rest: str
) -> None:
    password = f"geheim{password}geheim"
    shown = without_password(f"{kind}://u{user}:{password}@{rest}")
    assert "geheim" not in shown
    assert shown.endswith(rest)


@given(SECRETS.filter(lambda text: not re.search("[&@]", text)), st.sampled_from(["?", "?db=1&"]))
def test_no_url_shows_a_password_among_its_options(password: str, before: str) -> None:
    url = f"redis://host{before}password=geheim{password}geheim&a=1"
    assert without_password(url) == f"redis://host{before}password=***&a=1"


@given(st.text(st.characters()))
def test_any_text_can_be_shown(text: str) -> None:
    assert isinstance(without_password(text), str)
