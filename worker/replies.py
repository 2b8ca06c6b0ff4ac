"""What servers mean by replies that their codes alone would misjudge: data, and the words for it.

A code speaks of the message. Providers also use codes to speak of themselves: a daily limit is
reached, a sender is not set up, this connection has carried enough. Each row here knows one such
sentence, by its words and by the codes that it comes with. The first row that fits wins; where
none fits, ``policy.py`` goes by stage and code.

All rows hold for every server; nobody has to say which provider they use, and a relay that passes
another's reply on is understood as well. That is safe because

- each row asks for a sentence that the provider writes about its own client, never for a single
  word such as "quota" or "rate", which are also said of one recipient's mailbox;
- a row that bounces mail is bound to 5xx codes;
- addresses are taken out of a reply before it is read, and a reply that quotes another host
  (Postfix: ``host mx.example.com said: …``) is never taken as being about us.

Words: a code of one digit stands for its class (5: 500 to 599). Texts are searched in the reply
without regard to case.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from mailqueue.outcomes import Stage


class Reach(StrEnum):
    """Whose trouble it is; only the first two are the mail's own."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    CONNECTION = "connection"
    ACCOUNT = "account"  #: everything that leaves by this route


class Kind(StrEnum):
    """What sort of trouble it is."""

    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"  #: handed over, the reply never seen
    AWAY = "away"  #: the server cannot be reached, or the connection was lost
    SESSION = "session"  #: this connection is used up, the next one is fine
    CONCURRENCY = "concurrency"  #: too many connections at once
    RATE = "rate"  #: too fast, by seconds
    QUOTA = "quota"  #: too much, by hours
    LOGIN = "login"  #: not let in
    SENDER = "sender"  #: let in, but not allowed to send from this address


class Meaning(NamedTuple):
    """What a fault means."""

    reach: Reach
    kind: Kind


TEMPORARY: Final = Meaning(Reach.MESSAGE, Kind.TEMPORARY)
PERMANENT: Final = Meaning(Reach.MESSAGE, Kind.PERMANENT)
UNKNOWN: Final = Meaning(Reach.MESSAGE, Kind.UNKNOWN)
AWAY: Final = Meaning(Reach.CONNECTION, Kind.AWAY)
SESSION: Final = Meaning(Reach.CONNECTION, Kind.SESSION)
CONCURRENCY: Final = Meaning(Reach.ACCOUNT, Kind.CONCURRENCY)
RATE: Final = Meaning(Reach.ACCOUNT, Kind.RATE)
QUOTA: Final = Meaning(Reach.ACCOUNT, Kind.QUOTA)
LOGIN: Final = Meaning(Reach.ACCOUNT, Kind.LOGIN)
SENDER: Final = Meaning(Reach.ACCOUNT, Kind.SENDER)


class Row(NamedTuple):
    """One sentence of one provider."""

    preset: str
    #: ``MESSAGE`` reach becomes ``RECIPIENT`` where the reply came to RCPT.
    meaning: Meaning
    #: None: the codes say enough.
    text: re.Pattern[str] | None = None
    #: Reply codes, or first digits of them; empty: any failure, also an API's without a code.
    codes: tuple[int, ...] = ()
    #: Enhanced status codes (RFC 3463); empty: any, or none.
    enhanced: tuple[str, ...] = ()
    #: Empty: any.
    stages: tuple[Stage, ...] = ()


def _row(
    preset: str,
    meaning: Meaning,
    text: str = "",
    codes: tuple[int, ...] = (),
    enhanced: tuple[str, ...] = (),
    stages: tuple[Stage, ...] = (),
) -> Row:
    pattern = re.compile(text, re.IGNORECASE) if text else None
    return Row(preset, meaning, pattern, codes, enhanced, stages)


#: One host quotes another one's reply: Postfix (address verification), Exim (callouts), Exchange.
QUOTED: Final = re.compile(
    r"\bsaid: |\bresponse: \d{3}|\bresponded with: |\bcallout\b", re.IGNORECASE
)

