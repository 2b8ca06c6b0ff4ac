"""Which way a mail goes: routes as they are configured, checked, and chosen."""
