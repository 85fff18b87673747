from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import bfncodec
from bfncodec.cli.main import cli
from bfncodec.errors import DamagedError, InputError
from bfncodec.files.data import encode_data
from bfncodec.files.options import Options
from bfncodec.files.transfer import decompress_file
from bfncodec.images.files import read_file
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.policy import Policy
from support.doubles import FakeModels, noise
from support.strategies import arrays, images

Crop = tuple[int, int, int, int]


SMALL_TILES = Policy(model_tile=20, plain_tile=20)


def region(draw: st.DrawFn, width: int, height: int) -> Crop:
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


@pytest.mark.slow
@settings(max_examples=60)
@given(st.data(), images(), st.sampled_from([4, 7, 100]))
def test_regions_of_images(data: st.DataObject, image: Image.Image, tile: int) -> None:
    x, y, width, height = crop = data.draw(st.composite(region)(*image.size))
    found = bfncodec.decompress(bfncodec.compress(image, "none", policy=Policy(plain_tile=tile)), crop=crop)
    wanted = image.crop((x, y, x + width, y + height))
    wanted.info = image.info
    assert found == wanted
    assert found.getpalette(rawmode=None) == image.getpalette(rawmode=None)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.data(), arrays().filter(lambda array: array.ndim in (2, 3)), st.sampled_from([4, 100]))
def test_regions_of_arrays(data: st.DataObject, array: np.ndarray[Any, Any], tile: int) -> None:
    models = FakeModels((1, 3))
    blob = bfncodec.compress(array, codecs=models, policy=Policy(model_tile=tile))
    if not bfncodec.describe(blob).mode:
        with pytest.raises(InputError, match="expected a picture"):
            bfncodec.decompress(blob, crop=(0, 0, 1, 1), codecs=models)
        return
    x, y, width, height = crop = data.draw(st.composite(region)(array.shape[1], array.shape[0]))
    found = bfncodec.decompress(blob, crop=crop, codecs=models)
    assert np.array_equal(found, array[y : y + height, x : x + width])
    assert found.dtype.name == array.dtype.name


def test_only_the_segments_of_a_region_are_decoded() -> None:
    models, array = FakeModels(), np.zeros((60, 80, 3), np.uint8)
    for row in range(3):
        for column in range(4):
            array[20 * row : 20 * row + 20, 20 * column : 20 * column + 20] = noise((row + column) % 10, 20, 20, 3)
    blob, done = bfncodec.compress(array, codecs=models, policy=SMALL_TILES), []
    assert bfncodec.describe(blob).methods == {"model": 12}
    codec = models.codecs["image"]
    for crop, tiles in [((0, 0, 20, 20), 1), ((19, 39, 2, 2), 4), ((10, 25, 60, 5), 4), ((0, 0, 80, 60), 12)]:
        codec.decoded = 0
        done.clear()
        x, y, width, height = crop
        found = bfncodec.decompress(blob, crop=crop, codecs=models, progress=done.append)
        assert np.array_equal(found, array[y : y + height, x : x + width])
        assert (codec.decoded, sum(done)) == (tiles, tiles * 20 * 20 * 3)


def test_damage_matters_where_the_region_is() -> None:
    array = noise(30, 40, 40, 3)
    blob = bytearray(bfncodec.compress(array, "none", policy=SMALL_TILES))
    blob[blob.index(array[20:, 20:].tobytes()[:60]) + 5] ^= 1
    with pytest.raises(DamagedError, match="segment 4 of 4: checksum"):
        bfncodec.decompress(bytes(blob), crop=(15, 15, 10, 10))
    assert np.array_equal(bfncodec.decompress(bytes(blob), crop=(0, 0, 20, 40)), array[:, :20])
    lost: list[bfncodec.Damage] = []
    found = bfncodec.decompress(bytes(blob), crop=(15, 15, 10, 10), on_damage=lost.append)
    assert [damage.extent for damage in lost] == [((20, 40), (20, 40))]
    assert np.array_equal(found[:5], array[15:20, 15:25])
    assert not found[5:, 5:].any()
    cut = bytes(blob[: blob.index(array[20:, :20].tobytes()[:60])])
    assert np.array_equal(bfncodec.decompress(cut, crop=(3, 3, 30, 9), on_damage=lost.append), array[3:12, 3:33])


@pytest.mark.parametrize(
    "crop", [(0, 0, 31, 5), (0, 0, 0, 5), (-1, 0, 5, 5), (30, 0, 1, 1), (0, 19, 1, 2), (1 << 70, 0, 1, 1)]
)
def test_regions_that_are_not_within(crop: Crop) -> None:
    blob = bfncodec.compress(noise(1, 20, 30), "none")
    with pytest.raises(InputError, match="expected a region within 30 x 20 pixels"):
        bfncodec.decompress(blob, crop=crop)


def test_what_is_no_region() -> None:
    blob = bfncodec.compress(noise(1, 20, 30), "none")
    for crop in ((1, 2, 3), (1, 2, 3, "x"), 7):
        with pytest.raises(InputError, match="expected a region x, y, width, height"):
            bfncodec.decompress(blob, crop=crop)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a picture"):
        bfncodec.decompress(bfncodec.compress(b"text", "none"), crop=(0, 0, 1, 1))


# ---- files --------------------------------------------------------------------------------------


