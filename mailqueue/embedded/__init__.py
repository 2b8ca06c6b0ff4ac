"""A Redis-compatible server for processes that have no broker: started on demand, shared, safe.

Each process that uses the server holds a shared ``flock`` on ``users.lock`` in the data directory.
A detached *keeper* starts the server and stops it once it gets that lock exclusively. The kernel
drops a process's locks however it ends, so nothing here needs exit handlers, pid files or time.

===========  ====================  =========================================================
file         who holds the lock    what it means
===========  ====================  =========================================================
users.lock   users, shared         held: the server stays; exclusive (keeper): it is stopping
keeper.lock  the keeper            held: somebody starts or looks after the server
server.lock  keeper and server     held: a server may write to the directory
===========  ====================  =========================================================

The races, and what decides them:

- *Several start at once:* who gets ``keeper.lock`` starts the keeper and hands it the locked file
  itself. There is no moment in between, and no second keeper. The others wait for the server.
- *A user comes while the server stops:* the keeper holds ``users.lock`` until the server has
  ended and it ends itself. The user waits for it (at most 15 s), then starts anew.
- *The starter dies early:* the keeper finds ``users.lock`` free and stops the server.
- *The keeper is killed:* the server lives on and holds ``server.lock`` by inheritance, so that a
  second server is impossible. The next call of ``url_for`` in any process starts a keeper, which
  adopts the server and takes ``server.lock`` over when the server ends. Until such a call nobody
  stops the server; its data is safe meanwhile.
- *The server is killed:* the keeper starts it again, at most 5 times a minute.
- *A server is adopted just as it shuts down:* a user may see its last answer. The keeper gets
  ``server.lock`` a moment later and starts a new server; clients reconnect.
- *A thread forks while another one starts the server:* the child closes the locks that are being
  handed over and keeps ``users.lock`` only, which makes it a user like its parent.
- *The socket or a lock is planted by somebody else:* both live in directories that only this
  user can enter, which is checked before use.
"""

from mailqueue.embedded.users import release, url_for, wait_until_stopped

__all__ = ["release", "url_for", "wait_until_stopped"]
