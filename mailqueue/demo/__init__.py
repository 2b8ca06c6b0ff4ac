"""``mailqueue demo``: the whole way of a mail on one machine, real from end to end."""
