"""In processes of their own: Django's settings are for a whole process."""

from pathlib import Path

from support.processes import python

PROGRAM = Path(__file__).with_name("django_transactions.py")


def test_mail_goes_with_the_transaction():
    done = python(PROGRAM.read_text("utf-8"), {"PYTHONPATH": str(PROGRAM.parents[1])})
    assert "all of it ran" in done.stdout
