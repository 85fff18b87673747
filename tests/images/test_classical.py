"""Screenshots, icons, pixel art: at most one per cent larger than lossless WebP at its slowest, and the frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.kinds import PLANES, Method, Mode
from bfncodec.images import vp8l
from bfncodec.images.classical import Planes, decode_tile
from bfncodec.images.vp8l import FAST, encode_vp8l
from bfncodec.segments.policy import PictureTrial, Policy
from support.doubles import FakeModels, noise

FRAME = 18
MODES = ("RGB", "RGBA", "L", "LA", "P", "1")


@st.composite
def graphics(draw: st.DrawFn) -> Image.Image:
    """A few rectangles, a repeated stamp, a slope or some noise, in few colours, in part transparent."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    palette = rng.integers(0, 256, (draw(st.integers(1, 40)), 4))
    indices = np.zeros((height, width), int)
    for _ in range(draw(st.integers(0, 6))):
        top, left = rng.integers(0, height), rng.integers(0, width)
        indices[top : top + rng.integers(1, 30), left : left + rng.integers(1, 30)] = rng.integers(0, len(palette))
    kind = draw(st.sampled_from(["plain", "stamps", "slope", "noise"]))
    if kind == "stamps":
        stamp = rng.integers(0, len(palette), (7, 5))
        indices += np.tile(stamp, (height // 7 + 1, width // 5 + 1))[:height, :width]
    elif kind == "slope":
        indices += np.add.outer(np.arange(height), np.arange(width))
    elif kind == "noise":
        indices[: height // 2] += rng.integers(0, len(palette), (height // 2, width))
    pixels = palette[indices % len(palette)].astype(np.uint8)
    pixels[:, :, 3] = np.where(pixels[:, :, 3] < draw(st.sampled_from([0, 100, 200])), 0, 255 - pixels[:, :, 3] // 50)
    mode = draw(st.sampled_from(MODES))
    image = Image.fromarray(pixels)
    return image.convert("RGB").quantize(256, dither=Image.Dither.NONE) if mode == "P" else image.convert(mode)


def webp(image: Image.Image) -> int:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, exact=True, method=6, quality=100)
    return len(out.getvalue())


def palette_bytes(image: Image.Image) -> int:
    """WebP keeps the colours that are used, in an order of its own; we keep the palette."""
    return len(image.getpalette() or []) if image.mode == "P" else 0


@pytest.mark.slow
@pytest.mark.parametrize("tile", [16, 512])
@settings(max_examples=40)
@given(graphics(), st.sampled_from([4, 5, 9]), st.sampled_from(["auto", "photo", "none"]))
def test_graphics_are_no_larger_than_webp(tile: int, image: Image.Image, level: int, model: str) -> None:
    models: Any = FakeModels((1, 3))
    policy = Policy(model_tile=tile)
    if model == "photo" and image.mode in ("P", "1"):  # a model that is named codes it, or says that it does not
        with pytest.raises(InputError, match="codes no pictures of mode"):
            bfncodec.compress(image, model, level=level, codecs=models, policy=policy)
        return
    blob = bfncodec.compress(image, model, level=level, codecs=models, policy=policy)
    assert len(blob) <= 1.01 * webp(image) + FRAME + palette_bytes(image)
    assert bfncodec.decompress(blob, codecs=models).tobytes() == image.tobytes()


class Fair(FakeModels):
    """Its image model takes a third of what is there, whatever it is."""

    def default(self, role: str, level: int = 5) -> Any:
        codec = self.codecs[role]
        codec.encode_batch = lambda xs, progress, thorough: [b"\x40\x40" + bytes(x.size // 3) for x in xs]  # type: ignore[assignment,method-assign]
        return codec


@pytest.mark.slow
def test_what_repeats_far_apart_is_coded_as_a_whole() -> None:
    """Even where the model wins most tiles."""
    stamp = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = Image.fromarray(np.tile(stamp, (5, 5, 1)))
    blob = bfncodec.compress(image, codecs=Fair(), verify=False, policy=Policy(model_tile=64))
    assert bfncodec.describe(blob).methods == {"picture": 1}
    assert len(blob) <= 1.01 * webp(image) + FRAME
    fast = bfncodec.compress(image, codecs=Fair(), level=1, verify=False, policy=Policy(model_tile=64))
    assert bfncodec.describe(fast).methods == {"model": 25}


@pytest.mark.slow
def test_a_large_picture_is_tried_as_a_whole_where_it_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """From tile to tile, of which none repeats itself."""
    searched: list[tuple[int, int]] = []
    stream = vp8l._stream
    monkeypatch.setattr(vp8l, "_stream", lambda image, search: searched.append(image.size) or stream(image, search))
    fair, trial = Fair(), PictureTrial(unsampled=1 << 20)
    for width, methods in ((512, {"picture": 1}), (1024, {"model": 4})):
        searched.clear()
        picture = np.tile(noise(40, 1024, width, 3) // 16, (1, 1024 // width, 1))
        blob = bfncodec.compress(picture, codecs=fair, verify=False, policy=Policy(picture_trial=trial))
        assert bfncodec.describe(blob).methods == methods
        assert ((1024, 1024) in searched) is (width == 512)


@pytest.mark.slow
def test_a_large_picture_may_be_low() -> None:
    """Lower than bands are apart."""
    strip, policy = noise(40, 70, 15_000, 3) // 16, Policy(picture_trial=PictureTrial(unsampled=1 << 21))
    blob = bfncodec.compress(strip, codecs=Fair(), verify=False, policy=policy)
    assert bfncodec.describe(blob).methods == {"model": 30}


def grey_png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise(5, 4, 6)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda png: png + b"x",
        lambda png: png[:-1] + b"x",
        lambda png: png[:-12],
        lambda png: png[:-12] + png[8:],
        lambda png: b"\x89png" + png[4:],
    ],
    ids=["behind", "checksum", "no_end", "twice", "signature"],
)
def test_png_streams_are_whole_whatever_decoders_forgive(change: Callable[[bytes], bytes]) -> None:
    assert decode_tile(Method.PICTURE, grey_png(), Mode.L, 4, 6)[:, :, 0].tolist() == noise(5, 4, 6).tolist()
    with pytest.raises(DamagedError):
        decode_tile(Method.PICTURE, change(grey_png()), Mode.L, 4, 6)


def test_bits_of_a_colour_stream_are_bits() -> None:
    stream = encode_vp8l(np.full((3, 4, 3), 77, np.uint8), Mode.RGB, None, FAST, noise=False)
    assert decode_tile(Method.PICTURE, stream, Mode.BILEVEL, 3, 4).tolist() == np.ones((3, 4, 1)).tolist()


def test_opacity_is_as_large_as_the_colour() -> None:
    pixels = noise(6, 3, 4, 2).astype(np.uint16) * 9
    payload = bytes([PLANES]) + Planes.of(pixels[:, :, :1], 16).write(3, 4)
    opacity = Planes.of(pixels[:, :, 1:], 16)
    assert decode_tile(Method.PICTURE, payload + opacity.write(3, 4), Mode.LA16, 3, 4).tolist() == pixels.tolist()
    with pytest.raises(DamagedError, match="different sizes"):
        decode_tile(Method.PICTURE, payload + opacity.write(4, 3), Mode.LA16, 3, 4)
