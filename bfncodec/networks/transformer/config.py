"""The shape of the transformer, which its config.json tells, and the numbers that all its implementations share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FAR = 512  # windows that one text may be long: how far positions are known
COARSE, FINE = 4, 8  # bits that a number of an n-gram table is stored in
HASH_MULTIPLIER = 0x9E3779B1  # 2^32 / golden ratio: Knuth's multiplicative hash


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of the network; stored in a model's config.json.

    symbols: of the alphabet. width: channels d of the residual stream. heads: of attention, d / heads channels each.
    expansion: channels of the layer of squared rectifiers, over d. rope_base: of the frequencies of rotary positions.
    """

    symbols: int = 256
    width: int = 256
    layers: int = 4
    heads: int = 4
    expansion: int = 4
    window: int = 1024  # symbols of a training example
    # Symbols that a slot attends to, the latest ones, in every layer or in each; 0: as many as the window has.
    context: int | tuple[int, ...] = 0
    ngrams: tuple[tuple[int, int], ...] = ((2, 14), (3, 15), (4, 16), (6, 16))  # (symbols hashed, log2 rows)
    rope_base: float = 10000.0
    ngram_bits: int = FINE  # that a number of their tables is stored in, or COARSE

    @property
    def head_width(self) -> int:
        """Channels of a head, hd."""
        return self.width // self.heads

    def spans(self, teeth: int) -> list[int]:
        """Steps that a slot attends to in each layer, its own included."""
        contexts = self.context if isinstance(self.context, tuple) else (self.context,) * self.layers
        return [max(1, (context or self.window) // teeth) for context in contexts]

    def to_dict(self) -> dict[str, Any]:
        """Return the table that `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TransformerConfig:
        """Read the table `network` of a model's config.

        Raises ValueError for other ngram_bits than COARSE and FINE, and TypeError for keys that are none.
        """
        values = dict(values)
        values["ngrams"] = tuple((int(n), int(b)) for n, b in values["ngrams"])
        if isinstance(values.get("context"), list):
            values["context"] = tuple(int(context) for context in values["context"])
        config = cls(**values)
        if config.ngram_bits not in (COARSE, FINE):
            raise ValueError(f"ngram_bits = {config.ngram_bits}: expected {COARSE} or {FINE}")
        return config
