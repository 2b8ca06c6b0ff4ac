"""The README's settings table, made from ``mailqueue.settings.Settings``.

``python tests/support/settings_table.py`` (``make docs``) writes it into the README.
"""

from pathlib import Path
from typing import Any

import msgspec.inspect

from mailqueue.settings import Settings

README = Path(__file__).parents[2] / "README.md"
BEGIN = (
    "<!-- settings: checked against mailqueue/settings.py by tests/unit/test_settings_table.py -->"
)
END = "<!-- end of settings -->"


def table() -> str:
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    described: Any = msgspec.inspect.type_info(Settings)
    for field in described.fields:
        empty = field.default in (None, "", (), msgspec.NODEFAULT)  # the last one: an empty dict
        default = "" if empty else f"`{field.default}`"
        about = field.type.extra_json_schema["description"]
        rows.append(f"| `{field.name}` | {default} | {about} |")
    return "\n".join(rows)


def with_table(readme: str) -> str:
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
