from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bfncodec
from bfncodec.cli.main import cli
from bfncodec.errors import DamagedError, FormatError, InputError
from bfncodec.files.data import decode_data, encode_data
from bfncodec.files.options import Options
from bfncodec.files.verify import verify
from bfncodec.format.extras import Tag
from bfncodec.images import preview
from bfncodec.segments.policy import Policy
from support.doubles import FakeModels, noise
from support.strategies import images


def scene(height: int = 300, width: int = 400) -> np.ndarray[Any, Any]:
    rows, columns = np.indices((height, width))
    colour = [rows * 200 // height, columns * 200 // width, (rows + columns) % 97 + 40]
    return np.dstack([*colour]).astype(np.uint8) + noise(1, height, width, 1) % 30


class NoModels(FakeModels):
    """None is ever needed."""

    def identified(self, identity: bytes) -> Any:
        raise AssertionError("loaded")


# ---- which files hold one -----------------------------------------------------------------------


@pytest.mark.slow
def test_large_pictures_hold_one_that_costs_next_to_nothing() -> None:
    policy = Policy(preview_pixels=300 * 400, preview_share=100)
    blob, without = (
        bfncodec.compress(scene(), "none", level=1, policy=policy),
        bfncodec.compress(scene(), "none", level=1, preview=False),
    )
    assert 0 < len(blob) - len(without) <= len(without) / 100
    assert bfncodec.describe(blob).preview_bytes > 0
    assert bfncodec.describe(without).preview_bytes == 0
    assert np.array_equal(bfncodec.decompress(blob), scene())
    small = bfncodec.compress(scene()[:299], "none", level=1, policy=policy)
    assert bfncodec.describe(small).preview_bytes == 0
    small_share = Policy(preview_pixels=300 * 400, preview_share=10_000)  # no preview is so small
    assert bfncodec.compress(scene(), "none", level=1, policy=small_share) == without


def test_what_is_no_picture_holds_none() -> None:
    assert bfncodec.compress(b"text" * 9, "none", preview=True) == bfncodec.compress(b"text" * 9, "none")
    with pytest.raises(InputError, match="expected a picture"):
        bfncodec.preview(bfncodec.compress(b"text", "none"))


@pytest.mark.slow
@settings(max_examples=60)
@given(images(), st.booleans())
def test_every_picture_has_a_preview(image: Image.Image, stored: bool) -> None:
    blob = bfncodec.compress(image, "none", level=1, preview=stored)
    found = bfncodec.preview(blob, codecs=NoModels())
    assert max(found.size) <= 320
    assert found.mode in ("L", "LA", "RGB", "RGBA")
    assert bfncodec.decompress(blob) == image


@pytest.mark.slow
def test_a_preview_looks_like_the_picture() -> None:
    palette = Image.fromarray(scene()).quantize(64)
    wide = Image.fromarray(scene()[:, :, 0].astype(np.uint16) * 16)
    for image in (Image.fromarray(scene()), palette, Image.fromarray(scene()[:, :, 1]), wide):
        wanted = Image.fromarray(scene()[:, :, 0]) if image is wide else image
        for stored in (False, True):
            blob = bfncodec.compress(image, "none", level=1, preview=stored)
            found = bfncodec.preview(blob)
            assert found.size == (320, 240)
            difference = np.subtract(wanted.convert("RGB").resize((320, 240)), found.convert("RGB"), dtype=np.int16)
            assert np.abs(difference).mean() < 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_files_with_a_palette(kind: str) -> None:
    out = io.BytesIO()
    image = Image.fromarray(scene()).quantize(64)
    image.save(out, kind)
    blob, content = encode_data(out.getvalue(), Options("none", preview=True, level=1), FakeModels())
    verify(blob, content, FakeModels())
    found = bfncodec.preview(blob, codecs=NoModels())
    difference = np.subtract(image.convert("RGB").resize((320, 240)), found.convert("RGB"), dtype=np.int16)
    assert np.abs(difference).mean() < 10
    assert decode_data(blob, Options(), FakeModels())[1].header.extra(Tag.PREVIEW) is None


# ---- damage -------------------------------------------------------------------------------------


def test_a_damaged_preview_is_never_shown() -> None:
    """Though the checksum of a file of one segment cannot be checked without its content."""
    blob = bfncodec.compress(scene(40, 50), "none", preview=True)
    size = bfncodec.describe(blob).preview_bytes
    wanted = bfncodec.preview(blob)
    for bit in range(0, 8 * (size + 20), 7):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = bfncodec.preview(bytes(damaged))
        except FormatError:
            continue
        assert found.tobytes() == wanted.tobytes()


def test_previews_that_cannot_be() -> None:
    def header(value: bytes) -> Any:
        import zlib

        from bfncodec.format.extras import Extra
        from bfncodec.format.header import Header
        from bfncodec.format.kinds import Kind

        return Header(Kind.IMAGE, extras=(Extra(Tag.PREVIEW, zlib.crc32(value).to_bytes(4, "little") + value),))

    out = io.BytesIO()
    Image.new("RGB", (1025, 2)).save(out, "WEBP")
    for value in (b"", b"no WebP", out.getvalue(), out.getvalue()[:30]):
        with pytest.raises(DamagedError):
            preview.find(header(value))


# ---- the command --------------------------------------------------------------------------------


def run(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, list(args))
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(scene()).save("with.png")
    Image.fromarray(scene()).save("without.png")
    run("compress", "-1", "-m", "none", "--preview", "with.png")
    run("compress", "-1", "-m", "none", "without.png")
    return tmp_path


def read(path: str) -> Image.Image:
    return Image.open(io.BytesIO(Path(path).read_bytes()))


@pytest.mark.slow
def test_the_command(folder: Path) -> None:
    assert run("preview", "with.png.bfn").stderr == ""
    assert (read("with.preview.png").format, read("with.preview.png").size) == ("PNG", (320, 240))
    assert "exists already" in run("preview", "with.png.bfn", code=1).stderr
    assert "the preview in the file" in run("preview", "-f", "-v", "with.png.bfn").stderr
    assert "decoded and scaled down" in run("preview", "-v", "without.png.bfn").stderr
    run("preview", "with.png.bfn", "-o", "small.webp")
    assert read("small.webp").format == "WEBP"
    assert run("preview", "with.png.bfn", "-o", "-").stdout_bytes[:4] == b"\x89PNG"
    Path("text.bfn").write_bytes(bfncodec.compress(b"text", "none"))
    assert "expected a picture" in run("preview", "text.bfn", code=1).stderr
    assert "cannot be read" in run("preview", "missing.bfn", code=1).stderr
    rows = run("list", "with.png.bfn", "without.png.bfn").stdout.splitlines()
    assert " -  " not in rows[1]
    assert " -  " in rows[2]


@pytest.mark.slow
def test_a_preview_loads_no_torch(folder: Path) -> None:
    code = (
        "import sys\nfrom bfncodec.cli.main import cli\n"
        "assert not cli.main(['preview', 'with.png.bfn', '-o', 'x.png'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    root = str(Path(bfncodec.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={"PYTHONPATH": root})
