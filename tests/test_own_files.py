"""The example of docs/guide/own-files.md: its configuration trains, and its commands find the model."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from bfncodec.cli.main import cli
from bfncodec.training.loop import run
from support.places import ROOT

LICENCE = b"Permission is hereby granted, free of charge, to any person obtaining a copy of file %d.\n"


@pytest.mark.slow
def test_the_example_for_own_files_works_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("train", "held-out"):
        folder = Path("runs/copyrights", part)
        folder.mkdir(parents=True)
        (folder / "licence").write_bytes(b"".join(LICENCE % n for n in range(20)))
    for folder in ("packed", "restored"):
        Path("runs", folder).mkdir()
    monkeypatch.setenv("BFNCODEC_MODELS", "runs/models")
    run(ROOT / "configs" / "own-files.toml", out="runs/models/copyrights", steps=2, say=lambda line: None)

    for command in _commands("compress", "decompress"):
        result = CliRunner().invoke(cli, _expanded(command))
        assert result.exit_code == 0, result.output
    held_out = Path("runs/copyrights/held-out/licence").read_bytes()
    assert Path("runs/restored/licence").read_bytes() == held_out


def _commands(*names: str) -> list[list[str]]:
    """The arguments of these bfncodec commands of the example."""
    lines = (ROOT / "docs" / "guide" / "own-files.md").read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("bfncodec ")]
    found = [command for command in commands if command[0] in names]
    assert len(found) == len(names)
    return found


def _expanded(command: list[str]) -> list[str]:
    """Patterns replaced by files, as a shell does."""
    words: list[str] = []
    for word in command:
        words += sorted(map(str, Path().glob(word))) if "*" in word else [word]
    return words
