"""The table of differences in ``docs/mail-api.md``, made from the list that the tests check.

``python tests/support/differences_table.py`` (``make docs``) writes it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from integration.django_differences import DIFFERENCES  # noqa: E402 - after the path is right

DOCUMENT = ROOT / "docs" / "mail-api.md"
BEGIN = "<!-- differences: written from tests/integration/django_differences.py -->"
END = "<!-- end of differences -->"


def with_table(document: str) -> str:
    rows = ["| what | Django 5.2 | mailqueue | why |", "| --- | --- | --- | --- |"]
    for each in DIFFERENCES:
        django = "takes it, or another error" if each.django == "*" else f"`{each.django}`"
        rows.append(f"| {each.name} | {django} | `{each.ours}` | {each.why} |")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{DOCUMENT} has no line {BEGIN}"
    assert end, f"{DOCUMENT} has no line {END}"
    return f"{before}{BEGIN}\n\n" + "\n".join(rows) + f"\n\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8")), "utf-8")
