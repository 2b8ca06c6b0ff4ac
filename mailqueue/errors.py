"""Every error that mailqueue raises, as one tree.

- MailQueueError
    - ConfigurationError (ValueError)   a setting is wrong, missing or contradicts another
        - EmbeddedError                 the embedded Redis cannot be started here
    - BadHeaderError (ValueError)       a header that would break out of its line
    - EncodeError (ValueError)          a message that the queue cannot carry
    - DecodeError (ValueError)          a payload that is not an envelope of ours
    - EnqueueError (ConnectionError)    the broker did not take a message within its time
    - StateError (ConnectionError)      the state store did not answer
    - DeliveryError                     a worker's batch holds mail that was not sent

``fail_silently`` speaks of trouble on the way (``EnqueueError``, a delivery backend's errors).
It never hides the other branches: a wrong setting or a message that cannot be carried does not
heal by itself, and silence would lose every mail.
"""


class MailQueueError(Exception):
    """The root: ``except MailQueueError`` catches whatever this library raises on purpose."""


class ConfigurationError(MailQueueError, ValueError):
    """A setting is wrong, missing, or contradicts another one; the text names it and the remedy."""


class EmbeddedError(ConfigurationError):
    """The embedded Redis cannot be started here; the text says why and what to do instead."""


class BadHeaderError(MailQueueError, ValueError):
    """A header name or value that would break the header block apart (RFC 5322, section 2.2)."""


class EncodeError(MailQueueError, ValueError):
    """A message holds something that the queue cannot carry; the text names the field."""


class DecodeError(MailQueueError, ValueError):
    """A payload is not an envelope that this version understands.

    Attributes:
        data: The payload as it came, so that nothing is lost by refusing it. It may hold a
            message's content and is therefore kept out of the error's text.
    """

    def __init__(self, reason: str, *, data: object = None) -> None:
        super().__init__(reason)
        self.data = data


class EnqueueError(MailQueueError, ConnectionError):
    """The broker did not take a message within ``MAILQUEUE_ENQUEUE_TIMEOUT``.

    Attributes:
        enqueued: Ids of the messages of the same call that the broker took before.
        not_enqueued: Ids of the messages that it did not take. The batch in flight when the
            broker fell silent is among them, although its confirmation may merely be lost.
    """

    def __init__(
        self,
        reason: str,
        *,
        enqueued: tuple[str, ...] = (),
        not_enqueued: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.enqueued = enqueued
        self.not_enqueued = not_enqueued


class StateError(MailQueueError, ConnectionError):
    """The state store did not answer: where a mail stands cannot be told or changed now."""


class DeliveryError(MailQueueError):
    """A batch ended with mail that was not sent; the text names ids and replies, no addresses."""
