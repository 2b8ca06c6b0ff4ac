"""``python -m mailqueue``: the command line, without the working directory on the path.

``-m`` puts it first, where a user's own ``worker.py`` would shadow the worker that delivers.
"""

import sys

if not sys.flags.safe_path:
    del sys.path[0]

from mailqueue.cli import main

if __name__ == "__main__":
    main(prog_name="mailqueue")
