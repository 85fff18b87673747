"""Golden files, one of everything that docs/format.md tells apart, become for ever what they were."""

from __future__ import annotations

import pytest

from bfncodec.errors import BfncodecError
from bfncodec.format.container import unpack
from bfncodec.format.extras import Tag
from bfncodec.format.frame import COMPACT, SEGMENTED
from bfncodec.format.kinds import ARRAY_TYPES, Kind, Method, Mode, Origin
from support.goldens import Entry, becomes, entries, read
from support.places import GOLDEN


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["file"])
def test_golden_files_become_what_they_were(entry: Entry) -> None:
    found = becomes(read(entry["file"]))
    assert {"file": entry["file"]} | found == entry


def test_every_golden_file_is_told_of() -> None:
    """Golden files of shipped models are compared with what they were made of, elsewhere."""
    from golden.make_models import originals

    models = {f"{name}.bfn" for name in originals()}
    assert {entry["file"] for entry in entries()} | models == {path.name for path in GOLDEN.glob("*.bfn")}


def test_there_is_one_of_everything() -> None:
    seen: set[object] = set()
    for path in GOLDEN.glob("*.bfn"):
        try:
            frame = unpack(path.read_bytes())
        except BfncodecError as error:
            seen.add(type(error).__name__)
            continue
        header, layout = frame.header, path.read_bytes()[2] >> 5
        seen |= {Tag(extra.tag) for extra in header.extras} | {(layout, header.kind)}
        seen |= {(header.kind, entry.method) for entry in frame.entries}
        seen |= {header.dtype} if header.kind is Kind.ARRAY else set()
        if header.kind is Kind.IMAGE:
            seen |= {header.origin, (header.mode,), (header.origin, header.is_identical)}
    expected: set[object] = {*Tag, *Origin, *((mode,) for mode in Mode), *ARRAY_TYPES}
    expected |= {(layout, kind) for layout in (COMPACT, SEGMENTED) for kind in Kind}
    expected |= {(kind, method) for kind in Kind for method in (Method.STORED, Method.LZMA)}
    expected |= {(Kind.IMAGE, Method.PICTURE), (Kind.ARRAY, Method.PICTURE), (Kind.IMAGE, Method.MODEL)}
    expected |= {(Kind.BYTES, Method.MODEL)}
    expected |= {(origin, same) for origin in Origin if origin.is_file for same in (False, True)}
    expected |= {"DamagedError", "NewerVersionError", "NotOursError"}
    assert sorted(map(repr, expected - seen)) == []
