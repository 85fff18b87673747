"""The command itself, which ``bfncodec`` and ``python -m bfncodec`` start."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # as in the package itself
if TYPE_CHECKING:
    from typing import NoReturn

# Python's own handler raises KeyboardInterrupt, and `signal` is a module of some milliseconds, which nothing else
# breaks off.
sys.excepthook = lambda *error: os._exit(130)

import signal  # noqa: E402


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)


# As the first thing that happens, before anything takes long to import: nothing is written yet, so that there is
# nothing to clean up and nothing to tell. The command listens itself as soon as it can.
for _number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is not signal.SIG_IGN:
        signal.signal(_number, _leave)
sys.excepthook = sys.__excepthook__

# Modules leave many objects and no garbage: with Python's own 700 the collector looks through them a hundred times
# while they are imported.
gc.set_threshold(10_000)


def main() -> NoReturn:
    """Run the command and exit."""
    from bfncodec.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
