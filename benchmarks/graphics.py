"""Screenshots, dialogs, sprites and icons out of Debian packages: to train image models on and to measure with.

    python -m benchmarks.graphics FOLDER

FOLDER/eval/PACKAGE holds the PNG files whose MD5 begins with 0 or 1, as they are. FOLDER/train holds RGB pictures
made of the others, small ones side by side on sheets; FOLDER/val some more, to validate with. Needs apt-get and dpkg.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from PIL import Image

# where the PNG files are in each package, and how many bytes of pixels to make of them
PACKAGES = {
    "gimp-help-en": ("", 20_000_000),
    "debian-handbook": ("usr/share/doc/debian-handbook/html/en-US/images", 20_000_000),
    "wesnoth-1.16-data": ("", 40_000_000),
    "oxygen-icon-theme": ("", 40_000_000),
}
HELD_OUT = "01"  # first digits of the MD5 of files that are never trained on
SMALL, MIDDLE, SHEET = 64, 128, 256  # pixels a side
MOST_PIXELS = 3_000_000
VALIDATION = 24  # one picture of so many


def unpack(package: str, folder: Path) -> list[Path]:
    """The PNG files of a package, fetched and unpacked; equal ones once."""
    target = folder / "packages" / package
    if not target.exists():
        part = target.with_name(f"{package}.part")  # what is interrupted begins anew
        part.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        (archive,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", archive, part], check=True)
        archive.unlink()
        part.rename(target)
    files = sorted(p for p in (target / PACKAGES[package][0]).rglob("*.png") if p.is_file() and not p.is_symlink())
    return list({digest(path): path for path in reversed(files)}.values())[::-1]


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def relatives(path: Path) -> str:
    """Name that the sizes of an icon and the frames of a sprite have in common: the one without a number at its end."""
    return re.sub(r"[-_\[\]~,.]*\d*[\]]?$", "", path.stem).lower()


def as_rgb(path: Path, rng: random.Random) -> Image.Image | None:
    """The picture in RGB. Where it has an opacity: every other time the colours below it, which is what is coded, else
    the picture on white or on a plain colour. None for 16-bit and very large ones.
    """
    with Image.open(path) as image:
        if image.mode.startswith("I") or image.width * image.height > MOST_PIXELS:
            return None
        if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
            return image.convert("RGB")
        rgba = image.convert("RGBA")
    if rng.random() < 0.5:
        return rgba.convert("RGB")
    colour = (255, 255, 255) if rng.random() < 0.5 else tuple(rng.randrange(256) for _ in range(3))
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (*colour, 255)), rgba).convert("RGB")


def sheets(pictures: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """Small pictures in rows, left to right, on white."""
    sheet, x, y, row = Image.new("RGB", (SHEET, SHEET), "white"), 0, 0, 0
    for picture in pictures:
        if x + picture.width > SHEET:
            x, y, row = 0, y + row, 0
        if y + picture.height > SHEET:
            yield sheet
            sheet, x, y, row = Image.new("RGB", (SHEET, SHEET), "white"), 0, 0, 0
        sheet.paste(picture, (x, y))
        x, row = x + picture.width, max(row, picture.height)


def pictures_of(paths: list[Path], budget: int, rng: random.Random) -> Iterator[Image.Image]:
    """Different pictures of at least SMALL pixels a side, about `budget` bytes: sheets, middle-sized and large ones."""
    paths = rng.sample(paths, len(paths))
    sizes = {path: Image.open(path).size for path in paths}
    small = [p for p in paths if min(sizes[p]) < SMALL and max(sizes[p]) <= SHEET]
    middle = [p for p in paths if min(sizes[p]) >= SMALL and sizes[p][0] * sizes[p][1] <= MIDDLE**2]
    large = [p for p in paths if min(sizes[p]) >= SMALL and sizes[p][0] * sizes[p][1] > MIDDLE**2]

    def each(some: list[Path]) -> Iterator[Image.Image]:
        return (picture for picture in (as_rgb(path, rng) for path in some) if picture is not None)

    seen: set[bytes] = set()
    total = 0
    for pictures, share in ((sheets(each(small)), 0.3), (each(middle), 0.65), (each(large), 1.0)):
        for picture in pictures:
            if total > share * budget:
                break
            key = hashlib.md5(picture.tobytes()).digest()
            if key not in seen and np.ptp(np.asarray(picture)) > 0:
                seen.add(key)
                total += 3 * picture.width * picture.height
                yield picture


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    rng = random.Random(1)
    for part in ("train", "val"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for package, (_, budget) in PACKAGES.items():
        paths = unpack(package, folder)
        held_out = [path for path in paths if digest(path)[0] in HELD_OUT]
        (folder / "eval" / package).mkdir(parents=True, exist_ok=True)
        for path in held_out:
            shutil.copy(path, folder / "eval" / package / f"{path.stem[:60]}-{digest(path)[:8]}.png")
        known = {relatives(path) for path in held_out}
        others = [path for path in paths if digest(path)[0] not in HELD_OUT and relatives(path) not in known]
        count = 0
        for count, picture in enumerate(pictures_of(others, budget, rng), 1):
            part = "val" if count % VALIDATION == 0 else "train"
            picture.save(folder / part / f"{package}-{count:05}.png")
        click.echo(f"{package}: {len(held_out)} files held out, {count} pictures made of {len(others)} others")


if __name__ == "__main__":
    main()
