from support.settings_table import README, with_table

from mailqueue.settings import NAMES


def test_the_readme_lists_every_setting_with_its_default_and_meaning():
    text = README.read_text("utf-8")
    assert text == with_table(text), "run `make docs`"
    assert all(f"| `{name}` |" in text for name in NAMES)
