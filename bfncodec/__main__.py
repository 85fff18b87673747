"""The command itself, which ``bfncodec`` and ``python -m bfncodec`` start."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # as in the package itself
if TYPE_CHECKING:
    from typing import NoReturn


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)


# As the first thing that happens, before anything takes long to import: nothing is written yet, so that there is
# nothing to clean up and nothing to tell. The command listens itself as soon as it can.
for _number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is not signal.SIG_IGN:
        signal.signal(_number, _leave)


def main() -> NoReturn:
    """Run the command and exit."""
    from bfncodec.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