ROWS: Final[tuple[Row, ...]] = (
    # Amazon SES: "SMTP response codes", "Email sending errors", "Errors related to sending quotas".
    _row("ses", RATE, r"maximum sending rate exceeded"),
    _row("ses", QUOTA, r"daily message quota exceeded"),
    _row("ses", QUOTA, r"sending (?:paused|suspended) for this account"),
    _row("ses", SESSION, r"maximum message count per session", (4,)),
    _row("ses", CONCURRENCY, r"too many concurrent smtp connections", (4,)),
    # In the sandbox an unverified recipient gets the same words: still the account's set-up.
    _row("ses", SENDER, r"email address is not verified|identities failed the check in region"),
    _row("ses", SENDER, r"is not authorized to perform[: `]+ses:"),
    # Twilio SendGrid: "SMTP errors and troubleshooting", "Sender identity".
    _row("sendgrid", QUOTA, r"maximum credits exceeded|exceeded your messaging limits"),
    _row("sendgrid", SENDER, r"does not match a verified sender identity"),
    _row("sendgrid", LOGIN, r"unauthenticated senders not allowed", (5,)),
    # Mailgun: "Error codes", "Sandbox domain", "Sending limits".
    _row("mailgun", QUOTA, r"not allowed to send: (?:recipient|request) limit exceeded"),
    _row("mailgun", SENDER, r"domain \S+ is not allowed to send(?::|$)"),
    _row("mailgun", SENDER, r"sandbox subdomains are for test purposes"),
    _row("mailgun", QUOTA, r"(?:sending )?account (?:is|has been) (?:temporarily )?disabled$"),
    # Postmark: "API error codes" 400, 401, 405, 412; the SMTP endpoint speaks the same.
    # A pending account may write to its own domain meanwhile, so the route does not pause.
    _row("postmark", SENDER, r"not a sender signature on your account|signature not confirmed"),
    _row("postmark", SENDER, r"account is pending approval"),
    _row("postmark", QUOTA, r"ran out of credits"),
    # Gmail: "SMTP error reference", "Limits for sending from Gmail". First what is the recipient's.
    _row("gmail", TEMPORARY, r"is receiving mail (?:too quickly|at a rate)", (4,)),
    _row(
        "gmail", QUOTA, r"daily (?:user )?sending (?:limit|quota) exceeded|reached a limit for send"
    ),
    _row("gmail", LOGIN, r"too many login attempts", (4, 5)),
    _row("gmail", RATE, r"unusual rate of (?:unsolicited )?(?:mail|email)", (4,)),
    # Workspace's relay: "SMTP relay service error messages".
    _row("workspace-relay", QUOTA, r"daily smtp relay (?:sending )?limit exceeded"),
    _row("workspace-relay", RATE, r"peak smtp relay limit exceeded"),
    _row("workspace-relay", LOGIN, r"invalid credentials for relay|mail relay denied", (5,)),
    # Microsoft 365: "Non-delivery reports in Exchange Online", "Exchange Online limits",
    # "SMTP AUTH client submission". First what is the recipient's.
    _row("microsoft365", TEMPORARY, r"recipient thread limit exceeded", (4,)),
    _row("microsoft365", PERMANENT, r"\bresolver\.rst\.", (5,)),
    _row(
        "microsoft365",
        CONCURRENCY,
        r"concurrent (?:server )?connections (?:limit exceeded|.{0,40}has exceeded)"
        r"|sender thread limit exceeded",
        (4,),
    ),
    _row("microsoft365", RATE, r"message submission rate for this client has exceeded", (4,)),
    _row("microsoft365", QUOTA, r"submissionquotaexceeded"),
    _row("microsoft365", QUOTA, r"tenant has exceeded|reached your daily limit", (5,)),
    _row("microsoft365", QUOTA, enhanced=("5.7.705", "5.7.708", "5.1.90"), codes=(5,)),
    _row("microsoft365", SENDER, r"sendasdenied|permissions to send as this sender", (5,)),
    _row("microsoft365", SENDER, enhanced=("5.7.60", "5.2.252"), codes=(5,)),
    _row("microsoft365", SENDER, r"bad outbound sender|sending from unregistered domains", (5,)),
    _row("microsoft365", LOGIN, enhanced=("5.7.57", "5.7.139"), codes=(5,)),
    # Postfix: smtpd(8), postscreen(8), SASL_README; the words are those of its source.
    _row(
        "postfix",
        RATE,
        r"error: too (?:much mail|many (?:recipients|new tls sessions|auth commands)) from",
        (4,),
    ),
    _row("postfix", CONCURRENCY, r"error: too many connections from", (4,)),
    _row("postfix", SESSION, r"error: too many errors|error: timeout exceeded", (4,)),
    _row("postfix", SENDER, r"sender address rejected: not (?:owned by|logged in)", (5,)),
    # Yahoo and AOL: "SMTP error codes". "Permanently" means until the sender's ways have changed.
    _row("yahoo", QUOTA, r"messages? from \S+ (?:will be )?permanently deferred", (4,)),
    _row("yahoo", RATE, r"messages? from \S+ temporarily deferred", (4,)),
    _row("yahoo", SENDER, r"from:? address not verified", (5,)),
    # Other providers' submission servers, by their help pages on SMTP errors.
    _row("gmx", QUOTA, r"mail send limit exceeded"),
    _row("gmx", RATE, r"\brate limit reached|has sent too many messages in a short", (4,)),
    _row("gmx", SENDER, r"sender address is not allowed|unauthorized sender address", (5,)),
    _row("icloud", SENDER, r"from address is not one of your addresses", (5,)),
    _row("fastmail", SENDER, r"not authori[sz]ed to send from this", (5,)),
    _row("zoho", SENDER, r"relaying disallowed as|sender is not allowed to relay", (5,)),
    _row("zoho", QUOTA, r"unusual sending activity detected", (5,)),
    _row("brevo", LOGIN, r"smtp account is not yet activated|unauthorized ip address", (502, 525)),
    _row("smtp2go", LOGIN, r"(?:username's account|that ip address) is not allowed to send", (5,)),
    _row("smtp2go", SENDER, r"sender domain not verified", (5,)),
    _row("sparkpost", SENDER, r"unconfigured sending domain"),
    _row("sparkpost", QUOTA, r"exceed sending limit"),
    _row("notisend", RATE, r"too many messages\. try again in \d+ seconds"),
    # cPanel's Exim, policy daemons, and whoever else says "you" and means the one who sends.
    _row("cpanel", QUOTA, r"exceeded the max (?:emails|defers and failures) per hour"),
    _row(
        "generic",
        QUOTA,
        r"you(?:'ve| have) (?:exceeded|reached) your (?:[\w-]+ ){0,3}(?:quota|limit)"
        r"|\b(?:daily|hourly) sending (?:limit|quota)",
    ),
    _row("generic", RATE, r"connection rate limit exceeded|sending rate (?:limit )?exceeded", (4,)),
    _row(
        "generic",
        CONCURRENCY,
        r"too many (?:open |concurrent |simultaneous )(?:smtp )?connections",
        (4,),
    ),
    _row("generic", SESSION, r"too many messages in (?:this|one) (?:connection|session)", (4,)),
    # Greylisting, whatever its enhanced code: this recipient, a little later, on any connection.
    _row("generic", TEMPORARY, r"\bgr[ea]y-?list", (4,)),
    # Asking for a login with a code that is not about logins (qmail, Exim, older servers). After
    # the content such words are about SPF and DKIM.
    _row(
        "generic",
        LOGIN,
        r"\bauth(?:entication)? (?:is )?(?:required|first)|\bauthenticate first"
        r"|must be authenticated|must (?:issue|use) (?:a )?starttls",
        (5,),
        stages=(Stage.SENDER, Stage.RECIPIENT, Stage.DATA),
    ),
    # The host is refused, not the mail: nobody can send until a person mends it. The mail is
    # tried for its whole time rather than bounced at once. It may also be truly about one
    # recipient (a server that relays for its own domains only), so it does come to an end.
    _row(
        "generic",
        TEMPORARY,
        r"relay(?:ing)? (?:access )?(?:denied|not (?:permitted|allowed))|\bunable to relay\b",
        (5,),
    ),
    _row(
        "generic",
        TEMPORARY,
        r"(?:client host|\bip)\b.{0,80}\b(?:blocked|listed) (?:using|by|at|in)\b"
        r"|banned sending ip|mail sent from your ip address has been",
        (5,),
    ),
    # RFC 5321, 4.5.3.1.10: 552 for one recipient too many is to be taken as 452.
    _row("rfc5321", TEMPORARY, r"too many recipients", (552,), stages=(Stage.RECIPIENT,)),
    # The message itself, although 500 otherwise speaks of a dialogue that is out of step.
    _row("generic", PERMANENT, r"line (?:is )?too long", (500,)),
)

#: An API's status codes (RFC 9110); others by their first digit: 4 permanent, 5 away.
HTTP: Final[dict[int, Meaning]] = {
    401: LOGIN,
    402: QUOTA,
    403: LOGIN,
    408: AWAY,
    409: TEMPORARY,
    420: RATE,
    421: AWAY,
    423: TEMPORARY,
    425: TEMPORARY,
    429: RATE,
}
