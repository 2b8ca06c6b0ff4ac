"""What is a message, and what is not; the sentence names the fault and quotes nothing."""

import json

import pytest

from worker.reading import NotAMessageError, read


def message(**changes) -> dict:
    info = {"exchange": "", "routing_key": "q"}
    whole = {
        "body": "SECRET",
        "headers": {},
        "properties": {"delivery_tag": "t", "delivery_info": info},
    }
    return whole | changes


def test_a_message_is_what_it_was():
    assert read(json.dumps(message()).encode()) == message()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"SECRET", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"__type__": "uuid", "__value__": 5}', "not JSON"),
        (b'["SECRET"]', "a list, not an object"),
        (b"{}", "no delivery_tag"),
        (message(properties={"delivery_tag": "t"}), "no delivery_info"),
        (message(headers=["SECRET"]), "headers that are not an object"),
        (message(body=7), "no body"),
        (message(properties=message()["properties"] | {"body_encoding": "base64"}, body="x"),
         "not base64"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_its_fault(raw, reason):
    raw = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    with pytest.raises(NotAMessageError, match=reason) as caught:
        read(raw)
    assert "SECRET" not in str(caught.value)
