"""webdataset: tar files with compressed fields, by its own writer and reader."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

wds = pytest.importorskip("webdataset", reason="webdataset is not installed")

import bfncodec  # noqa: E402
from bfncodec.errors import FormatError, InputError  # noqa: E402
from bfncodec.integrations.webdataset import decoder, encoder  # noqa: E402
from support.specimens import picture  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # webdataset leaves files open

SAMPLES = [
    {"__key__": f"{k:04}", "image.bfn": picture(5, 4, 3) + k, "note.bfn": f"note {k}", "raw.bfn": b"\0" * k, "cls": k}
    for k in range(5)
]


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """What webdataset has left open is closed here, where that is no failure."""
    yield
    gc.collect()


def write(path: Path) -> str:
    with wds.TarWriter(str(path), encoder=encoder("none")) as sink:
        for sample in SAMPLES:
            sink.write(sample)
    return str(path)


def test_samples_come_back(tmp_path: Path) -> None:
    found = list(wds.WebDataset(write(tmp_path / "a.tar"), shardshuffle=False).decode(decoder()))
    assert len(found) == len(SAMPLES)
    for sample, made in zip(SAMPLES, found, strict=True):
        assert np.array_equal(made["image.bfn"], sample["image.bfn"])
        assert (made["note.bfn"], made["raw.bfn"], made["cls"]) == (
            sample["note.bfn"],
            sample["raw.bfn"],
            sample["cls"],
        )


def test_fields_are_compressed_files(tmp_path: Path) -> None:
    (first, *_) = wds.WebDataset(write(tmp_path / "a.tar"), shardshuffle=False)
    assert bfncodec.decompress(first["note.bfn"]) == "note 0"
    assert encoder("none")(first)["note.bfn"] == first["note.bfn"]  # copied as it is


def test_other_fields_are_left_to_others() -> None:
    assert decoder()(".png", b"data") is None
    assert decoder()(".x.bfn", bfncodec.compress("text", "none")) == "text"


def test_damage_is_an_error_of_webdataset(tmp_path: Path) -> None:
    with wds.TarWriter(str(tmp_path / "a.tar")) as sink:
        sink.write({"__key__": "a", "x.bfn": b"\xbf\x4e\x90 damaged"})
    with pytest.raises(wds.autodecode.DecodingError):
        list(wds.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode(decoder()))


@pytest.mark.parametrize("data", [b"\xbf\x4e\x90 other bytes", bfncodec.compress(b"bytes " * 9, "none")[:-1]])
def test_what_begins_like_a_compressed_file_and_is_none_is_no_sample(data: bytes) -> None:
    with pytest.raises(FormatError):
        encoder("none")({"__key__": "a", "x.bfn": data})


def test_handlers_are_sent_to_other_processes() -> None:
    sent = pickle.loads(pickle.dumps((encoder("none", level=1), decoder())))
    coded = sent[0]({"__key__": "a", "x.bfn": "to be"})
    assert sent[1](".x.bfn", coded["x.bfn"]) == "to be"
    with pytest.raises(InputError, match="True or False as verify"):
        encoder(verify="no")  # type: ignore[arg-type]
