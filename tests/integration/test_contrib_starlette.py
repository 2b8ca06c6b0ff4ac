"""The lifespan with brokers that are there, away, or silent; and in FastAPI itself."""

import asyncio
import socket
import threading

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from support.brokers import free_port

from mailqueue import conf, publisher
from mailqueue.aio import asend_mail
from mailqueue.contrib.fastapi import lifespan

DATA = ("Welcome", "Good to have you here.", "us@example.com", ["ann@example.com"])


def test_it_connects_before_the_first_request(redis_settings, monkeypatch):
    warmed = []
    warm = publisher.Publisher.warm

    def seen(self):
        warmed.append(threading.current_thread().name)
        warm(self)

    monkeypatch.setattr(publisher.Publisher, "warm", seen)

    async def main():
        async with lifespan(**redis_settings):
            assert len(warmed) == 1
            return await asend_mail(*DATA)

    assert asyncio.run(main()) == 1
    assert warmed[0].startswith("mailqueue-send")


@pytest.mark.parametrize("away", ["refusing", "swallowing"])
def test_a_broker_that_is_away_is_a_sentence_in_the_log(away, caplog):
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        port = silent.getsockname()[1] if away == "swallowing" else free_port()
        url = f"redis://:hunter2@127.0.0.1:{port}/0"

        async def main():
            async with lifespan(MAILQUEUE_BROKER_URL=url, MAILQUEUE_ENQUEUE_TIMEOUT=1):
                return "started"

        assert asyncio.run(main()) == "started"
    (record,) = [record for record in caplog.records if record.name == "mailqueue"]
    assert record.levelname == "WARNING"
    assert f"started without the broker: redis://***@127.0.0.1:{port}" in record.message
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
def test_frameworks_take_it_as_it_is(framework, redis_settings, monkeypatch):
    for name, value in redis_settings.items():
        monkeypatch.setenv(name, value)
    conf.reset()
    app = framework(lifespan=lifespan)

    async def register(request):
        from starlette.responses import JSONResponse

        return JSONResponse(await asend_mail(*DATA))

    app.add_route("/register", register, methods=["POST"])
    with TestClient(app) as client:
        assert client.post("/register").json() == 1
