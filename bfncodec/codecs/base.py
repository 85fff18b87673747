"""The base class of codecs with a network: checks, batches, threads, checksums."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from bfncodec.codecs.protocol import Codec
from bfncodec.errors import DamagedError, InputError, ModelError
from bfncodec.runtime.arguments import bytes_of, check_callables
from bfncodec.runtime.isolation import undisturbed
from bfncodec.runtime.progress import Progress, silent
from bfncodec.runtime.threads import torch_threads

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHECKSUM_BYTES = 4
Item = TypeVar("Item")
P = ParamSpec("P")
R = TypeVar("R")
Network = TypeVar("Network")

_BY_VALUES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError, RuntimeError)
_WORK = ("encode_items", "decode_items", "codelength", "ideal", "games", "draw")


def _blamed(work: Callable[P, R]) -> Callable[P, R]:
    """The method of a codec with a ModelError for what only a model can be to blame for whose configuration, while its
    tensors fit, makes no sense.
    """

    @wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        except _BY_VALUES as error:
            if "out of memory" in str(error):  # how torch says it
                raise
            path = getattr(args[0], "info", None) and args[0].info.path  # type: ignore[attr-defined]
            raise ModelError(
                f"{path}: the model does not work ({type(error).__name__}: {error}); export the model again, or "
                "report this if it came with bfncodec"
            ) from error

    return call


class ModelCodec(Codec[Item]):
    """A codec with a network: batching, checks of arguments and checksums of payloads.

    A payload holds its own sizes and the range-coded body, nothing else: no magic number, no checksum, no model
    identity. Damaged, cut off or given to another model it decodes to a wrong item, mostly without an error.
    :func:`bfncodec.compress` adds all of those; ``checksum=True`` adds four bytes that tell each of these mishaps. The
    decoder of any machine reproduces the item exactly.
    """

    threads: int | None = None
    """CPU threads that a call may use, None for as many as torch has where it is called."""
    sizes: Any = None
    """Numbers that the encoder is free to choose: a frozen dataclass `Sizes` beside the codec."""

    def with_sizes(self, sizes: Any) -> Self:
        """Return the codec with other sizes, a `Sizes` of its own module, for measuring. Any payload still decodes."""
        other = copy(self)
        other.sizes = sizes
        return other

    def __init_subclass__(cls) -> None:
        """Networks compute the same whatever the program around has set torch to, which finds its settings again; where
        they cannot, they say so.
        """
        super().__init_subclass__()
        for name in ("__init__", *_WORK):
            if name in vars(cls):
                work = undisturbed(_with_own_threads(vars(cls)[name]))
                setattr(cls, name, _blamed(work) if name in _WORK else work)

    @abstractmethod
    def encode_items(self, xs: Sequence[Item], progress: Progress, thorough: bool) -> list[bytes]:
        """The payloads of `encode_batch`, for items that were checked."""

    @abstractmethod
    def decode_items(self, payloads: Sequence[bytes], progress: Progress) -> list[Item]:
        """Inverse of `encode_items`. Raises DamagedError where sizes are impossible."""

    def check(self, x: Item) -> None:
        """Raise InputError for what is no item of the right type: bytes, unless a codec has others."""
        if not isinstance(x, (bytes, bytearray, memoryview)):
            hint = "pass text.encode()" if isinstance(x, str) else "pass bytes"
            raise InputError(f"model {self.info.name} codes bytes, found {type(x).__name__}: {hint}")

    def encode_batch(
        self, xs: Sequence[Item], progress: Progress | None = None, thorough: bool = False, *, checksum: bool = False
    ) -> list[bytes]:
        """One payload for each item; the same bytes as one at a time.

        thorough: take several times as long for fewer bytes, where the codec can. checksum: end each payload in four
        bytes that `decode_batch` checks. Raises InputError for what is no item.
        """
        items = _listed(xs, "items")
        for x in items:
            self.check(x)
        check_callables(progress=progress)
        payloads = self.encode_items(items, progress or silent, thorough)
        return [payload + self._checksum(payload) for payload in payloads] if checksum else payloads

    def decode_batch(
        self, payloads: Sequence[bytes], progress: Progress | None = None, *, checksum: bool = False
    ) -> list[Item]:
        """Inverse of `encode_batch`; checksum: whether that was asked for.

        Raises DamagedError where sizes are impossible, and with a checksum for every payload that was changed, cut off
        or made by another model; without, wrong bytes give a wrong item. InputError for what is no payload.
        """
        found = [bytes_of(payload, "a payload") for payload in _listed(payloads, "payloads")]
        check_callables(progress=progress)
        return self.decode_items(list(map(self._checked, found)) if checksum else found, progress or silent)

    def _checksum(self, payload: bytes) -> bytes:
        """CRC-32 of the model's identity and the payload: it is checked before any work is done."""
        return zlib.crc32(payload, zlib.crc32(self.info.id)).to_bytes(CHECKSUM_BYTES, "little")

    def _checked(self, payload: bytes) -> bytes:
        """The payload without its checksum. DamagedError where that is another."""
        body, found = payload[:-CHECKSUM_BYTES], payload[-CHECKSUM_BYTES:]
        if self._checksum(body) != found:
            raise DamagedError(
                f"checksum mismatch in a payload of {len(payload)} bytes: it was changed or cut off, written without "
                f"a checksum, or made by another model than {self.info.name}"
            )
        return body


def _listed(given: Sequence[Any], what: str) -> list[Any]:
    """The members of a sequence. InputError for what is none, or is one item."""
    if isinstance(given, (str, bytes, bytearray, memoryview)) or not isinstance(given, Iterable):
        raise InputError(f"expected a list of {what}, found {type(given).__name__}: pass a list of one")
    return list(given)


def _with_own_threads(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a codec, in as many threads as the codec may use."""

    @wraps(method)
    def call(self: ModelCodec[Any], *args: Any, **kwargs: Any) -> Any:
        with torch_threads(self.threads):
            return method(self, *args, **kwargs)

    return call


@dataclass(frozen=True)
class Architecture(Generic[Network]):
    """A network that a codec may have.

    Parameters
    ----------
    exact
        Makes the integer implementation from the table `network` of config.json, the stored tensors and a device.
        Raises ValueError, TypeError or KeyError for what does not fit.
    compiled
        Makes the implementation in compiled kernels from the exact one; None where there is none.
    """

    exact: Callable[[dict[str, Any], dict[str, Tensor], torch.device], Network]
    compiled: Callable[[Any], Network] | None = None


Named = TypeVar("Named")


def named(table: Mapping[str, Named], name: str, what: str) -> Named:
    """Return the entry of a table that a model's config.json names. Raises ValueError for a name that is not in it.

    what: is named, in words of the configuration.
    """
    if name not in table:
        raise ValueError(f"expected the {what} {' or '.join(table)}, found {name!r}")
    return table[name]


MOST_SYMBOLS = 1 << 40


def check_size(count: int, what: str) -> None:
    """Refuse sizes no encoder writes before anything is allocated."""
    if not 0 <= count < MOST_SYMBOLS:
        raise DamagedError(f"expected fewer than 2^40 {what}, found {count}: the payload is damaged")
