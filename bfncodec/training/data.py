"""Training data: random crops of images, random windows of text. Everything is held in memory as bytes."""

from __future__ import annotations

import glob
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.errors import InputError

IMAGE_SUFFIXES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")


@dataclass(frozen=True)
class ImageSource:
    """Images that are cropped alike. `paths`: folders, files, globs or .npy arrays [N, H, W, 3]."""

    paths: tuple[str, ...]
    crop: int
    batch: int
    skip_last: int = 0  # images of an .npy array that are kept for validation
    only_last: int = 0
    grey: bool = False  # of each crop one channel or its luma, drawn at random


@dataclass(frozen=True)
class TextSource:
    """Text or any other bytes; `repeat` shows it that many times as often."""

    paths: tuple[str, ...]
    repeat: int = 1


def load_images(source: ImageSource) -> list[NDArray[np.uint8]]:
    """All images of a source as uint8 [H, W, 3], none smaller than the crop."""
    images: list[NDArray[np.uint8]] = []
    for path in expand(source.paths, (*IMAGE_SUFFIXES, ".npy")):
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r")
            images += list(np.asarray(array[: len(array) - source.skip_last][-source.only_last :]))
        else:
            images.append(read_rgb(path))
    large = [image for image in images if min(image.shape[:2]) >= source.crop]
    if not large:
        raise InputError(
            f"no image of at least {source.crop} x {source.crop} pixels in {', '.join(source.paths)}: "
            "name other data.paths or a smaller crop"
        )
    return large


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """An image file as uint8 [H, W, 3]."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); take it out of the training data") from error


def load_text(paths: Sequence[str], suffixes: tuple[str, ...] = ()) -> NDArray[np.uint8]:
    """All files joined, as bytes; .xz files are unpacked."""
    parts = []
    for path in expand(paths, suffixes):
        raw = path.read_bytes()
        parts.append(np.frombuffer(lzma.decompress(raw) if path.suffix == ".xz" else raw, dtype=np.uint8))
    if not parts:
        raise InputError(f"no files in {', '.join(paths)}: name other data.paths")
    return np.concatenate(parts)


def expand(paths: Sequence[str], suffixes: tuple[str, ...]) -> list[Path]:
    """Files named by paths: a folder stands for its files of the given suffixes (all files if none are given)."""
    found: list[Path] = []
    for name in paths:
        matches = sorted(glob.glob(str(Path(name).expanduser())))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not matches:
            raise InputError(f"{name}: no such file or folder, named in data.paths of the training configuration")
        for match in map(Path, matches):
            if match.is_dir():
                inside = sorted(p for p in match.rglob("*") if p.is_file())
                found += [p for p in inside if not suffixes or p.suffix.lower() in suffixes]
            else:
                found.append(match)
    return found


class CropSampler:
    """Random crops, flipped at random; an image is drawn in proportion to the square root of its pixels."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.images = load_images(source)
        share = np.sqrt([float(im.shape[0] * im.shape[1]) for im in self.images])
        self.cumulative = np.cumsum(share / share.sum())

    def __call__(self, rng: np.random.Generator) -> Tensor:
        """float32 [batch, 3, crop, crop] of integers; [batch, 1, crop, crop] where the source is to be grey."""
        which = np.searchsorted(self.cumulative, rng.random(self.source.batch)).clip(0, len(self.images) - 1)
        crops = np.stack([self._crop(self.images[i], rng) for i in which])
        if self.source.grey:
            crops = np.stack([grey(crop, int(rng.integers(6))) for crop in crops])
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float().contiguous()

    def _crop(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        size = self.source.crop
        r = int(rng.integers(image.shape[0] - size + 1))
        c = int(rng.integers(image.shape[1] - size + 1))
        crop = image[r : r + size, c : c + size]
        return crop[:, ::-1] if rng.random() < 0.5 else crop


def grey(image: NDArray[np.uint8], channel: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] -> [H, W, 1]: one channel for 0 ... 2, else its luma (ITU-R BT.601, as Pillow's mode L)."""
    from PIL import Image

    if channel < image.shape[2]:
        return image[:, :, channel : channel + 1]
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))[:, :, None]


class WindowSampler:
    """Random windows of a byte array."""

    def __init__(self, data: NDArray[np.uint8], window: int, batch: int) -> None:
        if len(data) <= window:
            raise InputError(
                f"{len(data)} bytes of text are fewer than one window of {window}: "
                "give more text or set network.window lower"
            )
        self.data, self.window, self.batch = data, window, batch

    def __call__(self, rng: np.random.Generator) -> Tensor:
        """int64 [batch, window]."""
        starts = rng.integers(len(self.data) - self.window, size=self.batch)
        return torch.from_numpy(np.stack([self.data[s : s + self.window] for s in starts]).astype(np.int64))
