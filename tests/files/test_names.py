"""Names of what is made, from names of what is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from bfncodec.errors import InputError
from bfncodec.files.names import compressed_name, decompressed_name, has_suffix, preview_name


@pytest.mark.parametrize("name", ["a", "a.txt", "d/a.tar.gz", ".hidden", "a.bfn.txt"])
def test_decompressed_files_have_the_name_of_their_source(name: str) -> None:
    made = compressed_name(Path(name))
    assert made == Path(f"{name}.bfn")
    assert has_suffix(made)
    assert not has_suffix(Path(name))
    assert decompressed_name(made) == Path(name)


def test_a_folder_is_named_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "set")
    assert compressed_name(Path()) == tmp_path.resolve() / "set.bfn"
    assert compressed_name(Path("inner/..")) == tmp_path.resolve() / "set.bfn"


@pytest.mark.parametrize("name", ["a.bfn", "d/a.txt.bfn", Path.cwd().anchor])
def test_names_that_cannot_be_compressed(name: str) -> None:
    with pytest.raises(InputError, match="name a target"):
        compressed_name(Path(name))


@pytest.mark.parametrize("name", ["a", "a.txt", ".bfn", "a.bfn.txt", "..bfn", "d/...bfn"])
def test_names_that_cannot_be_decompressed(name: str) -> None:
    with pytest.raises(InputError, match=r"expected a name ending in \.bfn"):
        decompressed_name(Path(name))


def test_previews_are_named_after_the_picture() -> None:
    assert preview_name(Path("d/a.png.bfn")) == Path("d/a.preview.png")
    assert preview_name(Path("a.webp")) == Path("a.preview.png")
    assert preview_name(Path()).is_absolute()
    with pytest.raises(InputError, match="name a target"):
        preview_name(Path(Path.cwd().anchor))
