"""What a server's reply means (RFC 5321, section 4.2.1).

| reply            | means                                                                       |
| ---------------- | --------------------------------------------------------------------------- |
| 2xx; 354 to DATA | yes; to RCPT also 251 and 252                                               |
| 421              | no, and the server closes the connection (section 3.8): nothing is accepted |
| other 4xx, 5xx   | no                                                                          |
| anything else    | no answer to what was asked: the two sides may be out of step, so the       |
|                  | connection is given up, and nothing is taken for a yes                      |
"""

import smtplib
from typing import Final

from mailqueue.outcomes import Fault, Stage

YES: Final = range(200, 300)
GO_ON: Final = range(354, 355)
_NO: Final = range(400, 600)


def understand(stage: Stage, reply: tuple[int, bytes], *, yes: range = YES) -> Fault | None:
    """Return what a reply says against going on; None where it says yes.

    Args:
        stage: Where in the dialogue it came.
        reply: Code and text as smtplib reads them; -1 stands for a reply without a code.
        yes: The codes that mean yes here.
    """
    code, text = reply
    if code in yes:
        return None
    if code in _NO:
        return Fault.of_reply(stage, code, text)
    words = text.decode("utf-8", "replace")
    what = f"Unexpected reply: {code} {words}" if code > 0 else f"No SMTP reply: {words}"
    return Fault.of_error(stage, smtplib.SMTPException(what), lost=True)
