"""Connections of a route, counted over all workers: at most so many at the same time.

A connection is held under a lease, which its worker renews. A worker that dies renews nothing, so
its connections count no more when their leases are over: nobody has to notice, or to tidy up.

Key, behind the queue's name: ``connections:ROUTE`` (sorted set: holder, scored by the end of its
lease, by Redis's clock). Whoever asks for a connection removes what is over.
"""

from collections.abc import Sequence
from typing import Any

from mailqueue.scripts import run_script
from mailqueue.state import get_state, key


def acquire(route: str, holder: str, most: int, seconds: float) -> bool:
    """Ask for one of ``most`` connections, for ``seconds`` unless renewed; False: all are held.

    ``holder`` names the connection, not the worker: one worker may hold several. Asking again
    under the same name renews it.
    """
    return bool(run_script("lease", [_key(route)], [holder, most, seconds]))


def renew(route: str, holders: Sequence[str], seconds: float) -> list[str]:
    """Hold on to connections for ``seconds`` from now; returns the holders that have lost theirs.

    A lease that is over may be renewed as long as nobody has asked for a connection since.
    """
    if not holders:
        return []
    kept: Any = run_script("lease_renew", [_key(route)], [seconds, *holders])
    return [holder for holder, held in zip(holders, kept, strict=True) if not held]


def release(route: str, holder: str) -> None:
    """Give a connection back."""
    get_state().zrem(_key(route), holder)


def held(route: str) -> int:
    """How many connections are held, those of dead workers left out."""
    return int(run_script("leases_held", [_key(route)], []))


def free(route: str, most: int) -> int:
    """How many of ``most`` connections could be acquired now."""
    return max(0, most - held(route))


def _key(route: str) -> str:
    return key("connections", route)
