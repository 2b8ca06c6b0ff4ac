"""A shop's front desk in Django: contact, orders, password reset, a newsletter with its progress.

README.md says how to run it. The mail is in ``views.py``; ``settings.py`` has two lines for it.
"""
