"""Names of models in files."""

from __future__ import annotations

import pytest

from bfncodec.errors import DamagedError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.modelnames import ModelName, read_names, write_names


def test_names_come_back() -> None:
    names = (ModelName(bytes(range(32)), "müller"), ModelName(bytes(32), ""))
    extra = write_names(names)
    assert extra.tag == Tag.MODELS == 8
    assert extra.value[:1] == bytes([32 + 7])
    assert read_names(Header(Kind.BYTES, extras=(extra,))) == names
    assert names[0].id == bytes(range(4))
    assert read_names(Header(Kind.BYTES)) == ()


@pytest.mark.parametrize("value", [b"\x05abc", b"\x03abc", b"\x21" + bytes(32) + b"\xff", b"\x21" + bytes(32) + b"\n"])
def test_what_no_writer_writes(value: bytes) -> None:
    with pytest.raises(DamagedError):
        read_names(Header(Kind.BYTES, extras=(Extra(Tag.MODELS, value),)))
