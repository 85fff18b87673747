"""Collisions of targets: found before anything is written, as the second result would replace the first.

Names are compared as the file system compares them: links are followed, and where a folder takes ``A`` for ``a``, or
the two ways to write an accent for one, so do we. That is tried out in the folder, and only where it matters.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bfncodec.files.places import folder_at
from bfncodec.format.frame import SUFFIX

__all__ = ["Step", "clashes"]


@dataclass(frozen=True)
class Step:
    """A source and the target to be made of it; None where there is no name for one."""

    source: Path
    target: Path | None


def clashes(steps: Sequence[Step]) -> list[tuple[Path, str]]:
    """Return every source whose target cannot be, with what is wrong.

    A target must not be that of another source, another source itself, or a folder that holds one.
    """
    return [*_common_targets(steps), *_replaced_sources(steps)]


def _common_targets(steps: Sequence[Step]) -> Iterator[tuple[Path, str]]:
    exact: dict[str, Step] = {}
    folded: dict[str, str] = {}
    for step in steps:
        if step.target is None:
            continue
        real = os.path.realpath(step.target)
        alike = folded.setdefault(_folded(real), real)
        if real not in exact and not (alike != real and _folds(Path(os.path.commonpath([real, alike])))):
            exact[real] = step
            continue
        before = exact[real if real in exact else alike]
        if os.path.realpath(step.source) == os.path.realpath(before.source):
            yield step.source, f"would become {step.target} twice: give it once"
        else:
            yield step.source, f"would become {step.target}, as {before.source} would: give them folders of their own"


def _replaced_sources(steps: Sequence[Step]) -> Iterator[tuple[Path, str]]:
    targets = {os.path.realpath(step.target): step for step in steps if step.target is not None}
    for step in steps:
        real = os.path.realpath(step.source)
        if (other := targets.get(real)) is not None and os.path.realpath(other.source) != real:
            yield other.source, f"would become {other.target}, which is to be read, too: name another target"
        paths = [Path(real)] + ([Path(os.path.realpath(step.target))] if step.target is not None else [])
        for above in (targets[str(parent)] for path in paths for parent in path.parents if str(parent) in targets):
            if above is not step:
                yield (
                    above.source,
                    f"would become {above.target}, where {step.source} has its place: name another target",
                )
                break


def _folded(path: str) -> str:
    """Return one form for all names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _folds(folder: Path) -> bool:
    """Return whether a folder takes names for the same that differ in case or form.

    Of a folder that is missing the one is tried that it will be made in.
    """
    while not folder_at(folder):
        folder = folder.parent
    name = f".{os.urandom(6).hex()}{{}}{SUFFIX}.part"
    tried, others = name.format("\u00e9"), (name.format("\u00c9"), name.format("e\u0301"))
    try:
        (folder / tried).touch(exist_ok=False)
        try:
            return any(os.path.lexists(folder / other) for other in others)
        finally:
            (folder / tried).unlink()
    except OSError:  # nothing can be written there, which is said later
        return False
