"""The float mode: items through a float network by bits-back, and what that takes beside the network's L^n.

Floats differ between machines, so a file says which one wrote it, and is refused by every other::

    magic, 4 bytes of the head's size, head (JSON), the stack's words, CRC-32 of all before

The head has the machine, the network's identity, the kind of data, the schedule, the shape and the sizes of groups. The
chain begins with random bits that are in the file; all later groups borrow from what is there.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from bfncodec.codecs.receivers.realised import Watched
from bfncodec.coding.ans import AnsStack, EmptyStackError
from bfncodec.coding.bitsback import pop_items, push_items
from bfncodec.errors import DamagedError, FormatError, InputError, ModelNotFoundError, NotOursError, OutputError
from bfncodec.flow import AccuracySchedule, CodeLength, Normal
from bfncodec.research.data import Data
from bfncodec.research.receiver import FloatReceiver, Network
from bfncodec.runtime.arguments import bytes_of, whole_number
from bfncodec.runtime.arrays import Array, Floats, Ints
from bfncodec.runtime.threads import torch_threads

__all__ = ["MAGIC", "FloatCodec", "FloatMeasurement", "machine"]

MAGIC = b"bfncodec float 1\n"
GROUP = 64  # items that are coded side by side at most
SEED = 0  # of the bits that a chain begins with
WORD = 32
MARGINS = (1.0, 1.5, 3.0, 8.0, 20.0)  # over the bits that items are thought to borrow


@dataclass(frozen=True, eq=False)
class FloatMeasurement:
    """Bits of a float file beside the L^n of the network that wrote it.

    Parameters
    ----------
    ideal
        L^n of all items, term by term, the mean of several draws of the sender's noise; `error` is its standard error.
    coded_bits
        Bits that the items added to the stack: real bits.
    steps
        Of these what each step took, and at the end the reconstruction, float64 [n + 1]: what a step added to the
        stack, less what of it others give back. `path_steps` is the same by densities.
    path_steps
        Cost by densities along the noise that the file drew itself, float64 [n + 1].
    initial_bits
        Random bits that the chain began with.
    file_bytes
        The whole file: these, the head and a checksum.
    """

    ideal: CodeLength
    coded_bits: int
    steps: Floats
    path_steps: Floats
    initial_bits: int
    file_bytes: int

    @property
    def path_bits(self) -> float:
        """Cost by densities along the noise that the file drew itself."""
        return float(self.path_steps.sum())

    @property
    def excess(self) -> float:
        """Share of L^n that real bits are beyond it; the luck of the file's noise is in it."""
        return self.coded_bits / self.ideal.bits - 1

    @property
    def loss(self) -> float:
        """Share of the realised path that real bits are beyond it: the coder's loss alone."""
        return self.coded_bits / self.path_bits - 1


