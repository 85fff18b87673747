"""The page: it says what was measured, loads and runs nothing, and no file can change that."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bfncodec.analysis.comparison import Comparison, Score
from bfncodec.analysis.heat import heat
from bfncodec.analysis.measurement import measure_frame
from bfncodec.analysis.report import LETTERS, Reported, render, require_jinja
from bfncodec.content.objects import content_of
from bfncodec.errors import InputError
from bfncodec.segments.encode import encode_frame
from support.doubles import FakeModels, noise

pytest.importorskip("jinja2")

HOSTILE = '</script><script>alert(1)</script></pre><img src="http://x/" onerror=alert(2)>&amp;{{ 7*7 }}\u202e\x00é'
LOADS = {"script", "iframe", "object", "embed", "link", "form", "base", "video", "audio", "source"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the texts in some of them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self.inside):
            self.texts[tag] = self.texts.get(tag, "") + data


def reported(data: object, name: str = "x", compared: Comparison | None = None) -> Reported:
    models, content = FakeModels(), content_of(data)
    blob = encode_frame(content, "auto", models)
    return Reported(name, content, measure_frame(content, blob, models), heat(content, blob, models), compared)


def test_no_name_and_no_text_becomes_a_part_of_the_page() -> None:
    compared = Comparison(HOSTILE, "files", 5, 5, 5, {f"gzip {HOSTILE}": Score(5, 0.1, 0.1)}, {})
    page = Page(render([reported(HOSTILE, HOSTILE, compared), reported(HOSTILE, "\udcff</title><b>")]))
    assert not LOADS & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert "alert(1)" in page.texts["h2"]
    assert "{{ 7*7 }}" in page.texts["pre"]
    assert HOSTILE.replace("\u202e", "\ufffd").replace("\x00", "\u2400") in page.texts["pre"]
    assert "\\udcff" in page.texts["title"] or "\ufffd</title><b>" in page.texts["title"]
    policies = [attributes for tag, attributes in page.elements if "Content-Security-Policy" in attributes.values()]
    assert policies[0]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_parts_of_a_file_add_up() -> None:
    for data in (noise(3, 900).tobytes(), b"to be or not to be " * 30, noise(4, 30, 20, 3), b""):
        one = reported(data)
        parts = render([one]).decode().split("<tbody>")[1].split("</tbody>")[0]
        rows = re.findall(r'<th scope="row">[^<]*</th><td class="number">([-,.\d]+)</td>', parts)
        total = sum(float(row.replace(",", "")) for row in rows)
        assert total == pytest.approx(8 * one.measured.container_bytes, abs=0.3)


def test_pictures_have_their_heat_beside_them() -> None:
    page = Page(render([reported(noise(4, 30, 20, 3))]))
    images = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    shown, warm = (Image.open(io.BytesIO(base64.b64decode(src.split(",")[1]))) for src in images)
    assert shown.size == warm.size == (20, 30)
    np.testing.assert_array_equal(np.asarray(shown), noise(4, 30, 20, 3))


@pytest.mark.parametrize("data", [noise(1, 30, 20).astype(np.uint16) * 257, noise(1, 9, 9, 4), noise(1, 3000, 2, 3)])
def test_pictures_of_any_mode_and_shape(data: np.ndarray) -> None:
    assert render([reported(data)]).count(b"data:image/png") == 2


def test_a_long_text_is_shown_in_part_and_bytes_are_none() -> None:
    long = "é" * (LETTERS + 5)
    page = Page(render([reported(long)]))
    assert page.texts["pre"] == "é" * LETTERS
    assert f"The first {LETTERS:,} characters." in page.texts["p"]
    for size in (900, 4 * LETTERS + 900):
        assert "pre" not in Page(render([reported(noise(5, size).tobytes())])).texts
    assert "pre" not in Page(render([reported(np.arange(99.0))])).texts


def test_heat_is_all_payload() -> None:
    """The double says nothing of places, so everything is spread evenly."""
    data, models = noise(3, 900).tobytes(), FakeModels()
    content = content_of(data)
    blob = encode_frame(content, "auto", models)
    found, measured = heat(content, blob, models), measure_frame(content, blob, models)
    assert found.shape == (900,)
    assert found.sum() == pytest.approx(measured.model_bits + measured.plain_bits)
    assert np.ptp(found) == pytest.approx(0)


def test_peers_are_in_the_page_by_size() -> None:
    scores = {"PNG": Score(900, 0.1, 0.1), "bfncodec -5": Score(700, 1.0, 1.0), "WebP": Score(800, 0.2, 0.1)}
    page = render([reported(b"x", compared=Comparison("x", "pictures", 1000, 1800, 1800, scores, {}))]).decode()
    names = re.findall(
        r'<th scope="row">([^<]*)</th><td class="number">[\d,]+</td><td class="number">\d\.\d{4}</td>', page
    )
    assert names == ["bfncodec -5", "WebP", "PNG"]
    assert page.count('class="ours"') == 1


def test_a_report_needs_jinja(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for call in (require_jinja, lambda: render([])):
        with pytest.raises(InputError, match=r"pip install 'bfncodec\[report\]'"):
            call()


@pytest.mark.slow
def test_a_browser_shows_it(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    (tmp_path / "x.html").write_bytes(render([reported(noise(4, 30, 20, 3)), reported(HOSTILE, HOSTILE)]))
    offline = ["background-networking", "component-update", "sync", "gpu", "quic"]
    command = [chromium, "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in offline)]
    command.append(f"--user-data-dir={tmp_path / 'profile'}")
    options = ["--window-size=900,1400", f"--screenshot={tmp_path / 'x.png'}", "--enable-logging=stderr"]
    done = subprocess.run(
        [*command, *options, (tmp_path / "x.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Content Security Policy" not in done.stderr
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (900, 1400)
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 100  # the noise is there
