"""What the SMTP backend is made of: the connection, a message for it, what the server offers."""