class FloatCodec:
    """A network in floats, a kind of data and a schedule as a codec for one machine.

    Parameters
    ----------
    network
        Maps (theta, t) to the parameters of p_O, see :data:`bfncodec.research.receiver.Network`; a torch module or any
        function. What it returns may depend on its arguments alone: encoder and decoder call it one after the other.
    data
        Kind of the data: `Discrete`, `Discretised` or `Continuous`.
    schedule
        Accuracies of the steps, such as ``AccuracySchedule.geometric(sigma_1, n, 1)``.
    shape
        Of an item.
    threads
        Threads of torch; sums of floats depend on it.
    """

    def __init__(
        self, network: Network, data: Data, schedule: AccuracySchedule, shape: Sequence[int], threads: int = 1
    ) -> None:
        self.network, self.data, self.shape, self.threads = network, data, tuple(shape), threads
        self.receiver = FloatReceiver(network, data, schedule.betas, self.shape)
        self.sums = prod(self.shape) * data.sums

    # ---- compress, decompress -------------------------------------------------------------------

    def compress(self, items: Array, verify: bool = True) -> bytes:
        """Return the file of items [N, *shape], which is decoded and compared first.

        Raises InputError for other items, and OutputError where the network did not compute the same twice.
        """
        x = self._integers(items)
        blob = self._coded(x, self.receiver).file
        if verify and not self._comes_back(blob, x):
            raise OutputError(
                "expected the network to compute the same twice, found other items: its result may depend on nothing "
                "but theta and t, and on no random numbers"
            )
        return blob

    def decompress(self, blob: bytes) -> Array:
        """Return the items of a file, [N, *shape].

        Raises NotOursError, DamagedError; FormatError for a file of another machine, or another kind of data, shape or
        schedule; ModelNotFoundError for a file of another network.
        """
        head, words = self._read(bytes_of(blob, "the bytes of a float file"))
        stack = AnsStack(words)
        try:
            found = [self._pop(stack, count) for count in reversed(head["groups"])]
        except EmptyStackError as error:
            raise DamagedError("expected more bits: the network does not compute what it did") from error
        x = np.concatenate([np.zeros(0, np.int64), *reversed(found)])
        return self.data.items(x).reshape(-1, *self.shape)

    def measure(self, items: Array, draws: int = 4) -> FloatMeasurement:
        """Return the bits of items [N, *shape] beside their L^n, of so many draws of the sender's noise.

        Raises InputError for items that cannot be, and for less than one draw.
        """
        if whole_number(draws, "draws") < 1:
            raise InputError(f"expected one draw or more, found {draws}")
        x = self._integers(items)
        coded = self._coded(x, path := _Path(self.receiver))
        added = np.diff(np.array(coded.marks, np.float64).reshape(-1, len(path.densities) + 1), axis=1).sum(0)
        with self._quiet():
            games = [self._play(x, np.random.default_rng(seed)) for seed in range(draws)]
        whole = CodeLength.joined(games)
        error = float(np.std([game.bits for game in games], ddof=1) / np.sqrt(draws)) if draws > 1 else 0.0
        return FloatMeasurement(
            CodeLength(whole.kl / draws, whole.reconstruction / draws, x.size, error),
            coded.bits - coded.initial_bits,
            added[::-1] + path.given_back,  # the reconstruction was pushed first, the first step last
            path.densities,
            coded.initial_bits,
            len(coded.file),
        )

    # ---- encoder and decoder --------------------------------------------------------------------

    def _coded(self, x: Ints, receiver: Any) -> _Coded:
        """Return items coded. The chain begins with more bits, and smaller groups, where they turn out too few."""
        for margin in MARGINS:
            try:
                return self._tried(x, receiver, margin)
            except EmptyStackError:
                continue
            except DamagedError:  # a sum so far from where it is predicted that nothing can say it
                break
        raise InputError("expected data that the network has some idea of, found others: no bits are enough for them")

    def _tried(self, x: Ints, receiver: Any, margin: float) -> _Coded:
        size, items = prod(self.shape), x.size // max(prod(self.shape), 1)
        words = self._initial_words(margin) if items else np.zeros(0, np.uint32)
        stack, groups, marks = AnsStack(words), list[int](), list[int]()
        receiver.begin()
        initial = stack.valid_bits
        while sum(groups) < items:
            count = self._fitting(stack, items - sum(groups), margin)
            first = sum(groups) * size
            self._push(stack, x[first : first + count * size], receiver, marks)
            groups.append(count)
        head = {"items": items, "groups": groups, "machine": machine(), **self._identity()}
        text = json.dumps(head).encode()
        body = MAGIC + len(text).to_bytes(4, "little") + text + stack.written().astype("<u4").tobytes()
        return _Coded(body + zlib.crc32(body).to_bytes(4, "little"), initial, stack.valid_bits, marks)

    def _initial_words(self, margin: float) -> Any:
        """Random bits, as many as one item borrows at most."""
        count = int(margin * self._borrowed(1)) // WORD + 4
        drawn = np.random.PCG64(SEED).random_raw(count) & 0xFFFFFFFF
        return np.maximum(np.asarray(drawn, np.uint32), 1)  # a stack does not end in a zero

    def _borrowed(self, items: int) -> float:
        """Estimate the bits that items borrow: for the sender's noise, and for a latent class of each dimension."""
        sums, latent = items * self.sums, items * prod(self.shape) * np.log2(self.data.latent)
        return self.receiver.flow.initial_bits(sums) + float(latent)

    def _fitting(self, stack: AnsStack, left: int, margin: float) -> int:
        """Items of the next group: as many as the stack has bits to lend for."""
        count = min(GROUP, left)
        while count > 1 and margin * self._borrowed(count) > stack.bits - 4 * WORD:
            count //= 2
        return count

    def _push(self, stack: AnsStack, x: Ints, receiver: Any, marks: list[int]) -> None:
        def note(bits: int) -> None:
            marks.append(stack.valid_bits)  # whole words are too coarse for a step of a few items

        note(stack.bits)
        with self._quiet():
            push_items(stack, x, x.size * self.data.sums, receiver, note)

    def _pop(self, stack: AnsStack, count: int) -> Ints:
        with self._quiet():
            return np.asarray(pop_items(stack, count * self.sums, self.receiver))

    def _play(self, x: Ints, rng: np.random.Generator) -> CodeLength:
        size = GROUP * prod(self.shape)
        return CodeLength.joined(self.receiver.play(x[k : k + size], rng) for k in range(0, x.size, size))

    def _comes_back(self, blob: bytes, x: Ints) -> bool:
        try:
            return np.array_equal(self.data.integers(self.decompress(blob)), x)
        except DamagedError:
            return False

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """A block in which torch is as every program finds it, and the module as it is when it is not trained."""
        module = self.network if isinstance(self.network, torch.nn.Module) else torch.nn.Module()
        before = module.training
        module.eval()
        try:
            with torch_threads(self.threads), torch.inference_mode():
                yield
        finally:
            module.train(before)

    # ---- head -----------------------------------------------------------------------------------

    def _integers(self, items: Array) -> Ints:
        found = np.asarray(items)
        if found.shape[1:] != self.shape:
            raise InputError(f"expected items of shape {list(self.shape)}, found {list(found.shape[1:])}")
        return self.data.integers(found)

    def _identity(self) -> dict[str, Any]:
        return {
            "network": identity(self.network),
            "data": repr(self.data),
            "betas": list(self.receiver.flow.betas),
            "shape": list(self.shape),
            "threads": self.threads,
        }

    def _read(self, blob: bytes) -> tuple[dict[str, Any], Any]:
        """Return head and words of a file that is one of this codec and this machine."""
        if not blob.startswith(MAGIC):
            raise NotOursError("expected a float file of bfncodec.research, found other bytes")
        at = len(MAGIC) + 4
        if len(blob) < at + 4 or zlib.crc32(blob[:-4]) != int.from_bytes(blob[-4:], "little"):
            raise DamagedError("checksum mismatch: the float file was changed or cut off")
        end = at + int.from_bytes(blob[at - 4 : at], "little")
        head = json.loads(blob[at:end])
        if head["machine"] != machine():
            raise FormatError(
                f"expected the machine that wrote this float file ({_said(head['machine'])}), found another "
                f"({_said(machine())}): decode it there; only exported models make files for every machine"
            )
        mine = self._identity()
        if head["network"] != mine["network"]:
            raise ModelNotFoundError(
                f"expected the network {head['network']} that wrote this float file, found {mine['network']}"
            )
        for name in ("data", "betas", "shape", "threads"):
            if head[name] != mine[name]:
                raise FormatError(f"expected the {name} of this float file, {head[name]}, found {mine[name]}")
        return head, np.frombuffer(blob[end:-4], "<u4").astype(np.uint32)


