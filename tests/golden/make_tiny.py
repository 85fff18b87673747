"""Writes models with random weights and payloads of them, for every golden case of `tests/support/cases.py`. Ran once
for each; directories that exist are kept, for their payloads must decode for ever.

    python tests/golden/make_tiny.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
TINY, INDEX, PAYLOAD = HERE / "tiny", HERE / "tiny" / "index.json", "payload"
sys.path.insert(0, str(HERE.parent))


def main() -> None:
    """Write those that are not there yet."""
    import bfncodec
    from support.cases import CASES, digest

    index = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    for name, case in CASES.items():
        folder = TINY / name.replace(" ", "-")
        if case.golden and folder.name not in index:
            case.make(folder)
            (folder / PAYLOAD).write_bytes(bfncodec.load(folder).encode(case.data))
            index[folder.name] = digest(case.data)
    INDEX.write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
