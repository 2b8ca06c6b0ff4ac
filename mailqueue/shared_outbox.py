"""``mailqueue.outbox``: where the locmem backend keeps mail, shared with Django's test runner.

Django's runner makes ``django.core.mail.outbox``, and tests empty it by assignment. Under it, both
names are one list, so that a test finds all mail whichever package sent it.
"""

import sys
from types import ModuleType
from typing import Any


class PackageWithOutbox(ModuleType):
    """The class of the package ``mailqueue``; an attribute that is computed needs one."""

    @property
    def outbox(self) -> list[Any]:
        """Messages kept by the locmem backend. Raises ``AttributeError`` before it is used."""
        django = self._django()
        if django is not None:
            return vars(django)["outbox"]  # type: ignore[no-any-return]
        try:
            return vars(self)["_outbox"]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError("mailqueue has no outbox until locmem is used") from None

    @outbox.setter
    def outbox(self, messages: list[Any]) -> None:
        django = self._django()
        if django is not None:
            vars(django)["outbox"] = messages
        else:
            vars(self)["_outbox"] = messages

    @outbox.deleter
    def outbox(self) -> None:
        if vars(self).pop("_outbox", None) is None:
            raise AttributeError("mailqueue has no outbox until locmem is used")

    def _django(self) -> ModuleType | None:
        """Django's mail package while its test runner keeps an outbox there."""
        module = sys.modules.get("django.core.mail")
        if module is None or module is self or "outbox" not in vars(module):
            return None
        return module