@dataclass(frozen=True, eq=False)
class _Coded:
    """A file, the bits that its chain began with, those on its stack, and those within each group, step by step."""

    file: bytes
    initial_bits: int
    bits: int
    marks: list[int]


class _Path:
    """A receiver that adds up what each step costs by densities, and what it gives back elsewhere on the stack.

    log2 p_S(s_{i+1} | s_i, x) is that of the bridge, which is popped at step i, and log2 p(s_{i+1} | x) less
    log2 p(s_i | x), which other steps give back.
    """

    def __init__(self, receiver: FloatReceiver) -> None:
        self.receiver, self.flow = receiver, receiver.flow
        self.begin()

    def begin(self) -> None:
        """Forget all steps."""
        self.densities, self.given_back = np.zeros(self.flow.n_steps + 1), np.zeros(self.flow.n_steps + 1)

    def encoding(self, sums: int) -> _Path:
        """Itself: groups begin with `target`."""
        return self

    def target(self, x: Ints) -> Floats:
        """Implements the receiver's method; what a group begins with."""
        self.x = x
        return self.receiver.target(x)

    def step(self, i: int, before: Ints) -> Watched:
        """Implements the receiver's method."""
        step = self.receiver.step(i, before)

        def pushed(after: Ints) -> None:
            self.densities[i] += self.receiver.log_ratio(i, self.x, before, step, after)
            self.given_back[i] += self._log2_given_x(i + 1, after) - self._log2_given_x(i, before)

        return Watched(step, pushed)

    def reconstruction(self, last: Ints) -> Watched:
        """Implements the receiver's method."""
        known = self.receiver.reconstruction(last)

        def pushed(x: Ints) -> None:
            self.densities[-1] += self.receiver.surprise(x, known)
            self.given_back[-1] -= self._log2_given_x(self.flow.n_steps, last)

        return Watched(known, pushed)

    def _log2_given_x(self, i: int, s: Ints) -> float:
        """Return log2 p(s_i | x) on the lattice of step i."""
        if not i:
            return 0.0
        beta, unit = self.flow.betas[i], self.flow.units[i]
        normal = Normal(self.receiver.target(self.x) * (beta / unit), np.array(beta * self.flow.kappa / unit**2))
        return float(normal.log2_prob(s.astype(np.float64)).sum())


def machine() -> dict[str, str]:
    """Return what floats may depend on: the processor, and what computes on it."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": str(torch.__version__),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    """Return the name of the processor, as far as it can be known."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _said(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def identity(network: Network) -> str:
    """Return the SHA-256 of a module's type and tensors; of another callable, which has no tensors to see, its name."""
    name = getattr(network, "__qualname__", type(network).__qualname__)
    digest = hashlib.sha256(f"{type(network).__module__} {name}".encode())
    if isinstance(network, torch.nn.Module):
        for key, tensor in network.state_dict().items():
            digest.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
