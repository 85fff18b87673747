"""Tiny models of pictures and texts, loaded once for all tests of codecs."""

from __future__ import annotations

from pathlib import Path

import pytest

import bfncodec
from bfncodec.codecs.image import ImageCodec
from bfncodec.codecs.text import TextCodec
from support.models import (
    MIXING,
    export_image,
    export_text,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_image(folder / "tiny-image")
    export_text(folder / "tiny-text")
    return folder


@pytest.fixture(scope="session")
def image_codec(folder: Path) -> ImageCodec:
    codec = bfncodec.load(folder / "tiny-image")
    assert isinstance(codec, ImageCodec)
    return codec


@pytest.fixture(scope="session")
def text_codec(folder: Path) -> TextCodec:
    codec = bfncodec.load(folder / "tiny-text")
    assert isinstance(codec, TextCodec)
    return codec


@pytest.fixture(scope="session")
def mixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model with contexts; the network's weights are those of tiny-text."""
    out = tmp_path_factory.mktemp("mixed") / "tiny-mixed"
    return export_text(out, name=out.name, mixing=MIXING)


@pytest.fixture(scope="session")
def mixed_codec(mixed_folder: Path) -> TextCodec:
    codec = bfncodec.load(mixed_folder)
    assert isinstance(codec, TextCodec)
    return codec
