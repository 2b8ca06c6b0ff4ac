# ruff: noqa: E501 - replies stand as they come
"""Replies of real servers, and what becomes of a mail that meets one at its first attempt.

Plain values: unit tests classify them, and servers in other tests can be scripted with them.
Texts are as one sees them on the wire, lines joined, some cut short, hosts and addresses exchanged
for examples. Where a provider documents only its API's error texts (Postmark), these stand here.
"""

from typing import Final, NamedTuple

from mailqueue.outcomes import Fault, Stage, Status
from worker.policy import Kind, Reach


class Reply(NamedTuple):
    who: str
    stage: Stage
    code: int
    text: str
    reach: Reach
    kind: Kind
    note: str = ""

    @property
    def fault(self) -> Fault:
        return Fault.of_reply(self.stage, self.code, self.text)

    @property
    def status(self) -> Status:
        """Where a mail stands after its first attempt, all recipients getting this reply."""
        return Status.BOUNCED if self.kind is Kind.PERMANENT else Status.DEFERRED


CONNECT, LOGIN, SENDER = Stage.CONNECT, Stage.LOGIN, Stage.SENDER
RCPT, DATA, CONTENT = Stage.RECIPIENT, Stage.DATA, Stage.CONTENT
LATER = (Reach.MESSAGE, Kind.TEMPORARY)
NEVER = (Reach.MESSAGE, Kind.PERMANENT)
ONE_LATER = (Reach.RECIPIENT, Kind.TEMPORARY)
ONE_NEVER = (Reach.RECIPIENT, Kind.PERMANENT)
AWAY = (Reach.CONNECTION, Kind.AWAY)
USED_UP = (Reach.CONNECTION, Kind.SESSION)
CROWDED = (Reach.ACCOUNT, Kind.CONCURRENCY)
FAST = (Reach.ACCOUNT, Kind.RATE)
SPENT = (Reach.ACCOUNT, Kind.QUOTA)
LOCKED = (Reach.ACCOUNT, Kind.LOGIN)
FROM = (Reach.ACCOUNT, Kind.SENDER)

Row = tuple[Stage, int, str, tuple[Reach, Kind]] | tuple[Stage, int, str, tuple[Reach, Kind], str]

