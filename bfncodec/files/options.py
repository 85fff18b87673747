"""Options for the treatment of files, and the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bfncodec.api import Damage, Description
from bfncodec.content.regions import Part, part_of
from bfncodec.format.limits import Limits
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_callables, check_flags, check_model, check_policy, check_type, whole_number
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

__all__ = ["Made", "Options", "Result", "size_of"]

Made = bytes | dict[str, bytes]
"""Content of a decompressed file: the bytes of a file, or those of each file of a folder by its path."""


@dataclass(frozen=True)
class Options:
    """Options for the treatment of files.

    Attributes
    ----------
    model, level, preview, strip, block
        As for :func:`bfncodec.compress`; block is None where lines may be cut.
    exact
        Whether picture files, too, come back byte for byte.
    force
        Whether to replace what is there already.
    remove
        Whether to delete the source once the result is safe, for which it is always verified.
    verify
        Whether to decode the result before it counts.
    limits, on_damage, crop, line
        As for :func:`bfncodec.decompress`.
    policy
        Sizes of segments and the like, for experiments.
    on_skip
        Called with the path of whatever is left out of a folder and what it is; without it that is an error.

    Raises InputError for values of a wrong type.
    """

    model: str = "auto"
    exact: bool = False
    force: bool = False
    remove: bool = False
    verify: bool = True
    limits: Limits | None = None
    on_damage: Callable[[Damage], None] | None = None
    on_skip: Callable[[str, str], None] | None = None
    level: int = DEFAULT_LEVEL
    preview: bool | None = None
    crop: tuple[int, int, int, int] | None = None
    line: int | tuple[int, int] | None = None
    block: int | None = None
    strip: bool = False
    policy: Policy = DEFAULT_POLICY

    def __post_init__(self) -> None:
        check_model(self.model)
        check_level(self.level)
        flags = {name: getattr(self, name) for name in ("exact", "force", "remove", "verify", "strip")}
        check_flags(**flags, preview=self.preview is not None and self.preview)
        check_callables(on_damage=self.on_damage, on_skip=self.on_skip)
        check_policy(self.policy, Policy)
        check_type(self.limits, Limits, "limits")
        if self.block is not None:
            whole_number(self.block, "block")

    @property
    def part(self) -> Part | None:
        """The region or lines to be decompressed, None for all. Raises InputError for what is no part."""
        return part_of(self.crop, self.line)


@dataclass(frozen=True)
class Result:
    """Outcome of the work on a file or folder.

    Attributes
    ----------
    plain_bytes
        Size of the file, or of all files of the folder, as they were or are again.
    compressed_bytes
        Size of the compressed file.
    dims
        Bytes of text or subpixels of a picture that it holds.
    coding
        How it is coded; of a part, how the segments of the part are.
    read_bytes
        Bytes of the compressed file that were read to decompress it.
    identical
        Whether what comes back, or came back, is the same byte for byte.
    """

    plain_bytes: int
    compressed_bytes: int
    dims: int
    coding: Description
    read_bytes: int = 0
    identical: bool = True

    @property
    def comes_back(self) -> str:
        """Promise of what comes back, in words: "identical file", or "same picture, file bytes differ"."""
        return replace(self.coding, identical=self.identical).comes_back

    @property
    def bits_per_dim(self) -> float:
        """Bits of the compressed file per byte or subpixel."""
        return 8 * self.compressed_bytes / self.dims if self.dims else 0.0

    @property
    def ratio(self) -> float:
        """Compressed size as a part of the plain one."""
        return self.compressed_bytes / self.plain_bytes if self.plain_bytes else 1.0


def size_of(made: bytes | Mapping[str, bytes]) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return len(made) if isinstance(made, bytes) else sum(map(len, made.values()))