def picture(mode: str) -> Image.Image:
    """One that is smaller as a picture than as its file's bytes."""
    slope = (np.add.outer(np.arange(60) * 3, np.arange(70) * 2) % 256).astype(np.uint8)
    image = Image.fromarray(np.dstack([slope, slope[::-1], slope[:, ::-1], 255 - slope // 2]))
    return image.convert("RGB").quantize(17) if mode == "P" else image.convert(mode, dither=Image.Dither.NONE)


def opened(path: str | Path) -> Image.Image:
    return Image.open(io.BytesIO(Path(path).read_bytes()))


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        *(
            ("PNG", mode, {"dpi": (300, 300), "icc_profile": b"profile"})
            for mode in ("RGB", "RGBA", "L", "LA", "P", "1")
        ),
        *(("WEBP", mode, {"lossless": True, "exact": True, "icc_profile": b"profile"}) for mode in ("RGB", "RGBA")),
        *(("BMP", mode, {"dpi": (300, 300)}) for mode in ("RGB", "L", "P", "1")),
        *(("PPM", mode, {}) for mode in ("RGB", "L", "1")),
        *(("TIFF", mode, {"dpi": (300, 300)}) for mode in ("RGB", "RGBA", "L", "P", "1")),
        *(("TIFF", mode, {"compression": "tiff_lzw", "dpi": (300, 300)}) for mode in ("RGB", "P")),
    ],
)
def test_regions_of_picture_files(kind: str, mode: str, options: dict[str, Any]) -> None:
    """They become files of the same format, with palette, profile and resolution."""
    data = file_of(picture(mode), kind, **options)
    content = read_file(data)
    assert content is not None
    blob = encode_frame(content, "none", FakeModels())  # as a picture, though its bytes may take less
    found = Image.open(io.BytesIO(bfncodec.decompress(blob, crop=(5, 7, 20, 11))))
    whole = Image.open(io.BytesIO(data))
    assert (found.format, found.mode, found.size) == (whole.format, whole.mode, (20, 11))
    assert found.convert("RGBA").tobytes() == whole.convert("RGBA").crop((5, 7, 25, 18)).tobytes()
    assert found.info.get("icc_profile") == whole.info.get("icc_profile")
    assert found.info.get("dpi", (0, 0))[0] == pytest.approx(whole.info.get("dpi", (0, 0))[0])
    everything = bfncodec.decompress(blob, crop=(0, 0, 70, 60))
    assert everything == bfncodec.decompress(blob)


def test_a_region_keeps_no_metadata_of_the_whole() -> None:
    info = PngInfo()
    info.add_text("Author", "somebody")
    info.add_itxt("XML:com.adobe.xmp", "<width>40</width>")
    exif = Image.Exif()
    exif[0x0100] = 40
    image = picture("RGB")
    blob, _ = encode_data(file_of(image, "PNG", pnginfo=info, exif=exif.tobytes()), Options("none"), FakeModels())
    found = Image.open(io.BytesIO(bfncodec.decompress(blob, crop=(0, 0, 9, 9))))
    assert found.info == {"Author": "somebody"}
    image.info |= {"exif": b"Exif", "xmp": b"<x/>", "XML:com.adobe.xmp": "<x/>", "icc_profile": b"i", "Author": "A"}
    found = bfncodec.decompress(bfncodec.compress(image, "none"), crop=(0, 0, 9, 9))
    assert found.info == {"icc_profile": b"i", "Author": "A"}


@pytest.mark.slow
def test_of_a_file_only_what_is_needed_is_read(tmp_path: Path) -> None:
    image = Image.fromarray(noise(30, 200, 200, 3))
    blob = bfncodec.compress(image, "none", policy=SMALL_TILES)
    (tmp_path / "x.png.bfn").write_bytes(blob)
    result = decompress_file(
        tmp_path / "x.png.bfn", tmp_path / "part.png", Options(crop=(10, 10, 20, 20)), FakeModels()
    )
    assert opened(tmp_path / "part.png").tobytes() == image.crop((10, 10, 30, 30)).tobytes()
    assert result.coding.methods == {"stored": 4}
    assert 4 * 1200 < result.read_bytes < len(blob) / 10
    assert result.compressed_bytes == len(blob)


# ---- the command --------------------------------------------------------------------------------


def run(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, ["decompress", *args])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image = Image.fromarray(noise(30, 20, 30, 3))
    blob = bfncodec.compress(image, "none")
    Path("x.png.bfn").write_bytes(blob)
    said = run("x.png.bfn", "--crop", "2,3,10,9", "-o", "part.png").stderr
    assert "decoded 1 segment, read" in said
    assert opened("part.png").tobytes() == image.crop((2, 3, 12, 12)).tobytes()
    assert run("x.png.bfn", "--crop", "2,3,10,9", "-c").stdout_bytes == Path("part.png").read_bytes()
    assert "within 30 x 20" in run("x.png.bfn", "--crop", "2,3,10,90", "-o", "other.png", code=1).stderr
    assert not Path("other.png").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["x.bfn", "--crop", "1,2,3", "-o", "y"], "expected X,Y,WIDTH,HEIGHT"),
        (["x.bfn", "--crop", "1,2,3,a", "-o", "y"], "expected X,Y,WIDTH,HEIGHT"),
        (["x.bfn", "--crop", "1,2,3,4"], "use -o or -c"),
        (["x.bfn", "y.bfn", "--crop", "1,2,3,4", "-c"], "one file"),
        (["x.bfn", "--crop", "1,2,3,4", "-o", "y", "--rm"], "leave out --rm"),
    ],
)
def test_wrong_usage(args: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["decompress", *args], standalone_mode=False)
    assert message in str(result.exception)
