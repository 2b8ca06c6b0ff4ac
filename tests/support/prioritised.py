"""Mail of a priority, enqueued many at once without the cost of packing each."""

from itertools import count as count_up

from mailqueue.batch import Encoded, cut
from mailqueue.envelope import Priority
from mailqueue.publisher import get_publisher
from support.filling import mail

_numbers = count_up(1)


def published(priority: Priority, count: int = 1, *, size: int = 50) -> None:
    """Enqueue mails to ``{priority}@example.com``, with the settings that hold now."""
    envelopes = (
        mail(next(_numbers), f"{priority}@example.com", priority=priority) for _ in range(count)
    )
    ready = (Encoded(one.id, one.encode(), one.route, priority) for one in envelopes)
    get_publisher().publish(list(cut(ready, size=size, max_bytes=10**7)))
