"""Time and peak memory of whole processes, ours and the peers'.

    python -m benchmarks.speed            the demonstration's photo and text, and a larger photo where it is
    python -m benchmarks.speed --photo PHOTO --photo PHOTO --text TEXT --level 1 --level 9 --repeat 3

Every line is a process of its own: Python's start and all imports are in its time and memory, for
us and for the peers (which run inside Python as well). Photos are copied to PPM files first, so
that nobody's time holds a PNG codec. KB/s are of raw bytes; the best of the repetitions counts.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.codecs import Ours, Pixels, photo_codecs, text_codecs
from benchmarks.demo import FILES, read_pixels
from benchmarks.processes import Cost, cost
from benchmarks.tables import bars, table

# Of the validation photos; not part of the repository.
LARGER = Path(__file__).resolve().parents[1] / "data" / "photos" / "val" / "elementary_0001.webp"
PEER = [sys.executable, "-m", "benchmarks.speed", "peer"]


def tool() -> str:
    found = shutil.which("bfncodec", path=str(Path(sys.executable).parent))
    if found is None:
        raise click.ClickException("the bfncodec command is not installed beside this Python")
    return found


def default_photos() -> list[Path]:
    return [path for path in (FILES / "coffee.png", LARGER) if path.exists()]


@click.group(invoke_without_command=True, help=(__doc__ or "").split("\n\n", 1)[0])
@click.option("--photo", "photos", type=click.Path(exists=True, path_type=Path), multiple=True, default=default_photos)
@click.option("--text", type=click.Path(exists=True, path_type=Path), default=FILES / "alice.txt")
@click.option("--level", "levels", type=click.IntRange(1, 9), multiple=True, help="Ours: a level; may repeat.")
@click.option("--repeat", default=3, show_default=True, help="Runs of each process.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw KB/s; one picture for each file.")
@click.pass_context
def main(
    context: click.Context,
    photos: tuple[Path, ...],
    text: Path,
    levels: tuple[int, ...],
    repeat: int,
    plot: Path | None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    ways = [Ours(level=level) for level in levels or (None,)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for photo in photos:
            image = folder / f"{photo.stem}.ppm"
            pixels = read_pixels(photo)
            save_pixels(pixels, image)
            throughput("photo", image, pixels.nbytes, ways, folder, repeat, plot)
        packed = throughput("text", text, text.stat().st_size, ways, folder, repeat, plot)
        startup(packed, repeat)


def throughput(
    kind: str, path: Path, raw: int, ways: Sequence[Ours], folder: Path, repeat: int, plot: Path | None
) -> Path:
    """Print one table; return our packed file."""
    packed, restored = folder / f"{path.stem}.bfn", folder / f"{path.stem}.out{path.suffix}"
    peer_names = [c.name for c in (photo_codecs() if kind == "photo" else text_codecs())]
    costs: dict[str, tuple[Cost, Cost]] = {}
    for name in peer_names:
        there = cost([*PEER, kind, name, "encode", str(path), str(packed)], repeat)
        back = cost([*PEER, kind, name, "decode", str(packed), str(restored)], repeat)
        costs[name] = (there, back)
    for way in ways:
        level = [f"-{way.level}"] if way.level else []
        compress = [tool(), "compress", *level, "-q", "-f", str(path), "-o", str(packed)]
        verified, plain = cost(compress, repeat), cost([*compress, "--no-verify"], repeat)
        back = cost([tool(), "decompress", "-q", "-f", str(packed), "-o", str(restored)], repeat)
        costs[way.name], costs[f"{way.name}, verified"] = (plain, back), (verified, back)
    print_costs(f"{kind}: {path.name}, {raw:,} bytes raw", raw, costs, ways[0].name)
    if plot is not None:
        rates = {name: raw / there.seconds / 1e3 for name, (there, _) in costs.items()}
        bars(plot.with_stem(f"{plot.stem}-{path.stem}"), f"{path.name}: compressing", "KB/s", rates)
    return packed


def print_costs(title: str, raw: int, costs: dict[str, tuple[Cost, Cost]], first: str) -> None:
    best = costs[first]
    heads = ["codec", "encode KB/s", f"{first} is", "peak MB", "decode KB/s", f"{first} is", "peak MB"]
    rows = [
        [name]
        + [
            cell
            for theirs, ours in zip(pair, best, strict=True)
            for cell in [
                f"{raw / theirs.seconds / 1e3:,.0f}",
                f"{theirs.seconds / ours.seconds:.3f}x",
                f"{theirs.peak / 1e6:,.0f}",
            ]
        ]
        for name, pair in costs.items()
    ]
    click.echo(f"{title}\n\n{table(heads, rows)}\n")


def startup(packed: Path, repeat: int) -> None:
    commands = {
        "bfncodec --help": [tool(), "--help"],
        "bfncodec list FILE": [tool(), "list", str(packed)],
        "import bfncodec": [sys.executable, "-c", "import bfncodec"],
        "python alone": [sys.executable, "-c", ""],
    }
    rows = []
    for name, command in commands.items():
        spent = cost(command, max(repeat, 5))
        rows.append([name, f"{spent.seconds:.3f}", f"{spent.peak / 1e6:.0f}"])
    click.echo(table(["starting", "seconds", "peak MB"], rows))


@main.command(hidden=True)
@click.argument("kind", type=click.Choice(["photo", "text"]))
@click.argument("name")
@click.argument("direction", type=click.Choice(["encode", "decode"]))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def peer(kind: str, name: str, direction: str, source: Path, target: Path) -> None:
    """Be a peer's whole process: read a file, encode or decode it, write a file."""
    if kind == "photo":
        photo = next(codec for codec in photo_codecs() if codec.name == name)
        if direction == "encode":
            target.write_bytes(photo.encode(read_pixels(source)))
        else:
            save_pixels(photo.decode(source.read_bytes(), 0), target)
        return
    text = next(codec for codec in text_codecs() if codec.name == name)
    if direction == "encode":
        data = source.read_bytes()
        # What decoders are told apart from the bytes: the size, in front.
        target.write_bytes(len(data).to_bytes(8, "little") + text.encode(data))
    else:
        blob = source.read_bytes()
        target.write_bytes(text.decode(blob[8:], int.from_bytes(blob[:8], "little")))


def save_pixels(pixels: Pixels, path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main()
