"""The codec protocol: everything that the container, measuring and sampling ask of a model at work.

A codec turns items into payloads and back. There are three kinds, told apart by what they declare, not by their class:

- **pictures**: an item is ``uint8 [H, W, C]`` with one of the declared ``channels``;
- **bytes and text**: an item is a byte string of any length;
- **archives**: an item is a byte string too, of many arrays of the declared ``item_shape``, one after the other.

A new network, sender or kind of data is a class that implements :class:`Codec`. It may inherit from it, and then has
defaults for everything that is optional; :class:`bfncodec.codecs.base.ModelCodec` adds what codecs with a network
share. Callers see :class:`Capabilities`, so a codec that is given to them needs no entry in a table; for one that
:func:`bfncodec.load` returns there is :data:`bfncodec.codecs.table.CODECS`. Imports neither NumPy nor torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from bfncodec.errors import InputError
from bfncodec.runtime.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from bfncodec.flow.report import CodeLength
    from bfncodec.models import ModelInfo
    from bfncodec.runtime.arrays import Floats

__all__ = ["Account", "Capabilities", "Codec"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Capabilities:
    """A codec's declaration of what it codes and how it wants to be called.

    Parameters
    ----------
    channels
        Channels of the pictures it codes: ``(3,)`` for RGB, ``(1, 3)`` for grey too; ``()`` if it codes no pictures.
    item_shape
        Shape of the items of an archive, ``(height, width, channels)`` or ``(letters,)``; ``()`` if it codes none.
    dtypes
        Element types of the arrays of numbers it codes besides those of one byte, as headers name them: ``("i2",)`` for
        int16, ``(">f4",)`` for float32 in big-endian order. It is given their bytes, cut between items.
    batch
        Pixels or bytes that a caller should hand over at once: as long as several items stay below that together, one
        call of `encode_batch` or `decode_batch` takes less time than several. 1: one item at a time is as good.
    thorough
        `encode_batch` can take several times as long for fewer bytes.
    """

    channels: tuple[int, ...] = ()
    item_shape: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ()
    batch: int = 1
    thorough: bool = False

    @property
    def codes_pictures(self) -> bool:
        """Items are pictures, of which regions can be had alone; otherwise they are byte strings."""
        return bool(self.channels)

    @property
    def codes_archives(self) -> bool:
        """Byte strings consist of items of one shape and may only be cut between them."""
        return bool(self.item_shape)

    @property
    def codes_lines(self) -> bool:
        """Byte strings may be cut anywhere, so that lines of a text can be had alone."""
        return not (self.codes_pictures or self.codes_archives)

    @property
    def content(self) -> str:
        """The kind of content it codes, in the words of an error message."""
        if self.codes_pictures:
            return "a picture"
        return "arrays or text of many items" if self.codes_archives else "bytes or text"


@dataclass(frozen=True)
class Account:
    """Bits of a payload, by what they are spent on.

    Parameters
    ----------
    ideal
        L^n of the items that the model coded.
    path
        Cost of these items by densities with the noise that the payload drew; the ideal, for a sender without noise.
    initial
        Items coded without the model, whose bits a bits-back chain begins with.
    protection
        Parity and checksums.
    """

    ideal: CodeLength
    path: float
    initial: int = 0
    protection: int = 0


class Codec(Protocol[Item]):
    """A model at work; :func:`bfncodec.load` returns one.

    A payload holds its own sizes and the coded items, nothing else: no magic number, no model identity. Damaged or
    given to another model it may decode to a wrong item without an error. :func:`bfncodec.compress` adds what tells.

    Attributes
    ----------
    info
        The model: its name and the identity that files carry.
    capabilities
        Declaration of what the codec codes.

    Guarantees: `decode_batch` inverts `encode_batch` on every machine, and the payload of an item does not depend on
    the items beside it in a batch.
    """

    info: ModelInfo
    capabilities: Capabilities

    @abstractmethod
    def encode_batch(
        self, xs: Sequence[Item], progress: Progress | None = None, thorough: bool = False, *, checksum: bool = False
    ) -> list[bytes]:
        """Return one payload for each item.

        progress: called with the number of further bytes, or pixels of pictures, that are coded. thorough: take several
        times as long for fewer bytes, where the codec can. checksum: end each payload in four bytes that `decode_batch`
        checks; the container, which has checksums of its own, never asks for them.

        Raises InputError for an item of another type than the codec's. An item with a `refusal` is coded all the same,
        if only as it is: others of the same file may be worth the model.
        """

    @abstractmethod
    def decode_batch(
        self, payloads: Sequence[bytes], progress: Progress | None = None, *, checksum: bool = False
    ) -> list[Item]:
        """Return the item of each payload. Raises DamagedError for sizes that no payload can have.

        checksum: the payloads were made with one; a wrong one is a DamagedError.
        """

    @abstractmethod
    def codelength(self, x: Item) -> CodeLength:
        """Return L^n of an item, its ideal bits step by step, from the network that codes, without coding."""

    def surprise(self, x: Item) -> Floats | None:
        """Return -log2 p_O of each element of an item, by place, without coding: bits, float64 [N] of N bytes, [H, W]
        of a picture's pixels; None where a sender has noise, so that no bit belongs to one element.
        """
        return None

    def encode(self, x: Item, progress: Progress | None = None, *, checksum: bool = False) -> bytes:
        """Return the payload of one item. Arguments and errors as for `encode_batch`."""
        return self.encode_batch([x], progress, checksum=checksum)[0]

    def decode(self, payload: bytes, progress: Progress | None = None, *, checksum: bool = False) -> Item:
        """Return the item of one payload. Arguments and errors as for `decode_batch`."""
        return self.decode_batch([payload], progress, checksum=checksum)[0]

    def refusal(self, x: Item) -> str:
        """Return why the model cannot code an item of the right type, worded to follow its name; empty if it can."""
        return ""

    def verifies(self, payload: bytes) -> bool:
        """Return whether a payload holds sound checksums of everything it decodes to."""
        return False

    def account(self, x: Item, payload: bytes, draws: int = 1) -> Account:
        """Return what the bits of an item's payload are spent on.

        draws: number of draws of the sender's noise that the ideal is the mean of, where the sender has noise.
        """
        ideal = self.codelength(x)
        return Account(ideal, ideal.bits)

    def draw(self, count: int, size: tuple[int, ...], seed: np.random.SeedSequence) -> list[Item]:
        """Return samples of the model.

        size: (height, width) of pictures, (bytes,) of texts, ``()`` for items of an archive, which know theirs. Raises
        InputError if the codec draws none.
        """
        raise InputError(f"model {self.info.name} draws no samples")
