"""Ways for a message to go, one module each; ``base`` is the contract."""
