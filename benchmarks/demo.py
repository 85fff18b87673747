"""A photo and a text, compressed and decompressed by the installed command-line tool.

    make demo

Every number is of a real file on disk. The photo's pixels and the text's bytes are compared with
the originals; the exit code is 1 if anything came back different.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.codecs import Codec, Pixels, T, photo_codecs, text_codecs
from benchmarks.tables import table

FILES = Path(__file__).parent / "demo_files"


@dataclass(frozen=True)
class Trip:
    """One file there and back."""

    packed: Path
    encode_s: float
    decode_s: float
    restored: Path


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        photo, same_photo = photo_row(FILES / "coffee.png", Path(name))
        text, same_text = text_row(FILES / "alice.txt", Path(name))
    heads = ["file", "raw", "PNG | xz -9e", "WebP | zstd -22", "bfncodec"]
    heads += ["bits each", "ideal", "compress", "decompress", "restored"]
    print("\nbytes; bits each: per subpixel, per byte; ideal: what the model's L^n asks for\n")
    print(table(heads, [photo, text]))
    print(
        "\nbfncodec's times are of whole processes: starting Python, and decoding once"
        "\nmore before reporting success, included."
    )
    return 0 if same_photo and same_text else 1


def photo_row(path: Path, folder: Path) -> tuple[list[str], bool]:
    pixels = read_pixels(path)
    trip = there_and_back(path, folder)
    same = np.array_equal(read_pixels(trip.restored), pixels)
    peers = [packed_size(codec, pixels) for codec in photo_codecs()[:2]]
    return row(path, pixels.nbytes, peers, trip, ideal_bits(trip.packed, pixels), same), same


def text_row(path: Path, folder: Path) -> tuple[list[str], bool]:
    data = path.read_bytes()
    trip = there_and_back(path, folder)
    same = trip.restored.read_bytes() == data
    peers = [packed_size(codec, data) for codec in text_codecs() if codec.name in ("xz -9e", "zstd -22")]
    return row(path, len(data), peers, trip, ideal_bits(trip.packed, data), same), same


def row(path: Path, raw: int, peers: list[int], trip: Trip, ideal: float, same: bool) -> list[str]:
    size = trip.packed.stat().st_size
    return [
        path.name,
        *(f"{each:,}" for each in [raw, *peers, size]),
        f"{8 * size / raw:.3f}",
        f"{ideal / 8:,.0f}",
        f"{trip.encode_s:.1f} s",
        f"{trip.decode_s:.1f} s",
        "identical" if same else "DIFFERENT",
    ]


def there_and_back(path: Path, folder: Path) -> Trip:
    packed, restored = folder / f"{path.name}.bfn", folder / path.name
    encode_s = bfncodec("compress", str(path), "-o", str(packed))
    decode_s = bfncodec("decompress", str(packed), "-o", str(restored))
    return Trip(packed, encode_s, decode_s, restored)


def bfncodec(*arguments: str) -> float:
    """Run the command-line tool of this environment; seconds of the whole process."""
    tool = shutil.which("bfncodec", path=str(Path(sys.executable).parent))
    if tool is None:
        raise SystemExit("the bfncodec command is not installed beside this Python: make demo")
    print("$ bfncodec", *(Path(a).name if "/" in a else a for a in arguments), flush=True)
    start = time.perf_counter()
    subprocess.run([tool, *arguments], check=True)
    return time.perf_counter() - start


def packed_size(codec: Codec[T], content: T) -> int:
    return len(codec.encode(content))


def ideal_bits(packed: Path, content: Pixels | bytes) -> float:
    """Return what the model that a file names takes for its content by the theory."""
    from bfncodec import describe, load

    [model] = describe(packed.read_bytes()).models
    return float(load(model).codelength(content).bits)


def read_pixels(path: Path) -> Pixels:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    sys.exit(main())
