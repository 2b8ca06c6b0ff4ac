"""The lifespan, without a broker: ``tests/integration/test_contrib_starlette.py`` has one."""

import asyncio

import pytest

from mailqueue import ConfigurationError, conf
from mailqueue.contrib import fastapi, starlette
from mailqueue.testing import capturing


def test_it_configures_and_leaves_out_what_says_nothing(monkeypatch):
    monkeypatch.setenv("MAILQUEUE_QUEUE", "from-environment")
    conf.reset()

    async def main():
        async with starlette.lifespan(object(), EMAIL_PORT=2525, MAILQUEUE_QUEUE=None):
            return conf.get_settings()

    with capturing():
        settings = asyncio.run(main())
    assert (settings.EMAIL_PORT, settings.MAILQUEUE_QUEUE) == (2525, "from-environment")


@pytest.mark.parametrize("wrong", [{"EMAIL_PORT": "smtp"}, {"MAILQUEUE_BROKER": "redis://x"}])
def test_a_wrong_setting_keeps_the_application_from_starting(wrong):
    async def main():
        async with starlette.lifespan(**wrong):
            raise AssertionError("started")

    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        asyncio.run(main())


def test_fastapi_has_the_same():
    assert fastapi.lifespan is starlette.lifespan
