"""fsspec: compressed files through whatever opens files by it, as pandas, pyarrow, Dask and datasets do.

Importing this module makes "bfn" a compression of fsspec, for reading and writing: ``fsspec.open("x.jsonl.bfn",
compression="infer")``. What takes a URL and no compression reads ``bfn://x.jsonl::s3://bucket/x.jsonl.bfn``, for which
nothing need be imported: the package tells fsspec of it.
"""

from __future__ import annotations

import io
import os
from inspect import signature
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.archive import AbstractArchiveFileSystem
from fsspec.compression import register_compression

from bfncodec.errors import InputError
from bfncodec.files.fileopen import open as open_compressed
from bfncodec.files.options import Options
from bfncodec.format.frame import SUFFIX
from bfncodec.integrations.chunks import models
from bfncodec.runtime.arguments import check_codecs, check_flags, check_machine

__all__ = ["BfnFileSystem", "register"]

_NAME = SUFFIX.lstrip(".")


def register(**settings: Any) -> None:
    """Make "bfn" a compression of fsspec, which files of that suffix are known by.

    settings: arguments of :func:`bfncodec.open` for files that are written, such as ``level=1``. Importing this module
    does it without any. Raises InputError for others, and for a model, level or policy that cannot be.
    """
    known = signature(open_compressed).parameters.keys() - {"file", "mode", "encoding", "errors", "newline"}
    if unknown := settings.keys() - known:
        raise InputError(f"expected arguments of bfncodec.open for what is written, found {', '.join(sorted(unknown))}")
    check_machine(settings.get("device", "cpu"), settings.get("threads"))
    check_codecs(settings.get("codecs"))
    check_flags(verify=settings.get("verify", True))
    Options(**{name: settings[name] for name in ("model", "level", "policy") if name in settings})

    def open_file(infile: BinaryIO, mode: str = "rb", **arguments: Any) -> io.BufferedIOBase | io.TextIOWrapper:
        given = ({} if {"device", "threads"} & settings.keys() else {"codecs": models()}) | settings | arguments
        return open_compressed(infile, f"{mode[0]}b", **given)

    register_compression(_NAME, open_file, [_NAME], force=True)


class BfnFileSystem(AbstractArchiveFileSystem):
    """A compressed file as a file system of one file: its content, by its name without ``.bfn``. It is only read.

    fo: path or URL of the compressed file. target_protocol, target_options: of the file system which that is on.
    """

    root_marker = ""
    protocol = _NAME
    cachable = False

    def __init__(
        self,
        fo: str | os.PathLike[str] = "",
        mode: str = "rb",
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.fo = os.fspath(fo)
        self._file = fsspec.open(self.fo, "rb", protocol=target_protocol, compression=_NAME, **(target_options or {}))
        self._name = Path(self.fo.partition("::")[0]).name.removesuffix(SUFFIX)
        self.dir_cache: dict[str, dict[str, Any]] | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path)).lstrip("/")

    def _get_dirs(self) -> None:
        if self.dir_cache is None:
            with self._file as file:
                size = file.seek(0, os.SEEK_END) if file.seekable() else None
            self.dir_cache = {self._name: {"name": self._name, "size": size, "type": "file"}}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BufferedIOBase:
        if mode != "rb":
            raise InputError(f'expected mode rb, found {mode}: write with fsspec.open(path, compression="{_NAME}")')
        if self._strip_protocol(path) != self._name:
            raise FileNotFoundError(f"expected {self._name}, which is all that {self.fo} holds, found {path}")
        opened: io.BufferedIOBase = self._file.open()
        return opened


fsspec.register_implementation(_NAME, BfnFileSystem, clobber=True)  # where the package was not installed
register()
