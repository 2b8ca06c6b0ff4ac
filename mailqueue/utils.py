"""The name of this host, as Message-ID and EHLO say it."""

import re
import socket
from typing import Final

from mailqueue.addresses import to_ascii_domain

#: Said instead of a host name that no server and no Message-ID could carry.
FALLBACK_NAME: Final = "localhost"

_ASCII_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


class CachedDnsName:
    """This host's fully qualified name in ASCII (IDNA, RFC 5890), looked up once, when needed.

    Looking a host name up can take seconds where DNS is slow, so it happens at first use and not
    at import.
    """

    _fqdn: str

    def __str__(self) -> str:
        return self.get_fqdn()

    def get_fqdn(self) -> str:
        """Return the name; ``localhost`` where the host's own name is no valid domain."""
        if not hasattr(self, "_fqdn"):
            self._fqdn = _ascii_name(socket.getfqdn())
        return self._fqdn


def _ascii_name(name: str) -> str:
    if _ASCII_NAME.fullmatch(name):
        return name
    try:
        return to_ascii_domain(name)
    except ValueError:
        return FALLBACK_NAME


DNS_NAME: Final = CachedDnsName()
