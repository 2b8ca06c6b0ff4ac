"""What a worker tells Prometheus: the names, where the numbers lie, and how they are written."""
