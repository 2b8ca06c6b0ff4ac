"""mailqueue at home in web frameworks; nothing of the library needs anything here."""
