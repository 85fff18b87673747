"""Names of targets: what a file is called once it is compressed, decompressed, or shown small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bfncodec.errors import InputError
from bfncodec.format.frame import SUFFIX

__all__ = ["compressed_name", "decompressed_name", "has_suffix", "others_by_name", "own_name", "preview_name"]


def own_name(path: Path) -> Path:
    """Return the path so that it ends in a name: ``.`` and ``..`` have none."""
    return path.resolve() if path.name in ("", "..") else path


def has_suffix(path: Path) -> bool:
    """Return whether a path is named as compressed files are."""
    return path.suffix == SUFFIX


def compressed_name(source: Path) -> Path:
    """Return the name of the compressed file of a file or folder.

    Raises InputError for a name that ends in ``.bfn`` already, and for the root, which has none.

    >>> compressed_name(Path("photo.png")).name
    'photo.png.bfn'
    """
    source = own_name(source)
    if not source.name:
        raise InputError("expected a name to add .bfn to, found none: name a target")
    if has_suffix(source):
        raise InputError(f"already ends in {SUFFIX}; name a target to compress it again")
    return source.with_name(source.name + SUFFIX)


def decompressed_name(source: Path) -> Path:
    """Return the name of what a compressed file becomes.

    Raises InputError for a name that does not end in ``.bfn``, or has nothing but dots before it that mean a folder.
    """
    name = source.name.removesuffix(SUFFIX)
    if name in (source.name, "", ".", ".."):
        raise InputError(f"expected a name ending in {SUFFIX}; name a target to decompress it")
    return source.with_name(name)


def preview_name(source: Path) -> Path:
    """Return the name of the preview of a compressed picture. Raises InputError for the root, which has no name.

    >>> preview_name(Path("photo.png.bfn")).name
    'photo.preview.png'
    """
    named = decompressed_name(source) if has_suffix(source) else own_name(source)
    if not named.name:
        raise InputError("expected a name to make that of a preview of, found none: name a target")
    return named.with_suffix(".preview.png")


def others_by_name(others: Sequence[Path]) -> str:
    """Return how many files have names that are not wanted, and why: one line for all, as there may be many."""
    one, are_ours = len(others) == 1, has_suffix(others[0])
    names = f"{'ends' if one else 'end'} in {SUFFIX} already" if are_ours else f"do{'es' * one} not end in {SUFFIX}"
    return f"{len(others)} file{'s' * (not one)} that {names}"
