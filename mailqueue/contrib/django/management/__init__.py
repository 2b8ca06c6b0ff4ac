"""Django finds commands in here."""
