"""Training data of images and texts: random crops, random windows.

Everything is held as bytes on the device that trains, and cut there.
"""

from __future__ import annotations

import glob
import lzma
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.errors import InputError
from bfncodec.training.draws import Draws
from bfncodec.training.varied import MARGIN, varied

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
    vary: bool = False  # half of the crops as cameras, video and the web would have made them

    @property
    def side(self) -> int:
        """Side in pixels of the square that is cut for a crop: varying one needs a margin."""
        return self.crop + (MARGIN if self.vary else 0)


@dataclass(frozen=True)
class TextSource:
    """Text or any other bytes.

    A source is drawn in proportion to its length, `repeat` times as often; or with probability `share`, in proportion
    to the shares of the others, which all sources have or none.
    """

    paths: tuple[str, ...]
    repeat: int = 1
    share: float = 0.0


def load_images(source: ImageSource) -> list[NDArray[np.uint8]]:
    """Load all images of a source as uint8 [H, W, 3]. Raises InputError for other arrays, and what is no image."""
    paths = expand(source.paths, (*IMAGE_SUFFIXES, ".npy"))
    with ThreadPoolExecutor() as pool:  # decoders of pictures run side by side
        found = list(pool.map(lambda path: _arrays(path, source) if path.suffix == ".npy" else [read_rgb(path)], paths))
    return [image for images in found for image in images]


def _arrays(path: Path, source: ImageSource) -> list[NDArray[np.uint8]]:
    """Return the images of an .npy file. Raises InputError for another array."""
    array = np.load(path, mmap_mode="r")
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise InputError(
            f"{path}: expected images, uint8 [N, H, W, 3], found {array.dtype} {list(array.shape)}; "
            "take it out of the training data"
        )
    return list(np.asarray(array[: len(array) - source.skip_last][-source.only_last :]))


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 [H, W, 3]. Raises InputError where it is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); take it out of the training data") from error


def load_text(paths: Sequence[str], suffixes: tuple[str, ...] = ()) -> NDArray[np.uint8]:
    """Load and join all files, uint8 [N]; .xz files are unpacked. Raises InputError where there are none."""
    parts = []
    for path in expand(paths, suffixes):
        raw = path.read_bytes()
        parts.append(np.frombuffer(lzma.decompress(raw) if path.suffix == ".xz" else raw, dtype=np.uint8))
    if not parts:
        raise InputError(f"no files in {', '.join(paths)}: name other data.paths")
    return np.concatenate(parts)


