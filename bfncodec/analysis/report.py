"""Report on measured files as one page of HTML: where the bits are, and what they are spent on.

The page loads nothing and runs nothing: pictures are in it, its charts are SVG, and its policy forbids everything else.
Names and contents of files are escaped by the template. Jinja is an extra, imported only when a page is made.
"""

from __future__ import annotations

import base64
import io
from codecs import getincrementaldecoder
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bfncodec.analysis.comparison import Comparison, Total, totals
from bfncodec.analysis.measurement import Measurement
from bfncodec.content.types import Content
from bfncodec.errors import InputError
from bfncodec.format.kinds import Kind
from bfncodec.images.picture import Picture
from bfncodec.images.preview import scaled_down
from bfncodec.runtime.arrays import Floats

__all__ = ["Reported", "render", "require_jinja"]

SIDE = 1024  # pixels of a picture on the page
LETTERS = 20_000  # characters of a text on the page
LEVELS = 10  # colours of a text
POINTS = 400  # of a line in a chart
COLOURS = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Colours of heat, from few bits to many: as light as they are hot, also for those who see no hue."""


@dataclass(frozen=True, eq=False)
class Reported:
    """A file on the page.

    Parameters
    ----------
    name, content, measured
        Of the file.
    bits
        Bits of each place, see :func:`bfncodec.analysis.heat.heat`.
    compared
        The file through other codecs; None where it was not compared, as a folder is not.
    """

    name: str
    content: Content
    measured: Measurement
    bits: Floats
    compared: Comparison | None = None


def require_jinja() -> None:
    """Raise InputError, naming the pip command, where Jinja is not installed."""
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise InputError("a report needs Jinja: pip install 'bfncodec[report]'") from error


def render(found: Sequence[Reported], version: str = "") -> bytes:
    """Return the page of some files, UTF-8. Raises InputError where Jinja is missing.

    version: of the program, for the page to say.
    """
    require_jinja()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        version=version,
        files=[_section(one) for one in found],
        colours=[f"rgb{colour}" for colour in COLOURS],
        levels=LEVELS,
    )
    return page.encode(errors="backslashreplace")


def _section(one: Reported) -> dict[str, Any]:
    """Return what the template says of a file."""
    measured, picture = one.measured, isinstance(one.content, Picture)
    return {
        "name": visible(one.name),
        "bytes": measured.container_bytes,
        "dims": measured.dims,
        "unit": "subpixel" if picture else "byte",
        "bits_per_dim": measured.bits_per_dim,
        "ideal": measured.ideal,
        "measured": measured,
        "parts": _parts(measured),
        "picture": _picture(one.content, one.bits) if isinstance(one.content, Picture) else None,
        "text": None if picture else _text(one),
        "steps": _steps(measured),
        "along": None if picture or one.bits.size < LEVELS else line(_thinned(one.bits)),
        "peers": _peers(one.compared),
    }


# ---- numbers ------------------------------------------------------------------------------------


def _parts(found: Measurement) -> list[tuple[str, float, str]]:
    """Return the parts of a file, which together are all of it: name, bits, what it is."""
    ideal = found.ideal
    rows: list[tuple[str, float, str]] = []
    if ideal is not None:
        rows = [
            ("KL", float(ideal.kl.sum()), f"KL(p_S || p_R), summed over {len(ideal.kl):,} steps"),
            ("reconstruction", ideal.reconstruction, "-log2 p_O(x | theta_n)"),
            ("luck", found.path_bits - ideal.bits, "the noise that this file drew, against the mean of all"),
            ("coder", found.difference, "what integers and whole bytes cost beyond the densities"),
        ]
    rows += [
        ("initial bits", found.initial_bits, "items coded without the model, from which an archive borrows its noise"),
        ("protection", found.protection_bits, "parity and checksums of archives"),
        ("other payload", found.plain_bits, "what no model coded"),
        ("frame", found.frame_bits, "head, checksums, index, metadata, preview"),
    ]
    return [row for row in rows if row[1]]


def _steps(found: Measurement) -> dict[str, Any] | None:
    """Return the charts of bits by step and of their sum, None where no model coded anything."""
    if found.ideal is None or not len(found.ideal.kl):
        return None
    kl = found.ideal.kl
    return {
        "count": len(kl),
        "each": line(_thinned(kl)),
        "sum": line(np.cumsum(kl)[np.linspace(0, len(kl) - 1, min(len(kl), POINTS)).astype(int)] / 8),
    }


def _peers(compared: Comparison | None) -> Total | None:
    return None if compared is None else next(totals([compared]))


def _thinned(values: Floats) -> Floats:
    """Return at most POINTS means of neighbouring values."""
    edges = np.linspace(0, len(values), min(len(values), POINTS) + 1).astype(int)
    return np.add.reduceat(values, edges[:-1]) / np.diff(edges)


def line(values: Floats) -> dict[str, Any]:
    """Return a line for an SVG of 1000 by 200 with its largest value.

    >>> line(np.array([1.0, 4.0, 2.0]))
    {'points': '0,150 500,0 1000,100', 'most': 4.0}
    """
    most = float(values.max()) if values.size else 0.0
    x = np.linspace(0, 1000, len(values)) if len(values) > 1 else np.array([500.0])
    y = 200 - 200 * values / (most or 1.0)
    return {"points": " ".join(f"{a:g},{b:g}" for a, b in zip(x.round(1), y.round(1), strict=True)), "most": most}


# ---- pictures -----------------------------------------------------------------------------------


def _picture(content: Picture, bits: Floats) -> dict[str, Any]:
    """Return a picture and its heat as images that stand in the page."""
    image = scaled_down(content, SIDE)
    most = float(np.quantile(bits, 0.99)) or 1.0  # a few pixels take far more than all others
    warm = Image.fromarray(bits.astype(np.float32)).resize(image.size, Image.Resampling.BOX)
    level = np.clip(np.asarray(warm) / most, 0, 1) * (len(COLOURS) - 1)
    table = np.array(COLOURS, np.float64)
    colours = np.stack([np.interp(level, np.arange(len(COLOURS)), table[:, c]) for c in range(3)], axis=2)
    return {
        "image": _embedded(image),
        "heat": _embedded(Image.fromarray(colours.astype(np.uint8))),
        "width": image.width,
        "height": image.height,
        "most": most,
        "mean": float(bits.mean()),
    }


def _embedded(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


# ---- texts --------------------------------------------------------------------------------------


def _text(one: Reported) -> dict[str, Any] | None:
    """Return a text as runs of characters that take about the same bits; None where the bytes are none."""
    data = one.content.data if not isinstance(one.content, Picture) else b""
    if not data or one.content.header.kind is Kind.ARRAY:
        return None
    shown = data[: 4 * LETTERS]
    try:  # a character may be cut off at the end of what is shown
        letters = getincrementaldecoder("utf-8")().decode(shown, len(shown) == len(data))[:LETTERS]
    except UnicodeDecodeError:
        return None
    return {"runs": list(runs(letters, one.bits)), "whole": len(letters.encode()) == len(data), "letters": len(letters)}


def runs(letters: str, bits: Floats) -> list[tuple[int, str]]:
    """Return a text as runs of one level each, 0 to LEVELS - 1: whole bits a character, the last for all above.

    bits: of each byte of its UTF-8.

    >>> runs("to bé", np.array([5.0, 2.0, 2.1, 1.0, 3.0, 9.5]))
    [(5, 't'), (2, 'o '), (1, 'b'), (9, 'é')]
    """
    sizes = np.array([len(letter.encode()) for letter in letters], int)
    if not len(sizes):
        return []
    edges = np.cumsum(sizes) - sizes
    levels = np.minimum(np.add.reduceat(bits[: sizes.sum()], edges), LEVELS - 1).astype(int)
    starts = np.flatnonzero(np.diff(levels, prepend=-1)).tolist()
    return [
        (int(levels[a]), "".join(map(visible, letters[a:b])))
        for a, b in zip(starts, [*starts[1:], len(letters)], strict=True)
    ]


def visible(letters: str) -> str:
    r"""Return a text of which every character can be seen: nothing turns what follows around, or ends the page.

    >>> visible("a\n\x00\u202eb")
    'a\n␀�b'
    """
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t"
        else chr(0x2400 + ord(letter))
        if ord(letter) < 0x20
        else "\N{REPLACEMENT CHARACTER}"
        for letter in letters
    )