_BY_WHOM: Final[dict[str, list[Row]]] = {
    "Amazon SES": [
        (CONTENT, 454, "Throttling failure: Maximum sending rate exceeded.", FAST),
        (SENDER, 454, "Throttling failure: Maximum sending rate exceeded.", FAST),
        (CONTENT, 454, "Throttling failure: Daily message quota exceeded.", SPENT),
        (RCPT, 454, "Throttling failure: Daily message quota exceeded.", SPENT, "same code"),
        (SENDER, 421, "Maximum message count per session reached", USED_UP),
        (CONNECT, 421, "Too many concurrent SMTP connections", CROWDED),
        (
            CONTENT,
            554,
            (
                "Message rejected: Email address is not verified. The following identities failed the "
                "check in region EU-WEST-1: shop@example.com"
            ),
            FROM,
        ),
        (
            CONTENT,
            554,
            (
                "Message rejected: Sending paused for this account. For more information, please check "
                "the inbox of the email address associated with your AWS account."
            ),
            SPENT,
        ),
        (
            CONTENT,
            554,
            (
                "Access denied: User `arn:aws:iam::123456789012:user/ses` is not authorized to perform "
                "`ses:SendRawEmail' on resource"
            ),
            FROM,
        ),
        (LOGIN, 535, "Authentication Credentials Invalid", LOCKED),
        (SENDER, 530, "Authentication required", LOCKED),
        (SENDER, 530, "Must issue a STARTTLS command first", LOCKED),
        (SENDER, 501, "Invalid MAIL FROM address provided", NEVER),
        (CONTENT, 451, "Temporary service failure", LATER),
        (CONTENT, 451, "Timeout waiting for data from client", LATER),
        (CONTENT, 552, "Message is too long.", NEVER),
        (CONTENT, 554, "Message rejected: Address blacklisted.", NEVER),
        (CONTENT, 554, "Transaction failed: Illegal header 'X-Tag'.", NEVER),
        (CONTENT, 554, "Transaction failed: Missing final '@domain'", NEVER),
    ],
    "SendGrid": [
        (LOGIN, 451, "Authentication failed: Maximum credits exceeded", SPENT, "4xx, not a day"),
        (CONTENT, 451, "Maximum credits exceeded", SPENT),
        (CONTENT, 451, "You've exceeded your messaging limits", SPENT),
        (
            CONTENT,
            550,
            (
                "The from address does not match a verified Sender Identity. Mail cannot be sent until "
                "this error is resolved. Visit https://sendgrid.com/docs/ to see the requirements"
            ),
            FROM,
        ),
        (SENDER, 550, "Unauthenticated senders not allowed", LOCKED),
        (
            LOGIN,
            535,
            "Authentication failed: The provided authorization grant is invalid, expired, or revoked",
            LOCKED,
        ),
        (RCPT, 451, "Temporary local problem - please try later", ONE_LATER),
        (RCPT, 452, "Too many recipients received this hour (throttled)", ONE_LATER),
        (RCPT, 550, "Requested action not taken: mailbox unavailable", ONE_NEVER),
        (RCPT, 551, "User not local; please try <ann@example.org>", ONE_NEVER),
        (
            CONTENT,
            552,
            "This message is larger than the current system limit or the recipient's mailbox is full",
            NEVER,
        ),
        (CONTENT, 554, "ERROR: Mail refused", NEVER),
        (CONTENT, 421, "Message from (192.0.2.7) temporarily deferred", FAST),
    ],
    "Mailgun": [
        (
            CONTENT,
            421,
            (
                "Domain mg.example.com is not allowed to send: recipient limit exceeded, try again "
                "after Tue, 06 May 2025 10:00:00 GMT"
            ),
            SPENT,
        ),
        (
            SENDER,
            550,
            (
                "5.7.1 Domain mg.example.com is not allowed to send: The domain is unverified and "
                "requires DNS configuration. Log in to your control panel to view required DNS records."
            ),
            FROM,
        ),
        (
            CONTENT,
            421,
            (
                "4.7.0 Sandbox subdomains are for test purposes only. Please add your own domain or "
                "add the address to authorized recipients in Account Settings."
            ),
            FROM,
        ),
        (LOGIN, 535, "5.7.0 Invalid login or password", LOCKED),
        (LOGIN, 535, "5.7.8 Authentication failed", LOCKED),
        (CONTENT, 552, "5.3.4 Message size exceeds fixed limit", NEVER),
        (RCPT, 550, "5.1.1 Recipient address rejected: not a valid address", ONE_NEVER),
        (CONTENT, 451, "4.3.0 Temporary error, please try again later", LATER),
    ],
    "Postmark": [
        (
            CONTENT,
            550,
            (
                "5.7.1 The 'From' address you supplied (shop@example.com) is not a Sender Signature on "
                "your account. Please add and confirm this address."
            ),
            FROM,
        ),
        (
            CONTENT,
            550,
            (
                "While your account is pending approval, all recipient addresses must share the same "
                "domain as the 'From' address."
            ),
            FROM,
            "mail to one's own domain goes on",
        ),
        (CONTENT, 450, "4.7.1 Not allowed to send: you ran out of credits.", SPENT),
        (LOGIN, 535, "5.7.8 Error: authentication failed: UGFzc3dvcmQ6", LOCKED),
        (CONTENT, 552, "5.3.4 Message too large (max 10485760 bytes)", NEVER),
    ],
    "Gmail": [
        (
            RCPT,
            550,
            (
                "5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits "
                "go to 5.4.5 https://support.google.com/a/answer/166852 ab12-gsmtp"
            ),
            SPENT,
            "a 5xx, at one recipient",
        ),
        (CONTENT, 550, "5.4.5 Daily sending quota exceeded. ab12 - gsmtp", SPENT),
        (CONTENT, 550, "5.4.5 Daily user sending 5.4.5 quota exceeded. ab12 - gsmtp", SPENT),
        (
            CONTENT,
            550,
            "You have reached a limit for sending mail. Your message was not sent.",
            SPENT,
        ),
        (
            RCPT,
            450,
            (
                "4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend "
                "4.2.1 your message at a later time. ab12 - gsmtp"
            ),
            ONE_LATER,
            "the recipient's rate, not ours",
        ),
        (
            RCPT,
            450,
            (
                "4.2.1 The user you are trying to contact is receiving mail at a rate that 4.2.1 "
                "prevents additional messages from being delivered. gsmtp"
            ),
            ONE_LATER,
        ),
        (
            RCPT,
            452,
            (
                "4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to "
                "4.2.2 https://support.google.com/mail/?p=OverQuotaTemp ab12-gsmtp"
            ),
            ONE_LATER,
            "a mailbox's quota",
        ),
        (
            RCPT,
            552,
            "5.2.2 The email account that you tried to reach is over quota and inactive. gsmtp",
            ONE_NEVER,
            "a mailbox's quota, for good",
        ),
        (
            RCPT,
            550,
            (
                "5.1.1 The email account that you tried to reach does not exist. Please try 5.1.1 "
                "double-checking the recipient's email address for typos. gsmtp"
            ),
            ONE_NEVER,
        ),
        (
            RCPT,
            550,
            "5.2.1 The email account that you tried to reach is disabled. gsmtp",
            ONE_NEVER,
        ),
        (RCPT, 553, "5.1.2 We weren't able to find the recipient domain. gsmtp", ONE_NEVER),
        (
            CONTENT,
            421,
            (
                "4.7.0 Our system has detected an unusual rate of 4.7.0 unsolicited mail originating "
                "from your IP address. To protect our 4.7.0 users from spam, mail sent from your IP "
                "address has been temporarily 4.7.0 rate limited."
            ),
            FAST,
        ),
        (
            CONTENT,
            550,
            (
                "5.7.1 Our system has detected an unusual rate of unsolicited mail originating from "
                "your IP address. To protect our users from spam, mail sent from your IP address has "
                "been blocked. gsmtp"
            ),
            LATER,
            "the host is refused, not the mail",
        ),
        (
            CONTENT,
            550,
            (
                "5.7.26 Your email has been blocked because the sender is unauthenticated. Gmail "
                "requires all senders to authenticate with either SPF or DKIM. 5.7.26 Authentication "
                "results: DKIM = did not pass"
            ),
            NEVER,
            "not a request to log in",
        ),
        (CONTENT, 550, "5.7.1 Our system has detected that this message is likely spam", NEVER),
        (CONTENT, 552, "5.2.3 Your message exceeded Google's message size limits. gsmtp", NEVER),
        (CONTENT, 552, "5.7.0 This message was blocked because its content presents a risk", NEVER),
        (LOGIN, 534, "5.7.9 Application-specific password required. gsmtp", LOCKED),
        (LOGIN, 534, "5.7.14 <https://accounts.google.com/signin/continue> Please log in", LOCKED),
        (LOGIN, 535, "5.7.8 Username and Password not accepted. gsmtp", LOCKED),
        (LOGIN, 454, "4.7.0 Too many login attempts, please try again later. gsmtp", LOCKED),
        (LOGIN, 454, "4.7.0 Cannot authenticate due to temporary system problem.", AWAY),
        (SENDER, 530, "5.7.0 Authentication Required. gsmtp", LOCKED),
        (CONNECT, 421, "4.7.0 Try again later, closing connection. (EHLO) gsmtp", AWAY),
        (SENDER, 421, "4.4.5 Server busy, try again later. gsmtp", AWAY),
        (RCPT, 452, "4.5.3 Your message has too many recipients. gsmtp", ONE_LATER),
        (RCPT, 451, "4.3.0 Mail server temporarily rejected message. gsmtp", ONE_LATER),
        (DATA, 503, "5.5.1 RCPT first. gsmtp", LATER, "out of step: on a new connection"),
    ],
    "Workspace relay": [
        (
            CONTENT,
            550,
            (
                "5.7.1 Daily SMTP relay limit exceeded for customer. For more information on SMTP relay "
                "sending limits please contact your administrator."
            ),
            SPENT,
        ),
        (RCPT, 550, "5.4.5 Daily SMTP relay sending limit exceeded for this user.", SPENT),
        (
            RCPT,
            450,
            "4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.",
            FAST,
        ),
        (
            SENDER,
            550,
            (
                "5.7.1 Invalid credentials for relay [192.0.2.7]. The IP address you've 5.7.1 registered "
                "in your Workspace SMTP Relay service doesn't match"
            ),
            LOCKED,
        ),
        (RCPT, 550, "5.7.0 Mail relay denied [192.0.2.7].", LOCKED),
    ],
    "Microsoft 365": [
        (
            SENDER,
            432,
            (
                "4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending "
                "for more information. [Hostname=AM0.prod.outlook.com]"
            ),
            CROWDED,
        ),
        (CONTENT, 432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", CROWDED),
        (
            RCPT,
            432,
            "4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
            ONE_LATER,
            "the recipient's rate",
        ),
        (
            CONNECT,
            421,
            (
                "4.3.2 The maximum number of concurrent server connections has exceeded a limit, "
                "closing transmission channel"
            ),
            CROWDED,
        ),
        (
            CONTENT,
            554,
            (
                "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to "
                "process message due to a permanent exception with message The message can't be "
                "submitted because the sender's submission quota was exceeded."
            ),
            SPENT,
        ),
        (
            CONTENT,
            550,
            "5.1.90 Your message can't be sent because you've reached your limit",
            SPENT,
        ),
        (CONTENT, 550, "5.7.705 Access denied, tenant has exceeded threshold", SPENT),
        (RCPT, 550, "5.7.708 Service unavailable. Access denied, traffic not accepted", SPENT),
        (
            CONTENT,
            550,
            "5.7.60 SMTP; Client does not have permissions to send as this sender",
            FROM,
        ),
        (
            CONTENT,
            554,
            "5.2.252 SendAsDenied; app@example.com not allowed to send as shop@example.com",
            FROM,
        ),
        (CONTENT, 550, "5.1.8 Access denied, bad outbound sender. AS(42004)", FROM),
        (CONTENT, 550, "5.7.750 Client blocked from sending from unregistered domains.", FROM),
        (
            SENDER,
            530,
            "5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
            LOCKED,
        ),
        (LOGIN, 535, "5.7.3 Authentication unsuccessful [AM0.prod.outlook.com]", LOCKED),
        (
            LOGIN,
            535,
            "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",
            LOCKED,
        ),
        (LOGIN, 454, "4.7.0 Temporary authentication failure", AWAY),
        (
            SENDER,
            421,
            "4.4.2 Message submission rate for this client has exceeded the configured limit",
            FAST,
        ),
        (
            RCPT,
            451,
            "4.7.500 Server busy. Please try again later from [192.0.2.7]. (S77714)",
            ONE_LATER,
        ),
        (RCPT, 451, "4.7.0 Temporary server error. Please try again later. PRX4", ONE_LATER),
        (CONTENT, 451, "4.4.0 Primary target IP address responded with: 421 4.2.1", LATER),
        (RCPT, 550, "5.4.1 Recipient address rejected: Access denied. AS(201806281)", ONE_NEVER),
        (RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", ONE_NEVER),
        (
            RCPT,
            550,
            "5.7.1 RESOLVER.RST.AuthRequired; authentication required",
            ONE_NEVER,
            "a recipient that takes mail from colleagues only",
        ),
        (RCPT, 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup", ONE_NEVER),
        (
            RCPT,
            550,
            "5.7.64 TenantAttribution; Relay Access Denied",
            ONE_LATER,
            "a connector's fault",
        ),
        (
            RCPT,
            550,
            (
                "5.7.606 Access denied, banned sending IP [192.0.2.7]. To request removal from this "
                "list please visit https://sender.office.com/"
            ),
            ONE_LATER,
            "the host is refused",
        ),
        (
            SENDER,
            550,
            "5.7.1 Service unavailable, Client host [192.0.2.7] blocked using Spamhaus.",
            LATER,
            "the host is refused",
        ),
        (
            CONTENT,
            550,
            (
                "5.7.515 Access denied, sending domain EXAMPLE.COM does not meet the required "
                "authentication level."
            ),
            NEVER,
            "not a request to log in",
        ),
        (SENDER, 552, "5.3.4 Message size exceeds fixed maximum message size", NEVER),
        (RCPT, 452, "4.5.3 Too many recipients", ONE_LATER),
        (RCPT, 452, "4.3.1 Insufficient system resources", ONE_LATER),
        (SENDER, 421, "4.3.2 Service not active", AWAY),
        (RCPT, 552, "5.2.2 STOREDRV.Deliver; mailbox full", ONE_NEVER),
    ],
    "Yahoo": [
        (
            SENDER,
            421,
            (
                "4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume "
                "or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
            ),
            FAST,
        ),
        (
            SENDER,
            421,
            (
                "4.7.1 [TS03] All messages from 192.0.2.7 will be permanently deferred; Retrying will "
                "NOT succeed."
            ),
            SPENT,
            "421 never bounces",
        ),
        (CONNECT, 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.7", AWAY),
        (RCPT, 554, "delivery error: dd This user doesn't have a yahoo.com account", ONE_NEVER),
        (CONTENT, 554, "5.7.9 Message not accepted for policy reasons.", NEVER),
        (
            CONTENT,
            451,
            "Resources temporarily not available - Please try again later [#4.16.5]",
            LATER,
        ),
        (SENDER, 553, "From: address not verified; see http://help.yahoo.com/sendfrom", FROM),
        (RCPT, 552, "1 Requested mail action aborted, mailbox not found", ONE_NEVER),
    ],
    "GMX, WEB.DE, IONOS": [
        (
            RCPT,
            450,
            "Requested mail action not taken: mailbox unavailable. Mail send limit exceeded.",
            SPENT,
        ),
        (SENDER, 550, "Sender address is not allowed.", FROM),
        (CONTENT, 554, "Transaction failed: Unauthorized sender address.", FROM),
        (CONTENT, 554, "Transaction failed. Reject due to policy restrictions.", NEVER),
        (CONNECT, 554, "No SMTP service. Bad DNS PTR resource record.", AWAY),
        (SENDER, 421, "Rate limit reached. Please try again later", FAST),
        (SENDER, 421, "Reject due to policy violations", AWAY),
        (
            CONTENT,
            451,
            (
                "Requested action aborted: This mail account has sent too many messages in a short "
                "amount of time. Please try again later."
            ),
            FAST,
        ),
        (RCPT, 451, "Requested action aborted: local error in processing", ONE_LATER),
        (RCPT, 550, "Quota Exceeded", ONE_NEVER, "a mailbox's quota"),
        (
            RCPT,
            550,
            "<ann@example.org>: Requested action not taken: mailbox unavailable",
            ONE_NEVER,
        ),
        (SENDER, 550, "Reject due to SPF policy. The originating IP is not permitted", NEVER),
        (RCPT, 550, "must be authenticated", LOCKED),
    ],
    "Apple iCloud": [
        (SENDER, 550, "5.7.0 From address is not one of your addresses", FROM),
        (CONTENT, 554, "5.7.1 [HM08] Message rejected due to local policy.", NEVER),
        (CONTENT, 550, "5.7.1 Your message was rejected due to example.com's DMARC policy.", NEVER),
        (RCPT, 550, "5.1.1 <ann@icloud.com>: user does not exist", ONE_NEVER),
        (RCPT, 552, "5.2.2 <ann@icloud.com>: user is over quota", ONE_NEVER),
        (LOGIN, 535, "5.7.8 Error: authentication failed: bad username or password", LOCKED),
    ],
    "Postfix": [
        (RCPT, 450, "4.7.1 Error: too much mail from 192.0.2.7", FAST),
        (SENDER, 450, "4.7.1 Error: too much mail from 192.0.2.7", FAST),
        (RCPT, 450, "4.7.1 Error: too many recipients from 192.0.2.7", FAST),
        (LOGIN, 450, "4.7.1 Error: too many AUTH commands from 192.0.2.7", FAST),
        (RCPT, 452, "4.5.3 Error: too many recipients", ONE_LATER, "of this message"),
        (
            CONNECT,
            421,
            "4.7.0 mail.example.com Error: too many connections from 192.0.2.7",
            CROWDED,
        ),
        (RCPT, 421, "4.7.0 mail.example.com Error: too many errors", USED_UP),
        (SENDER, 421, "4.4.2 mail.example.com Error: timeout exceeded", USED_UP),
        (RCPT, 450, "4.3.2 Service currently unavailable", USED_UP, "postscreen, once tested"),
        (CONNECT, 450, "4.3.2 Service currently unavailable", AWAY),
        (CONNECT, 454, "4.7.0 TLS not available due to local problem", AWAY),
        (SENDER, 530, "5.7.0 Must issue a STARTTLS command first", LOCKED),
        (LOGIN, 535, "5.7.8 Error: authentication failed: authentication failure", LOCKED),
        (LOGIN, 454, "4.7.0 Temporary authentication failure: Connection lost", AWAY),
        (
            RCPT,
            553,
            "5.7.1 <shop@example.com>: Sender address rejected: not owned by user app",
            FROM,
        ),
        (RCPT, 553, "5.7.1 <shop@example.com>: Sender address rejected: not logged in", FROM),
        (RCPT, 550, "5.1.1 <ann@example.org>: Recipient address rejected: User unknown", ONE_NEVER),
        (
            RCPT,
            450,
            "4.1.1 <ann@example.org>: Recipient address rejected: unverified address",
            ONE_LATER,
        ),
        (
            RCPT,
            550,
            (
                "5.1.1 <ann@gmail.com>: Recipient address rejected: undeliverable address: host "
                "mx.example.org[192.0.2.9] said: 550 5.4.5 Daily user sending limit exceeded (in reply "
                "to RCPT TO command)"
            ),
            ONE_NEVER,
            "another host's account",
        ),
        (
            RCPT,
            450,
            "4.1.8 <a@nowhere.example>: Sender address rejected: Domain not found",
            ONE_LATER,
        ),
        (
            RCPT,
            550,
            "5.1.8 <a@nowhere.example>: Sender address rejected: Domain not found",
            ONE_NEVER,
        ),
        (RCPT, 554, "5.7.1 <ann@example.org>: Relay access denied", ONE_LATER, "a day to mend it"),
        (RCPT, 454, "4.7.1 <ann@example.org>: Relay access denied", ONE_LATER),
        (
            RCPT,
            554,
            "5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org",
            ONE_LATER,
            "the host is refused",
        ),
        (
            RCPT,
            450,
            "4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]",
            ONE_LATER,
        ),
        (SENDER, 452, "4.3.1 Insufficient system storage", LATER),
        (SENDER, 552, "5.3.4 Message size exceeds fixed limit", NEVER),
        (CONTENT, 552, "5.3.4 Error: message file too big", NEVER),
        (CONTENT, 451, "4.3.0 Error: queue file write error", LATER),
        (CONTENT, 550, "5.7.1 Blocked by SpamAssassin", NEVER),
        (DATA, 554, "5.5.1 Error: no valid recipients", NEVER),
        (SENDER, 503, "5.5.1 Error: nested MAIL command", LATER, "out of step"),
        (
            RCPT,
            504,
            "5.5.2 <ann>: Recipient address rejected: need fully-qualified address",
            ONE_NEVER,
        ),
        (SENDER, 501, "5.1.7 Bad sender address syntax", NEVER),
        (SENDER, 555, "5.5.4 Unsupported option: SMTPUTF8", NEVER),
    ],
    "Exim": [
        (CONNECT, 421, "Too many concurrent SMTP connections; please try again later.", CROWDED),
        (SENDER, 421, "too many messages in this connection", USED_UP),
        (LOGIN, 535, "Incorrect authentication data", LOCKED),
        (LOGIN, 435, "Unable to authenticate at present", AWAY),
        (RCPT, 550, "Unrouteable address", ONE_NEVER),
        (RCPT, 550, "relay not permitted", ONE_LATER, "a day to mend it"),
        (RCPT, 550, "relay not permitted, authentication required", LOCKED),
        (RCPT, 451, "Temporary local problem - please try later", ONE_LATER),
        (
            RCPT,
            550,
            "Callout verification failed: 550 5.4.5 Daily user sending limit exceeded",
            ONE_NEVER,
            "another host's account",
        ),
        (CONTENT, 550, "This message was classified as SPAM and may not be delivered", NEVER),
        (CONTENT, 552, "Message size exceeds maximum permitted", NEVER),
        (SENDER, 500, "unrecognized command", LATER, "out of step"),
        (CONTENT, 500, "5.5.2 Line too long", NEVER),
    ],
    "cPanel": [
        (
            RCPT,
            550,
            (
                "Domain example.com has exceeded the max emails per hour (501/500 (100%)) allowed. "
                "Message discarded."
            ),
            SPENT,
        ),
        (
            CONTENT,
            451,
            (
                "Domain example.com has exceeded the max defers and failures per hour (5/5 (100%)) "
                "allowed. Message will be reattempted later"
            ),
            SPENT,
        ),
    ],
    "Sendmail": [
        (CONNECT, 421, "4.3.2 Connection rate limit exceeded.", FAST),
        (CONNECT, 421, "4.3.2 Too many open connections.", CROWDED),
        (RCPT, 550, "5.1.1 <ann@example.org>... User unknown", ONE_NEVER),
        (RCPT, 550, "5.7.1 <ann@example.org>... Relaying denied", ONE_LATER, "a day to mend it"),
        (
            SENDER,
            553,
            "5.1.8 <a@nowhere.example>... Domain of sender address does not exist",
            NEVER,
        ),
        (SENDER, 451, "4.1.8 Domain of sender address a@example.com does not resolve", LATER),
        (SENDER, 452, "4.4.5 Insufficient disk space; try again later", LATER),
        (CONTENT, 451, "4.3.2 Please try again later", USED_UP),
        (RCPT, 452, "4.5.3 Too many recipients", ONE_LATER),
        (CONTENT, 554, "5.6.0 Invalid header", NEVER),
    ],
    "qmail": [
        (RCPT, 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", ONE_NEVER),
        (RCPT, 550, "sorry, no mailbox here by that name. (#5.1.1)", ONE_NEVER),
        (SENDER, 503, "AUTH first (#5.5.1)", LOCKED),
        (CONTENT, 451, "qq trouble in home directory (#4.3.0)", LATER),
        (CONTENT, 552, "sorry, that message size exceeds my databytes limit (#5.3.4)", NEVER),
        (CONTENT, 451, "See http://pobox.com/~djb/docs/smtplf.html.", LATER),
    ],
    "Proofpoint": [
        (CONNECT, 554, "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7", AWAY),
        (RCPT, 421, "4.7.1 Access denied by system; blocked - see ipcheck.proofpoint.com", AWAY),
        (CONTENT, 550, "5.7.0 Local Policy Violation", NEVER),
        (RCPT, 550, "5.7.1 User email address is marked as invalid.", ONE_NEVER),
    ],
    "Mimecast": [
        (SENDER, 421, "Unable to process connection at this time", AWAY),
        (RCPT, 451, "Internal resources are temporarily unavailable - [abc]", ONE_LATER),
        (RCPT, 451, "Account inbounds disabled", ONE_LATER),
        (
            RCPT,
            550,
            "Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550",
            ONE_NEVER,
        ),
        (CONTENT, 554, "Email rejected due to security policies", NEVER),
        (CONTENT, 550, "Administrative prohibition - envelope blocked", NEVER),
    ],
    "greylisting": [
        (
            RCPT,
            450,
            "4.2.0 <ann@example.org>: Recipient address rejected: Greylisted, see help",
            ONE_LATER,
        ),
        (RCPT, 451, "4.7.1 Greylisting in action, please come back in 00:05:00", ONE_LATER),
        (RCPT, 451, "4.3.2 Graylisted, please try again later", ONE_LATER, "4.3.2 or not"),
        (
            RCPT,
            450,
            "4.7.1 <ann@example.org>: Recipient address rejected: Try again later",
            ONE_LATER,
        ),
    ],
    "other providers": [
        (CONTENT, 551, "5.7.1 Not authorised to send from this header address", FROM, "Fastmail"),
        (SENDER, 553, "Relaying disallowed as shop@example.com", FROM, "Zoho"),
        (
            CONTENT,
            550,
            "5.4.6 Unusual sending activity detected. Please try after sometime",
            SPENT,
            "Zoho",
        ),
        (LOGIN, 525, "5.7.1 Unauthorized IP address", LOCKED, "Brevo"),
        (SENDER, 502, "5.7.0 Your SMTP account is not yet activated", LOCKED, "Brevo"),
        (SENDER, 550, "that SMTP username's account is not allowed to send", LOCKED, "SMTP2GO"),
        (CONTENT, 550, "From header sender domain not verified (example.com)", FROM, "SMTP2GO"),
        (CONTENT, 550, "5.7.1 Unconfigured Sending Domain <example.com>", FROM, "SparkPost"),
        (LOGIN, 550, "Too many messages. Try again in 92 seconds.", FAST, "NotiSend"),
        (
            RCPT,
            554,
            (
                "5.7.1 <ann@example.org>: Recipient address rejected: You have exceeded your Outmail "
                "quota."
            ),
            SPENT,
            "outMail",
        ),
        (RCPT, 553, "5.7.1 Sender address rejected: not owned by auth user.", FROM, "Yandex"),
        (RCPT, 422, "4.2.2 Quota limit exceeded", ONE_LATER, "a mailbox's quota"),
        (RCPT, 552, "5.2.2 Over STORAGE quota", ONE_NEVER, "a mailbox's quota"),
        (RCPT, 550, "5.7.1 You are not allowed to send to this list", ONE_NEVER, "a list's rule"),
        (RCPT, 552, "Too many recipients", ONE_LATER, "RFC 5321, 4.5.3.1.10"),
        (RCPT, 523, "5.7.10 Encryption needed", ONE_NEVER),
        (CONTENT, 523, "the message's size exceeds the limit", NEVER),
        (RCPT, 521, "5.3.2 host does not accept mail", ONE_NEVER, "RFC 7504"),
        (RCPT, 556, "5.1.10 recipient address has null MX", ONE_NEVER, "RFC 7505"),
        (SENDER, 538, "5.7.11 Encryption required for requested authentication mechanism", LOCKED),
        (LOGIN, 432, "4.7.12 A password transition is needed", LOCKED),
        (RCPT, 550, "5.1.1 <daily.sending.quota@example.org>: User unknown", ONE_NEVER),
    ],
}

REPLIES: Final = tuple(
    Reply(who, stage, code, text, reach, kind, *note)
    for who, rows in _BY_WHOM.items()
    for stage, code, text, (reach, kind), *note in rows
)
