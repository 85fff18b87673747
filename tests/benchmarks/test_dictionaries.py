"""Messages with a dictionary: which are messages, what the dictionary holds, and that all come back."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.dictionaries import joined, main, samples_of


def test_lines_together_are_a_message_or_a_file_is_one(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"1\n2\n3\n4\n5\n")
    assert list(samples_of([file], 2)) == [b"1\n2\n", b"3\n4\n"]
    assert list(samples_of([file, file], None)) == [file.read_bytes()] * 2


def test_a_dictionary_holds_whole_samples_that_fit() -> None:
    assert joined([b"one", b"two\n", b"much too long", b"3"], 10) == b"one\ntwo\n3\n"


@pytest.mark.slow
def test_messages_come_back(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b"".join(b'{"id": %d, "name": "wren %d"}\n' % (k, k * 37 % 101) for k in range(90)))
    result = CliRunner().invoke(main, [str(file), "--lines", "1", "--few", "20", "-m", "text-fast"])
    assert result.exit_code == 0, result.output
    rows = {line.rpartition("  ")[0].split("  ")[0]: line.split() for line in result.output.splitlines()[2:]}
    alone, known = (
        int(rows[name][len(name.split())].replace(",", "")) for name in ("text-fast", "text-fast, dictionary")
    )
    assert known < 0.5 * alone
