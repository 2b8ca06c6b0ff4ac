"""An access token, and how long it is good for."""

import hashlib
import re
from typing import Final, Self

import msgspec

#: What RFC 6749 (appendix A.12) allows and a SASL string can carry: visible ASCII.
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
#: Seconds, where the endpoint does not say; most tokens live for an hour.
_LIFETIME: Final = 300.0
#: Seconds that are believed.
_LONGEST_LIFETIME: Final = 30 * 86_400.0
#: A token is replaced so long before it expires: seconds, and the share of a short life.
_EARLY: Final = (60.0, 0.1)


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a token endpoint. Moments are seconds since the epoch."""

    access_token: str
    fetched_at: float
    #: From here on a new one is fetched, if that can be done.
    refresh_at: float
    expires_at: float
    #: The refresh token that is good now, where the endpoint gave another than the configured one.
    refresh_token: str = ""
    #: Digest of the configured refresh token: one that a person sets anew replaces all of this.
    origin: str = ""

    def __repr__(self) -> str:
        """Show until when, never what."""
        return f"Token(expires_at={self.expires_at!r})"

    @classmethod
    def of(
        cls,
        access_token: str,
        expires_in: float | str | None,
        *,
        now: float,
        refresh_token: str = "",
        origin: str = "",
    ) -> Self | None:
        """Make one of an answer; None where what it holds is no token.

        Args:
            access_token: As answered.
            expires_in: Seconds from ``now``; some endpoints write the number as a string.
            now: When it was asked for.
            refresh_token: As answered, or as it came before.
            origin: The configured refresh token.
        """
        if not _TOKEN.fullmatch(access_token):
            return None
        lifetime = _lifetime(expires_in)
        early, share = _EARLY
        return cls(
            access_token=access_token,
            fetched_at=now,
            refresh_at=now + lifetime - min(early, share * lifetime),
            expires_at=now + lifetime,
            refresh_token=refresh_token,
            origin=origin_of(origin),
        )

    def is_fresh(self, now: float) -> bool:
        """Whether it may be used without asking for another one."""
        return now < self.refresh_at

    def is_valid(self, now: float) -> bool:
        """Whether a server should still take it."""
        return now < self.expires_at


def origin_of(refresh_token: str) -> str:
    """Tell configured refresh tokens apart without keeping them."""
    return hashlib.sha256(refresh_token.encode()).hexdigest() if refresh_token else ""


def _lifetime(expires_in: float | str | None) -> float:
    try:
        seconds = _LIFETIME if expires_in is None else float(expires_in)
    except ValueError:
        seconds = _LIFETIME
    # A number that is none (nan) is not greater than anything.
    return min(seconds, _LONGEST_LIFETIME) if seconds > 0 else 0.0
