"""Writes the registry of published models, and beside each model its SHA-256.

python tests/golden/make_registry.py
"""

from __future__ import annotations

import json
from pathlib import Path

from bfncodec import models

WHERE = "in the package bfncodec 0.2 and later"


def main() -> None:
    """Write what is told of the models in models/."""
    entries = []
    for path in sorted((Path(__file__).parents[2] / "models").glob(f"*/{models.CONFIG}")):
        info = models.read(path.parent)
        (info.path / models.STATED).write_text(info.sha256 + "\n")
        size = sum(file.stat().st_size for file in info.files)
        entries.append({"name": info.name, "sha256": info.sha256, "size": size, "where": WHERE})
    models.REGISTRY.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
