"""Records, a line of JSON each: written and read a segment at a time, by themselves and through fsspec."""

import json
import tempfile
from pathlib import Path

import fsspec

import bfncodec
import bfncodec.integrations.fsspec  # makes "bfn" a compression of fsspec

PLACES = ("the station", "the library", "the old bridge")
RECORDS = [{"number": n, "place": PLACES[n % 3], "minute": n * 7 % 60} for n in range(1000)]

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "records.jsonl.bfn")
    with bfncodec.open(path, "wt", encoding="utf-8", model="none") as file:
        for record in RECORDS:
            print(json.dumps(record), file=file)
    print(f"{len(RECORDS)} records in {path.stat().st_size:,} bytes")

    with bfncodec.open(path, "at", encoding="utf-8", model="none") as file:
        print(json.dumps({"number": 1000, "place": "the end", "minute": 0}), file=file)

    # The same file as everything sees it that reads through fsspec; pandas.read_json(file, lines=True, chunksize=100)
    with fsspec.open(str(path), "rt", compression="infer", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert records[:-1] == RECORDS
    print(f"read again: {len(records)}, the last at {records[-1]['place']}")
