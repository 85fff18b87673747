"""The examples of docs/format.md are what writers write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bfncodec
from bfncodec.format.checks import crc16
from bfncodec.format.compact import LONGEST_COMPACT, pack_compact
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.segments.policy import DEFAULT_POLICY, Policy
from support.frames import stored

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
EXAMPLES = [
    "".join(re.findall(r"^\| `([0-9a-f ]+)` \|", table.split("\n\n")[0], re.MULTILINE)).replace(" ", "")
    for table in PAGE.split("## 10. Examples")[1].split("## 11.")[0].split("| in hexadecimal | |")[1:]
]
PIXELS = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
OBJECTS: list[tuple[Any, Policy]] = [
    ("Ende", DEFAULT_POLICY),
    (PIXELS, DEFAULT_POLICY),
    (b"abcabcde", Policy(plain_segment=4)),
]


@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_examples_are_what_is_written(number: int) -> None:
    value, policy = OBJECTS[number]
    assert len(EXAMPLES) == len(OBJECTS)
    assert bfncodec.compress(value, "none", policy=policy).hex() == EXAMPLES[number]
    assert np.array_equal(bfncodec.decompress(bytes.fromhex(EXAMPLES[number])), value)


def test_the_example_of_a_long_file_is_its_beginning() -> None:
    table = PAGE.split("| first bytes, in hexadecimal | |")[1].split("\n\n")[0]
    start = bytes.fromhex("".join(re.findall(r"^\| `([0-9a-f ]+)", table, re.MULTILINE)))
    content = bytes(LONGEST_COMPACT + 1)
    assert pack_compact(Header(Kind.BYTES), stored(content)) == start + content[2:]
    assert len(bfncodec.compress(content, "none")) == 94


def test_the_checksum_of_16_bits_is_the_one_that_is_named() -> None:
    assert "`123456789` have 29B1" in PAGE
    assert crc16(b"123456789") == 0x29B1
