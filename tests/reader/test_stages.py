"""Vectors of stages, which the page has."""

from __future__ import annotations

from reader.model import Model
from reader.parallel import Denoiser, ParallelReceiver, moments
from reader.picture import PictureReader, Tile
from reader.text import StreamState, TextReader
from support.places import GOLDEN, ROOT

PAGE = (ROOT / "docs" / "payloads.md").read_text(encoding="utf-8")
TINY = GOLDEN / "tiny"


def on_page(*numbers: float) -> bool:
    return f"| {', '.join(map(str, numbers))} |" in PAGE


def receiver(name: str) -> tuple[ParallelReceiver, list[float]]:
    """The receiver of one item, and sums to ask it for."""
    model = Model(TINY / name)
    found = ParallelReceiver(model, Denoiser(model), 1)
    return found, [k * 7 % 5 - 2.0 for k in range(found.lattice.sums)]


def test_texts() -> None:
    state = StreamState(TextReader(Model(TINY / "text-of-200")).network, 4, 10)
    assert all(on_page(*row[:4]) for row in state.weights(0))
    state.reveal([0, 1, 2, 3])
    assert on_page(*state.weights(1)[1][:4])


def test_pictures() -> None:
    network = PictureReader(Model(TINY / "picture")).network
    pixel = Tile(9, 11, len(network.convs)).predict(network, 0, 0)
    assert all(on_page(*numbers) for numbers in pixel.mixture(0))
    pixel.learn(0, 200)
    assert on_page(*pixel.mixture(1)[1])


def test_archives() -> None:
    (binary, b), (letters, c), (levels, d) = (receiver(name) for name in ("binary", "letters", "levels"))
    assert on_page(*binary.lattice.units)
    assert on_page(*binary.frequencies(1, [v / 4 for v in b])(None)[0])
    assert on_page(*letters.frequencies(1, [v / 4 for v in c])(None)[0][:2])
    assert on_page(*moments(*levels.mixtures(1, d)[0]))