def expand(paths: Sequence[str], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files named by paths: a folder stands for its files of the given suffixes (all if none are given).

    Raises InputError for a path where nothing is.
    """
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


def held(data: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return the data on the device, where they take at most half of its free memory; else in the machine's."""
    tensor = torch.from_numpy(data)
    if device.type == "cuda" and 2 * tensor.nbytes > torch.cuda.mem_get_info(device)[0]:
        return tensor
    return tensor.to(device)


class Pictures:
    """Images of any sizes held on a device as one row of pixels, uint8 [N, 3]."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], device: torch.device | str = "cpu") -> None:
        self.height = np.array([image.shape[0] for image in images], np.int64)
        self.width = np.array([image.shape[1] for image in images], np.int64)
        self.first = np.concatenate([[0], (self.height * self.width).cumsum()[:-1]]).astype(np.int64)
        pixels = np.concatenate([image.reshape(-1, 3) for image in images]) if images else np.zeros((0, 3), np.uint8)
        self.pixels = held(pixels, torch.device(device))
        self.device = self.pixels.device

    def cut(self, which: NDArray[np.int64], side: int, draws: Draws) -> Tensor:
        """Cut squares out of some images, at random places and flipped at random: uint8 [len(which), 3, side, side]."""
        height, width = self.height[which], self.width[which]
        rows, columns = draws.host.integers(height - side + 1), draws.host.integers(width - side + 1)
        flip = draws.host.random(len(which)) < 0.5
        numbers = torch.from_numpy(np.stack([self.first[which] + rows * width + columns, width, flip]))
        first, stride, flipped = numbers.to(self.device, non_blocking=True).view(3, -1, 1, 1)
        along = torch.arange(side, device=self.device)
        across = torch.where(flipped == 1, side - 1 - along, along)
        return self.pixels[first + along[:, None] * stride + across].permute(0, 3, 1, 2)


class CropSampler:
    """Random crops, flipped at random; an image is drawn in proportion to the square root of its pixels.

    pictures: of the source, where they are loaded already. Raises InputError where no image is large enough.
    """

    def __init__(self, source: ImageSource, pictures: Pictures | None = None) -> None:
        self.source = source
        self.pictures = pictures or Pictures(load_images(source))
        large = np.minimum(self.pictures.height, self.pictures.width) >= source.side
        if not large.any():
            raise InputError(
                f"no image of at least {source.side} x {source.side} pixels in {', '.join(source.paths)}: "
                "name other data.paths or a smaller crop"
            )
        share = np.where(large, np.sqrt(self.pictures.height * self.pictures.width), 0.0)
        self.cumulative = np.cumsum(share / share.sum())

    def __call__(self, draws: Draws) -> Tensor:
        """Draw a batch: float32 [B, 3, crop, crop] of integers; [B, 1, crop, crop] where the source is to be grey."""
        drawn = draws.host.random(self.source.batch) * self.cumulative[-1]
        which = np.searchsorted(self.cumulative, drawn, side="right").clip(0, len(self.cumulative) - 1)
        crops = self.pictures.cut(which, self.source.side, draws).float()
        if self.source.vary:
            crops = varied(crops.to(draws.device), draws)
        if self.source.grey:
            crops = grey(crops, draws.host.integers(6, size=len(crops)))
        return crops.contiguous()


def grey(x: Tensor, channels: NDArray[np.int64]) -> Tensor:
    """Make images grey: one channel of each for 0 ... 2 in `channels` [B], else its luma (ITU-R BT.601, rounded as
    Pillow's mode L is). float [B, 3, H, W] -> [B, 1, H, W]
    """
    luma = ((x[:, 0] * 19595 + x[:, 1] * 38470 + x[:, 2] * 7471 + 32768) / 65536).floor()
    choice = torch.from_numpy(channels).to(x.device, non_blocking=True)
    one = x[torch.arange(len(x), device=x.device), choice.clamp_max(2)]
    return torch.where((choice < 3).view(-1, 1, 1), one, luma).unsqueeze(1)


class WindowSampler:
    """Random windows of several texts, uint8 [N] each.

    shares: how often each text is drawn, in proportion to the others; unless given, its length. at_lines: every second
    window begins at the beginning of the line it fell into, as files do.

    Raises InputError for a text shorter than a window.
    """

    def __init__(
        self,
        texts: Sequence[NDArray[np.uint8]],
        window: int,
        batch: int,
        shares: Sequence[float] = (),
        at_lines: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if (least := min(map(len, texts))) <= window:
            raise InputError(
                f"{least} bytes of text are fewer than one window of {window}: "
                "give more text or set network.window lower"
            )
        self.window, self.batch = window, batch
        weights = np.array(shares or [len(text) for text in texts], np.float64)
        self.shares = weights / weights.sum()
        self.sizes = [len(text) for text in texts]
        self.firsts = np.cumsum([0, *self.sizes[:-1]])
        self.lines = [line_starts(text) for text in texts] if at_lines else []
        self.data = held(np.concatenate(texts), torch.device(device))

    def __call__(self, draws: Draws) -> Tensor:
        """Draw a batch of windows, int64 [batch, window]."""
        if len(self.sizes) == 1:
            which = np.zeros(self.batch, np.int64)
        else:
            which = draws.host.choice(len(self.sizes), size=self.batch, p=self.shares)
        starts = draws.host.integers(np.array(self.sizes)[which] - self.window)
        for i in range(1, self.batch, 2) if self.lines else ():
            lines = self.lines[which[i]]
            line = lines[np.searchsorted(lines, starts[i], side="right") - 1]
            if starts[i] - line < self.window:  # else the line is so long that nobody would see the rest of it
                starts[i] = line
        first = torch.from_numpy(self.firsts[which] + starts).to(self.data.device, non_blocking=True)
        return self.data[first[:, None] + torch.arange(self.window, device=self.data.device)].long()


def line_starts(text: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where lines begin, int64 [lines]."""
    return np.concatenate([[0], np.flatnonzero(text[:-1] == ord("\n")) + 1])
