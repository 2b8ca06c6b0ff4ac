"""What ``mailqueue check`` reports."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the report."""

    #: ``ok``, ``warn`` or ``FAIL``.
    level: str
    what: str
    found: str
    remedy: str = ""
