"""Kill workers under load, again and again, and count what arrived: none lost, hardly any twice.

- ``sink.py`` the SMTP server that remembers what it took, and whose connections broke off;
- ``fleet.py`` the workers, to start and to kill;
- ``loop.py`` one run: enqueue, kill, let it drain;
- ``outcome.py`` what came of it.
"""
