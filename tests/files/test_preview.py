"""Previews of compressed pictures as files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bfncodec
from bfncodec.errors import InputError, OutputError
from bfncodec.files.options import Options
from bfncodec.files.preview import preview_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    slope = np.add.outer(np.arange(60), np.arange(80))[..., None].repeat(3, 2).astype(np.uint8)
    for name, stored in (("with", True), ("without", False)):
        (tmp_path / f"{name}.png.bfn").write_bytes(bfncodec.compress(slope, "none", level=1, preview=stored))
    return tmp_path


@pytest.mark.parametrize("name", ["with", "without"])
def test_a_preview_becomes_a_file(folder: Path, name: str) -> None:
    source = folder / f"{name}.png.bfn"
    assert preview_file(source) is (name == "with")
    with Image.open(folder / f"{name}.preview.png") as found:
        assert found.format == "PNG"
        wanted = bfncodec.preview(source.read_bytes())
        assert np.array_equal(found, wanted)
    preview_file(str(source), folder / "x.webp")
    with Image.open(folder / "x.webp") as found:
        assert found.format == "WEBP"


def test_nothing_is_replaced_by_a_preview_unasked(folder: Path) -> None:
    target = folder / "x.png"
    target.write_bytes(b"kept")
    with pytest.raises(OutputError, match="exists already"):
        preview_file(folder / "with.png.bfn", target)
    assert target.read_bytes() == b"kept"
    preview_file(folder / "with.png.bfn", target, Options(force=True))
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_pipe_is_read_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    blob = (folder / "without.png.bfn").read_bytes()
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=(blob,))
    writer.start()
    assert not preview_file(folder / "pipe", folder / "x.png")
    writer.join()
    with Image.open(folder / "x.png") as found:
        assert np.array_equal(found, bfncodec.preview(blob))


def test_what_has_no_preview(folder: Path) -> None:
    (folder / "text.bfn").write_bytes(bfncodec.compress("text", "none"))
    for name, message in (("text.bfn", "expected a picture"), ("missing.bfn", "cannot be read")):
        with pytest.raises(InputError, match=message):
            preview_file(folder / name, folder / "x.png")
    assert not (folder / "x.png").exists()
