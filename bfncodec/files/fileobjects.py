"""The compressed files in a folder as a sequence of objects, several of which are decoded together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bfncodec.codecs.sources import CodecSource, Models
from bfncodec.content.objects import array_or_object
from bfncodec.errors import BfncodecError, InputError
from bfncodec.files.sources import read
from bfncodec.format.frame import SUFFIX
from bfncodec.format.limits import Limits
from bfncodec.runtime.arguments import check_codecs, check_type, path_of
from bfncodec.segments.assemble import Decoding
from bfncodec.segments.together import run_together

__all__ = ["FolderOfFiles"]


class FolderOfFiles:
    """Objects of the .bfn files in a folder and the folders in it, by their number in the order of their paths.

    paths: of the files. arrays: give pictures as arrays. Other arguments and errors as for :class:`bfncodec.Archive`.
    It can be sent to other processes; each loads models for itself.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        arrays: bool = False,
        device: str = "cpu",
        threads: int | None = None,
        limits: Limits | None = None,
        codecs: CodecSource | None = None,
    ) -> None:
        check_codecs(codecs)
        check_type(limits, Limits, "limits")
        self.folder, self.arrays, self._limits = path_of(folder), arrays, limits
        self._codecs = codecs or Models(device, threads)
        self.paths: list[Path] = sorted(self.folder.rglob(f"*{SUFFIX}"))
        if not self.paths:
            raise InputError(f"expected {SUFFIX} files in {self.folder}, found none")

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def read(self, numbers: Iterable[int]) -> list[Any]:
        """Return several objects, decoded together. Errors say which file they are of."""
        paths = [self.paths[number] for number in numbers]
        tasks = [partial(_decoded, path, Decoding(read(path), self._limits)) for path in paths]
        return [array_or_object(content, self.arrays) for content in run_together(tasks, self._codecs)]


def _decoded(path: Path, decoding: Decoding, *, codecs: CodecSource) -> Any:
    try:
        return decoding(codecs=codecs)
    except BfncodecError as error:
        raise error.within(str(path)) from error
