"""Sources of codecs: where a codec for a kind of content, a name or an identity comes from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from bfncodec import models
from bfncodec.codecs.loading import load
from bfncodec.codecs.protocol import Codec
from bfncodec.errors import ModelNotFoundError
from bfncodec.forks import ProcessLock
from bfncodec.format.modelnames import ModelName
from bfncodec.models import DEFAULT_LEVEL, ModelInfo
from bfncodec.runtime.arguments import check_machine, check_model

__all__ = ["CodecSource", "Models", "codecs_beside", "codecs_of"]

_LOG = logging.getLogger("bfncodec")


class CodecSource(Protocol):
    """A source of codecs; give one of your own to :func:`bfncodec.compress` to code with models that are not on disk.

    Its codecs implement :class:`bfncodec.Codec`. Where many objects are coded it is asked by several threads.
    """

    def default(self, role: str, level: int = DEFAULT_LEVEL) -> Codec[Any] | None:
        """Return the codec for "image" or "text" at a level if the caller names no model; None if there is none."""

    def named(self, name: str) -> Codec[Any]:
        """Return the codec of a model's name. Raises ModelNotFoundError."""

    def identified(self, identity: bytes) -> Codec[Any]:
        """Return the codec of the four bytes that files carry. Raises ModelNotFoundError."""


class Models:
    """The models on this machine, each looked for and loaded when first needed and then kept.

    What is kept stays as it was loaded, whatever happens to its files; what could not be loaded is looked for again.
    Sent to another process, it loads them there; a process that is forked has those that were loaded. Threads may share
    it: a model that several ask for at once is loaded once.

    device: "cpu", "cuda", ... threads: CPU threads, None for all. Files do not depend on either.

    Raises InputError for a device or number of threads that cannot be.
    """

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        check_machine(device, threads)
        self.device, self.threads = device, threads
        self._loaded: dict[str, Codec[Any]] = {}
        self._matching: dict[bytes, list[Codec[Any]]] = {}
        self._beside: dict[str, list[Codec[Any]]] = {}
        self._named: dict[str, ModelInfo] = {}
        self._asked: dict[str | tuple[str, int], Codec[Any]] = {}  # to look for one takes as long as to code a tile
        self._lock = ProcessLock()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loaded": {}, "_matching": {}, "_beside": {}, "_asked": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": ProcessLock()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.device!r}, threads={self.threads!r})"

    def default(self, role: str, level: int = DEFAULT_LEVEL) -> Codec[Any] | None:
        if (role, level) not in self._asked:
            try:
                info = models.default(role, level)
            except ModelNotFoundError:
                return None
            self._asked[role, level] = self._load(info)
        return self._asked[role, level]

    def beside(self, codec: Codec[Any]) -> list[Codec[Any]]:
        """Return the codecs of the models that may be tried beside a default one."""
        name = codec.info.name
        if name not in self._beside:
            self._beside[name] = [self._load(info) for info in models.beside(codec.info)]
        return self._beside[name]

    def named(self, name: str) -> Codec[Any]:
        """Return the codec of a model's name or directory. Raises ModelNotFoundError.

        The logger "bfncodec" tells of a directory in which a model is not looked for when a file is decompressed.
        """
        if name not in self._asked:
            check_model(name)
            info = models.find(name)
            self._asked[name] = self._load(info)
            self._note(info)
        return self._asked[name]

    def _note(self, info: ModelInfo) -> None:
        """Remember a model that was named, and tell of one that is not found otherwise."""
        if info.sha256 not in self._named and not models.is_found(info):
            _LOG.info(
                "model %s lies where none is looked for: decompressing needs its directory in %s or BFNCODEC_MODELS=%s",
                info.name,
                models.user_folder(),
                info.path.parent,
            )
        self._named[info.sha256] = info

    def identified(self, identity: bytes) -> Codec[Any]:
        return self.matching(identity)[0]

    def matching(self, identity: bytes) -> list[Codec[Any]]:
        """Return the codecs of all models whose SHA-256 begins with some bytes. Raises ModelNotFoundError."""
        if identity not in self._matching:
            self._matching[identity] = [self._load(info) for info in self._found(identity)]
        return self._matching[identity]

    def _found(self, identity: bytes) -> list[ModelInfo]:
        """Return the models of an identity: those that were named, wherever they lie, then those on the search path."""
        named = [info for sha256, info in self._named.items() if bytes.fromhex(sha256).startswith(identity)]
        try:
            others = models.matching(identity, [codec.info for codec in self._loaded.values()])
        except ModelNotFoundError:
            if not named:
                raise
            others = []
        return named + [info for info in others if not named or info.sha256 not in self._named]

    def _load(self, info: ModelInfo) -> Codec[Any]:
        """Return the codec of a model, which is the one of another directory with the same files."""
        with self._lock:
            found = self._loaded.get(info.sha256) if self._loaded else None  # the first is hashed while it is loaded
            if found is None:
                found = load(info, device=self.device, threads=self.threads)
                self._loaded[info.sha256] = found
            return found


def codecs_beside(codecs: CodecSource, codec: Codec[Any]) -> list[Codec[Any]]:
    """Return the codecs to try beside a default one; none where the source knows of none."""
    beside = getattr(codecs, "beside", None)
    return beside(codec) if beside else []


def codecs_of(codecs: CodecSource, identity: bytes, names: Sequence[ModelName] = ()) -> list[Codec[Any]]:
    """Return the codecs that may have coded a segment, mostly one; any but the right one decodes to something else.

    names: those of models in the file, which tell the right one. Raises ModelNotFoundError that names the model.
    """
    named = next((name for name in names if name.id == identity), None)
    wanted = named.sha256 if named else identity
    try:
        matching = getattr(codecs, "matching", None)  # of sources that know of models whose SHA-256 begins alike
        return matching(wanted) if matching else [codecs.identified(identity)]
    except ModelNotFoundError as error:
        if named is None:
            raise
        raise ModelNotFoundError(
            f"the file needs model {named.name} of SHA-256 {named.sha256.hex()}: {error}"
        ) from error
