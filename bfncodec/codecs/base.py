"""The base class of codecs with a network: checks, batches, threads, checksums."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar

from bfncodec.codecs.protocol import Codec
from bfncodec.errors import DamagedError, InputError, ModelError
from bfncodec.forks import cached_property
from bfncodec.networks.acceleration import Kernels, kernels_pay
from bfncodec.networks.stored import Tensors
from bfncodec.runtime import isolation, threads
from bfncodec.runtime.arguments import bytes_of, check_callables
from bfncodec.runtime.isolation import undisturbed
from bfncodec.runtime.lazytorch import import_torch
from bfncodec.runtime.progress import Progress, silent
from bfncodec.runtime.threads import torch_threads

CHECKSUM_BYTES = 4
Item = TypeVar("Item")
P = ParamSpec("P")
R = TypeVar("R")
Weights = TypeVar("Weights")
Network = TypeVar("Network")

_BY_VALUES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError, RuntimeError)
_WORK = ("encode_items", "decode_items", "codelength", "surprise", "ideal", "games", "draw")


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
    """CPU threads that a call may use, None for as many as torch has, or would have, where it is
    called.
    """
    sizes: Any = None
    """Numbers that the encoder is free to choose: a frozen dataclass `Sizes` beside the codec."""

    def with_sizes(self, sizes: Any) -> Self:
        """Return the codec with other sizes, a `Sizes` of its own module, for measuring. Any payload still decodes."""
        other = copy(self)
        other.sizes = sizes
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of model {self.info.name}>"

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
class Architecture(Generic[Weights, Network]):
    """A network that a codec may have.

    Parameters
    ----------
    weights
        Reads what is stored of it from the table `network` of config.json and the tensors. Raises ValueError, TypeError
        or KeyError for what does not fit.
    exact
        Makes the integer implementation of torch on a device, by name.
    compiled
        Makes the implementation in compiled kernels; None where there is none.
    kernels
        These kernels; None where there are none.
    """

    weights: Callable[[dict[str, Any], Tensors], Weights]
    exact: Callable[[Weights, str], Network]
    compiled: Callable[[Weights], Network] | None = None
    kernels: Kernels | None = None


class Implementations(Generic[Weights, Network]):
    """A model's network in all implementations, each of them made when it is first asked for.

    Parameters
    ----------
    architecture, values, tensors
        What the model is made of, see `Architecture`.
    device
        The name of a device; kernels are for the CPU.
    """

    def __init__(
        self, architecture: Architecture[Weights, Network], values: dict[str, Any], tensors: Tensors, device: str
    ) -> None:
        self.architecture, self.device = architecture, device
        self.weights = architecture.weights(values, tensors)
        self._seconds = 0.0  # of all work so far

    def kernels_pay(self, seconds: float) -> bool:
        """Return whether compiled kernels are to do work that takes about so long without them, as they do sooner or
        later for short work that comes again and again.
        """
        self._seconds += seconds
        kernels = self.architecture.kernels
        return kernels is not None and self.device == "cpu" and kernels_pay(self._seconds, kernels)

    def fastest(self, seconds: float) -> Network:
        """Return the implementation for work that takes about so long without compiled kernels."""
        return self.compiled if self.kernels_pay(seconds) else self.exact

    @property
    def exact(self) -> Network:
        """Return the implementation of torch, which is imported for it and minds what codecs want of it."""
        import_torch()
        isolation.settle()
        threads.settle()
        return self._exact

    @cached_property
    def _exact(self) -> Network:
        return self.architecture.exact(self.weights, self.device)

    @cached_property
    def compiled(self) -> Network:
        """Return the implementation in compiled kernels, where the architecture has one."""
        assert self.architecture.compiled is not None
        return self.architecture.compiled(self.weights)


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
