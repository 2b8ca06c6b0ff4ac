"""What may be shown to anybody who reads logs or Flower: no address, no content."""

import re
from typing import Final

# The local part only: the domain says which provider refused, which is what helps.
_LOCAL_PART: Final = re.compile(r"[^\s<>@\"'(),;:\[\]]+@(?=[\w\[])")


def without_addresses(text: str) -> str:
    """Replace the local part of each address; SMTP replies like to quote the recipient's.

    >>> without_addresses("550 5.1.1 <ann@example.com>: no such user")
    '550 5.1.1 <***@example.com>: no such user'
    """
    return _LOCAL_PART.sub("***@", text)
