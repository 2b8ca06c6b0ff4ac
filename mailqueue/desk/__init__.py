"""What people look at and do: where mail stands, what waits, and another try for what failed."""
