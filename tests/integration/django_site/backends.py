"""A delivery backend that writes down what Anymail's test backend was given."""

import json
import os
from pathlib import Path

from anymail.backends.test import EmailBackend as AnymailTest  # type: ignore[import-untyped]
from anymail.message import AnymailRecipientStatus  # type: ignore[import-untyped]


class EmailBackend(AnymailTest):
    """Refuses ``rejected@…``, as a provider's API does: in its answer, for that recipient alone."""

    def post_to_esp(self, payload, message):
        response = super().post_to_esp(payload, message)
        response["recipient_status"] = {
            who: AnymailRecipientStatus("1", "rejected" if who.startswith("rejected") else "queued")
            for who in payload.recipient_emails
        }
        params = message.anymail_test_params
        with (Path(os.environ["DJANGO_SITE_PLACE"]) / "params.jsonl").open("a") as file:
            file.write(json.dumps(params, default=str) + "\n")
        return response
