"""Draw the SVG figures of docs/concepts.md: ``python docs/figures/draw.py`` writes them beside this file.

What a schedule reveals is asked of :mod:`bfncodec.flow`, so that the figures show what files are coded with. The text
of an SVG file is the same on every machine; tests/test_docs.py compares it with the committed one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bfncodec.flow import AccuracySchedule, Comb, GaussianFlow, Schedule, Staggered, Wavefront

INK, PALE, LINE = "#1f2933", "#66737f", "#9aa5b1"
BLUE, ORANGE, GREEN, RED = "#3b74b9", "#d9822b", "#3f9162", "#b83b4b"
LIGHT_BLUE, LIGHT_ORANGE, LIGHT_GREEN, LIGHT_GREY = "#dbe8f6", "#fbe5cd", "#daeee2", "#f1f3f5"


class Svg:
    """A drawing: shapes in the order in which they were added, in pixels from the top left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="DejaVu Sans, Verdana, sans-serif" font-size="14" fill="{INK}">',
            f"<title>{_escaped(title)}</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{PALE}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        ]

    def rect(self, x: float, y: float, w: float, h: float, fill: str, stroke: str = LINE, rx: float = 0) -> None:
        """Add a rectangle."""
        size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="{_n(rx)}"'
        self.parts.append(f'<rect {size} fill="{fill}" stroke="{stroke}"/>')

    def text(self, x: float, y: float, text: str, size: int = 14, fill: str = INK, anchor: str = "middle") -> None:
        """Add a line of text on a baseline; _{...} is a subscript."""
        place = f'x="{_n(x)}" y="{_n(y)}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"'
        self.parts.append(f"<text {place}>{_subscripts(text, size)}</text>")

    def box(self, x: float, y: float, w: float, h: float, lines: list[str], fill: str, stroke: str) -> None:
        """Add a box with centred lines, the first of them larger."""
        self.rect(x, y, w, h, fill, stroke, rx=6)
        top = y + h / 2 - 9 * (len(lines) - 1) + 5
        for k, line in enumerate(lines):
            self.text(x + w / 2, top + 18 * k, line, size=14 if k == 0 else 13, fill=INK if k == 0 else PALE)

    def path(self, d: str, stroke: str = PALE, width: float = 1.5, *, head: bool = False, dash: str = "") -> None:
        """Add a line, with an arrow's head at its end where asked for."""
        extra = (' marker-end="url(#head)"' if head else "") + (f' stroke-dasharray="{dash}"' if dash else "")
        self.parts.append(f'<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{_n(width)}"{extra}/>')

    def circle(self, x: float, y: float, r: float, fill: str, stroke: str) -> None:
        """Add a circle."""
        self.parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" fill="{fill}" stroke="{stroke}"/>')

    def file(self) -> str:
        """The text of the SVG file."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def _n(value: float) -> str:
    """A coordinate with one decimal at most, the same on every machine."""
    return f"{value:.1f}".removesuffix(".0")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _subscripts(text: str, size: int) -> str:
    """Text whose _{...} are set lower and smaller; what follows them goes back up."""
    pieces, dy = re.split(r"_\{([^}]*)\}", _escaped(text)), _n(size * 0.25)
    found = pieces[0]
    for lower, after in zip(pieces[1::2], pieces[2::2], strict=True):
        found += f'<tspan dy="{dy}" font-size="{_n(size * 0.72)}">{lower}</tspan>'
        found += f'<tspan dy="-{dy}">{after}</tspan>' if after else ""
    return found


# ---- the protocol -----------------------------------------------------------------------------


def protocol() -> str:
    """One step between sender and receiver, and what it costs."""
    svg = Svg(940, 330, "One step of the protocol between sender and receiver")
    svg.box(330, 24, 130, 50, ["data x"], LIGHT_BLUE, BLUE)
    svg.box(560, 24, 210, 50, ["sender", "p_{S}(y | x; α_{i})"], LIGHT_BLUE, BLUE)
    svg.box(30, 210, 120, 56, ["belief", "θ_{i−1}"], LIGHT_ORANGE, ORANGE)
    svg.box(190, 210, 110, 56, ["network"], LIGHT_ORANGE, ORANGE)
    svg.box(340, 210, 180, 56, ["output distribution", "p_{O}(x | θ_{i−1})"], LIGHT_ORANGE, ORANGE)
    svg.box(560, 210, 210, 56, ["receiver distribution", "p_{R}(y | θ_{i−1}; α_{i})"], LIGHT_ORANGE, ORANGE)
    svg.box(810, 114, 110, 56, ["schedule", "α_{i}"], LIGHT_GREEN, GREEN)
    svg.box(190, 114, 190, 56, ["Bayes’ rule", "θ_{i} = h(θ_{i−1}, y_{i}, α_{i})"], LIGHT_ORANGE, ORANGE)
    svg.circle(665, 142, 22, "#ffffff", INK)
    svg.text(665, 147, "y_{i}")
    arrows = ["M460 49H556", "M665 74V116", "M643 142H384", "M190 142H90V206", "M150 238H186", "M300 238H336"]
    arrows += ["M520 238H556", "M665 210V168", "M865 114V49H774", "M865 170V238H774"]
    for d in arrows:
        svg.path(d, head=True)
    svg.text(512, 133, "what is sent", size=12, fill=PALE)
    svg.text(700, 126, "drawn", size=12, fill=PALE, anchor="start")
    svg.text(700, 163, "coded", size=12, fill=PALE, anchor="start")
    svg.text(665, 292, "step i costs KL( p_{S} ‖ p_{R} ) bits", size=13, fill=RED)
    svg.text(430, 292, "at the end x costs", size=13, fill=RED)
    svg.text(430, 312, "−log_{2} p_{O}(x | θ_{n}) bits", size=13, fill=RED)
    svg.text(90, 292, "θ_{0}: the prior", size=12, fill=PALE)
    svg.text(30, 44, "Blue: who encodes alone.", size=12, fill=BLUE, anchor="start")
    svg.text(30, 62, "Orange: who encodes and who decodes.", size=12, fill=ORANGE, anchor="start")
    return svg.file()


# ---- schedules --------------------------------------------------------------------------------


def revealing() -> str:
    """What the erasure sender reveals: pixels along slanted lines, letters of a text tooth by tooth."""
    svg = Svg(940, 300, "What the erasure sender reveals at each step of a picture and of a text")
    picture, at = Wavefront(height=6, width=9), 8
    svg.text(30, 34, f"A picture of 9 x 6 pixels at step {at} of {picture.n_steps} (wavefront)", anchor="start")
    for d, step in enumerate(picture.step_of):
        _cell(svg, 30 + 38 * (d % picture.width), 50 + 32 * (d // picture.width), 38, 32, str(step), int(step) - at)
    text = "TO BE OR NOT TO BE"
    for k, teeth in enumerate((1, 3)):
        comb, at = Comb(length=len(text), teeth=teeth), 8 if teeth == 1 else 3
        top, what = 50 + 110 * k, "autoregression" if teeth == 1 else f"comb of {teeth} teeth"
        svg.text(410, top - 16, f"A text at step {at} of {comb.n_steps} ({what})", anchor="start")
        for d, step in enumerate(comb.step_of):
            letter = text[d] if text[d] != " " else "␣"
            _cell(svg, 410 + 28 * d, top, 28, 30, letter, int(step) - at)
            svg.text(424 + 28 * d, top + 46, str(step), size=11, fill=PALE)
    legend = (("known to the receiver", -1), ("revealed in this step", 0), ("not yet known", 1))
    for k, (label, phase) in enumerate(legend):
        _cell(svg, 410 + 175 * k, 254, 18, 18, "", phase)
        svg.text(434 + 175 * k, 268, label, size=12, anchor="start")
    svg.text(30, 268, "Numbers: the step that reveals a pixel or letter.", size=12, fill=PALE, anchor="start")
    return svg.file()


def _cell(svg: Svg, x: float, y: float, w: float, h: float, label: str, phase: int) -> None:
    """A dimension: known (phase below 0), revealed now (0) or later (above)."""
    fill, ink = (LIGHT_BLUE, INK) if phase < 0 else (ORANGE, "#ffffff") if phase == 0 else ("#ffffff", PALE)
    svg.rect(x, y, w, h, fill, LINE)
    svg.text(x + w / 2, y + h / 2 + 5, label, size=13, fill=ink)


def matrices() -> str:
    """The accuracy matrices of five schedules of eight dimensions."""
    quadratic = AccuracySchedule.quadratic(beta_1=4.0, n=6, dims=8)
    found: list[tuple[str, str, Schedule]] = [
        ("autoregression", "one at a time, wholly", Comb(length=8, teeth=1)),
        ("comb of two teeth", "two at a time, wholly", Comb(length=8, teeth=2)),
        ("wavefront, 4 x 2 pixels", "slanted lines, wholly", Wavefront(height=2, width=4)),
        ("staggered, two steps each", "some at a time, in part", Staggered(length=8, period=4, betas=(0.0, 1.0, 4.0))),
        ("the paper’s", "all, a little at a time", quadratic),
    ]
    svg = Svg(940, 300, "Accuracy matrices of five schedules")
    svg.text(16, 74, "step", size=12, fill=PALE, anchor="start")
    for k, (name, what, schedule) in enumerate(found):
        left, top, side = 62 + 178 * k, 82, 18
        svg.text(left + 4 * side, 34, name, size=13)
        svg.text(left + 4 * side, 52, what, size=12, fill=PALE)
        whole = schedule.beta(schedule.n_steps).max()
        for i in range(schedule.n_steps):
            if k == 0:
                svg.text(46, top + side * i + 14, str(i), size=11, fill=PALE, anchor="end")
            for d, alpha in enumerate(schedule.accuracy(i)):
                svg.rect(left + side * d, top + side * i, side, side, _shade(alpha / whole), LINE)
        svg.text(left + 4 * side, top + side * schedule.n_steps + 20, f"{schedule.n_steps} steps", size=12, fill=PALE)
    note = "Columns: dimensions. Darker: more of the accuracy that a dimension gets is spent on it in this step."
    svg.text(62, 284, note, size=12, fill=PALE, anchor="start")
    return svg.file()


def _shade(share: float) -> str:
    """White for 0, blue for 1."""
    channels = (round(255 + (int(BLUE[k : k + 2], 16) - 255) * min(share, 1.0)) for k in (1, 3, 5))
    return "#" + "".join(f"{value:02x}" for value in channels)


def believing() -> str:
    """What the Gaussian sender reveals of one number: ever more precise samples, an ever narrower belief."""
    flow, n, x = GaussianFlow(), 5, np.array([0.35])
    noise = (2.04, -2.56, 0.42, -0.57, -0.45)  # a draw
    schedule = AccuracySchedule((0.0, 1.5, 6.0, 24.0, 96.0, 384.0))
    theta = flow.prior((1,))
    svg = Svg(940, 260, "Belief about one number after each sample of the Gaussian sender")
    for i in range(n + 1):
        belief = flow.input_distribution(theta)
        mean, deviation = float(belief.mean[0]), math.sqrt(float(belief.variance[0]))
        left = 24 + 152 * i
        _belief(svg, left, mean, deviation, float(x[0]))
        svg.text(left + 66, 34, "prior θ_{0}" if i == 0 else f"θ_{{{i}}}", size=14)
        if i < n:
            alpha = schedule.accuracy(i)
            y = x + noise[i] / np.sqrt(alpha)
            place = left + 66 + 60 * float(y[0]) / 1.6
            svg.circle(max(left + 4, min(place, left + 128)), 210, 4, ORANGE, ORANGE)
            svg.text(left + 66, 236, f"sends y_{{{i + 1}}}, α_{{{i + 1}}} = {alpha[0]:g}", size=12, fill=ORANGE)
            theta = flow.update(theta, y, alpha)
    svg.text(left + 66, 236, "x is coded", size=12, fill=RED)
    return svg.file()


def _belief(svg: Svg, left: float, mean: float, deviation: float, x: float) -> None:
    """A normal density over -1.6 ... 1.6, scaled to its own height, and the true value as a line."""
    points = []
    for k in range(121):
        value = -1.6 + 3.2 * k / 120
        density = math.exp(-0.5 * ((value - mean) / deviation) ** 2)
        points.append(f"{_n(left + 6 + k)} {_n(196 - 130 * density * min(1.0, 0.45 + 0.3 / (deviation + 0.2)))}")
    svg.rect(left, 48, 132, 150, LIGHT_GREY, "none", rx=4)
    svg.path(f"M{_n(left + 66 + 60 * x / 1.6)} 54V196", stroke=RED, width=1, dash="4 3")
    svg.text(left + 72 + 60 * x / 1.6, 64, "x", size=12, fill=RED, anchor="start")
    svg.path("M" + "L".join(points), stroke=BLUE, width=2)
    svg.path(f"M{_n(left + 6)} 196H{_n(left + 126)}", stroke=LINE, width=1)


# ---- bits-back --------------------------------------------------------------------------------

BETAS = (0.0, 4.0, 64.0, 1024.0)
"""Accuracies spent on the one number of the figure: three steps."""


def moves() -> list[tuple[str, str, float]]:
    """(what, given what, bits) of every push, and of every pop with a minus, in the encoder's order.

    Mean bits of one number x ~ N(0, 1) in 256 levels of [-1, 1], whose network knows all there is to know: p_O is the
    belief itself. Lattices and formulas are those of :mod:`bfncodec.coding.bitsback`.
    """
    n = len(BETAS) - 1
    alpha = [0.0, *(BETAS[i] - BETAS[i - 1] for i in range(1, n + 1))]
    bridge = [BETAS[i] * alpha[i + 1] / BETAS[i + 1] for i in range(n)]
    unit = [1.0, *(math.sqrt(min(alpha[i], bridge[i]) if i < n else alpha[i]) for i in range(1, n + 1))]
    belief = [1 / (1 + beta) for beta in BETAS]  # its variance
    found = [(f"pop {_sum(n)}", "x", -_entropy(BETAS[n], unit[n])), ("push x", _sum(n), _entropy(belief[n], 1 / 128))]
    for i in range(n - 1, -1, -1):
        if i:
            found.append((f"pop {_sum(i)}", _sum(i + 1), -_entropy(bridge[i], unit[i])))
        paid = _entropy(alpha[i + 1] + alpha[i + 1] ** 2 * belief[i], unit[i + 1])
        found.append((f"push {_sum(i + 1)}", _sum(i) if i else "0", paid))
    return found


def _sum(i: int) -> str:
    return f"s_{{{i}}}"


def _entropy(variance: float, unit: float) -> float:
    """Bits of a normal distribution on a lattice of that unit."""
    return 0.5 * math.log2(2 * math.pi * math.e * variance / unit**2)


BASE, SCALE, INITIAL = 230, 14.5, 3.0  # place of an empty stack, pixels a bit, bits to begin with


def _height(bits: float) -> float:
    return BASE - SCALE * bits


def bits_back() -> str:
    """The stack of one number while it is encoded, move by move."""
    svg = Svg(940, 340, "Bits on the stack while one number is encoded in three steps")
    left, level, found = 150, INITIAL, moves()
    end = left + 88 * len(found)
    svg.path(f"M60 {BASE}H900", stroke=LINE)
    svg.path(f"M100 {_n(_height(INITIAL))}H{end - 10}", stroke=RED, dash="2 4", width=1)
    svg.text(80, _height(INITIAL) - 10, "initial bits", size=12, fill=PALE)
    svg.rect(60, _height(INITIAL), 40, SCALE * INITIAL, LIGHT_GREY, LINE)
    svg.text(80, BASE + 20, "before", size=13)
    for what, given, bits in found:
        _move(svg, left, level, bits)
        svg.text(left + 26, BASE + 20, what, size=13, fill=BLUE if bits < 0 else ORANGE)
        svg.text(left + 26, BASE + 38, f"given {given}", size=12, fill=PALE)
        level, left = level + bits, left + 88
    middle = _height((INITIAL + level) / 2)
    svg.path(f"M{end - 10} {_n(_height(INITIAL))}V{_n(_height(level) + 2)}", stroke=RED, head=True)
    svg.text(end, middle - 2, "grown by", size=13, fill=RED, anchor="start")
    svg.text(end, middle + 16, f"Lⁿ = {level - INITIAL:.1f}", size=13, fill=RED, anchor="start")
    encoder = "the encoder: a pop draws from the sender, a push pays the receiver"
    decoder = "the decoder: each pop undone by a push, each push by a pop, in the opposite order"
    svg.path("M150 290H820", head=True)
    svg.text(160, 308, encoder, size=12, anchor="start")
    svg.path("M820 318H150", head=True)
    svg.text(812, 334, decoder, size=12, anchor="end")
    return svg.file()


def _move(svg: Svg, left: float, level: float, bits: float) -> None:
    """A push or pop at a level of the stack: what lies below it, what it adds or takes, and where it leads."""
    after, (fill, stroke) = level + bits, (LIGHT_BLUE, BLUE) if bits < 0 else (LIGHT_ORANGE, ORANGE)
    top, bottom = _height(max(level, after)), _height(min(level, after))
    svg.rect(left, bottom, 52, BASE - bottom, LIGHT_GREY, "none")
    svg.rect(left, top, 52, bottom - top, fill, stroke)
    svg.text(left + 26, (top + bottom) / 2 + 5, f"{'−' if bits < 0 else '+'}{abs(bits):.1f}", size=12)
    svg.path(f"M{left + 52} {_n(_height(after))}H{left + 88}", stroke=LINE, dash="3 3", width=1)


# ---- the format ---------------------------------------------------------------------------------

FIELDS = {
    "compact": [
        ("magic", 2),
        ("flags", 1),
        ("check of coded bytes", 2),
        ("check of content", 2),
        ("blocks", 1),
        ("model", 4),
        ("fields, extras", 0),
        ("payload", 0),
    ],
    "head": [("magic", 2), ("flags", 1), ("check of head", 2), ("fields, extras, sides", 0)],
    "segment": [("method", 1), ("model", 4), ("size", 0), ("payload", 0), ("check of content", 4), ("link", 4)],
    "index": [("methods, sizes, lengths, extras", 0), ("check", 4), ("size", 0), ("end mark", 2)],
}
"""Fields of each part of a file with their bytes, 0 where these vary."""


def frame() -> str:
    """Both forms of a file, and what each checksum covers."""
    svg = Svg(660, 440, "The compact and the segmented form of a file: their fields, and what their checksums cover")
    _fields(
        svg, 40, "compact", "Compact form", LIGHT_BLUE, BLUE, "all but itself is covered by the check of coded bytes"
    )
    _fields(svg, 150, "head", "Segmented form: a head,", LIGHT_GREY, LINE, "covered by its check")
    _fields(
        svg, 260, "segment", "segments,", LIGHT_ORANGE, ORANGE, "covered by the link, which covers the link before, too"
    )
    _fields(svg, 370, "index", "and an index", LIGHT_GREEN, GREEN, "covered by its check, with the last link")
    return svg.file()


def _fields(svg: Svg, top: float, part: str, title: str, fill: str, stroke: str, covered: str) -> None:
    """Add the fields of a part in a row, and a bracket under those that its checksum covers."""
    left = x = 20.0
    svg.text(left, top - 10, title, size=14, anchor="start")
    for name, size in FIELDS[part]:
        width = 16 + 6.1 * max(len(name), 5)
        svg.rect(x, top, width, 38, fill, stroke)
        svg.text(x + width / 2, top + 16, name, size=11)
        svg.text(x + width / 2, top + 31, str(size) if size else "varies", size=10, fill=PALE)
        x += width
    svg.path(f"M{_n(left)} {_n(top + 43)}V{_n(top + 49)}H{_n(x)}V{_n(top + 43)}", PALE, 1)
    svg.text((left + x) / 2, top + 64, covered, size=11, fill=PALE)


FIGURES: dict[str, Callable[[], str]] = {
    "protocol": protocol,
    "revealing": revealing,
    "matrices": matrices,
    "believing": believing,
    "bits-back": bits_back,
    "frame": frame,
}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        Path(__file__).with_name(f"{name}.svg").write_text(draw(), encoding="utf-8")
