"""Dictionaries made of samples: bytes that look like the texts to come, in a model directory of their own."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bfncodec.errors import InputError, ModelError, OutputError
from bfncodec.files.atomic import make_folder, place_folder
from bfncodec.files.modelfolders import CARD, write_model
from bfncodec.files.places import anything_at, file_at, folder_at
from bfncodec.models import (
    CONFIG,
    DICTIONARY,
    LARGEST_DICTIONARY,
    STATED,
    ModelInfo,
    find,
    published,
    read,
    search_path,
    user_folder,
)
from bfncodec.runtime.arguments import check_model, path_of, whole_number

__all__ = ["DICTIONARY_SIZE", "make_dictionary"]

DICTIONARY_SIZE = 110 << 10
"""Bytes of a dictionary where nothing else is asked for, as zstd has it."""
_SHARE = 8  # no sample takes more than this part of a dictionary, unless there are too few
_POOL = 64  # dictionaries' worth of samples to choose from; of more every second one is forgotten
_LEAST_POOL = 1 << 22  # bytes
_OVERHEAD = 128  # bytes that a sample takes in memory beside its own
_TAKEN = ("auto", "none")  # what -m has another meaning for
_LOG = logging.getLogger("bfncodec")


def make_dictionary(
    samples: Iterable[bytes | str],
    out: str | Path,
    model: str | Path | ModelInfo = "text",
    size: int = DICTIONARY_SIZE,
    force: bool = False,
    like: os.stat_result | None = None,
) -> ModelInfo:
    """Make a dictionary of samples: a text model that begins each text as if it had read them. Return it.

    samples: texts, messages or rows like those to come; of more than fit whole ones are taken, evenly spread over all.
    out: folder of the new model, whose name it gets. model: text model that it is made for, which must lie beside the
    folder or where models are looked for. size: bytes that it has at most, up to 262,144. force: replace what is there;
    a model that files may need is kept beside it. like: file that samples are from, and into a new folder of which
    nobody may look who could not read that.

    Raises InputError for no samples, a model that can have none, or arguments that cannot be; OutputError where the
    folder is there already or cannot be written; ModelNotFoundError, ModelError (model is missing or broken).

    >>> made = bfncodec.make_dictionary(rows[:10_000], "models/rows")           # doctest: +SKIP
    >>> payloads = bfncodec.load("models/rows").encode_batch(rows[10_000:])     # doctest: +SKIP
    """
    out, size = path_of(out, "a folder"), whole_number(size, "size")
    if not 1 <= size <= LARGEST_DICTIONARY:
        raise InputError(f"expected a size of 1 to {LARGEST_DICTIONARY:,} bytes, found {size:,}")
    base = _base(model)
    name = _name(out, base)
    _check_folder(out, force)
    config = _config(base, name)
    _check_place(base, ModelInfo(out.absolute(), config))
    chosen = _chosen(samples, size)
    described = (json.dumps(config, indent=2) + "\n").encode()
    parts = {CONFIG: described, DICTIONARY: chosen.data, CARD: _card(base, name, len(chosen.data)).encode()}
    _write(out, parts, _sha256(base, parts), like)
    _LOG.info(
        "%s: %s of %s samples, %s bytes", out, *(f"{n:,}" for n in (chosen.taken, chosen.found, len(chosen.data)))
    )
    made = read(out)
    made.check()
    return made


# ---- what is asked for ------------------------------------------------------------------------------


def _base(model: str | Path | ModelInfo) -> ModelInfo:
    """Return the model that a dictionary is made for. Raises InputError for one that can have none."""
    if not isinstance(model, ModelInfo):
        check_model(model)
    base = model if isinstance(model, ModelInfo) else find(model)
    if base.dictionary:
        raise InputError(
            f"expected a model without a dictionary, {base.name} has one: name the one that it is made for"
        )
    if base.role != "text" or not isinstance(base.config.get("mixing"), dict):
        raise InputError(
            f"expected a text model that learns from its texts (`mixing` in {CONFIG}), such as text or text-fast, "
            f"found {base.name} (role {base.role}): name another model"
        )
    teeth = [teeth for _, teeth in base.config.get("teeth_by_length", ())]
    if teeth != [1]:
        raise InputError(f"expected a text model of one tooth, found {teeth} in {base.name}: name another model")
    base.check()
    return base


def _name(out: Path, base: ModelInfo) -> str:
    """Return the name of the model in a folder. Raises InputError for that of another model."""
    name = out.name if out.name not in ("", "..") else out.resolve().name
    if not name or not name.isprintable():
        raise InputError(f"expected a folder whose name can be that of a model, found {name!r}")
    others = {*_TAKEN, base.name, _folder(base.weights), *(model.name for model in published())}
    if name in others or (base.phrases and name == _folder(base.phrases)):
        raise InputError(f"expected a folder with a name of its own, found {name}, which is that of another model")
    return name


def _folder(file: Path) -> str:
    """Return the name of the folder in which a file of a model lies."""
    name = file.parent.name
    return name if name not in ("", "..") else file.parent.resolve().name


def _check_folder(out: Path, force: bool) -> None:
    """Raise OutputError where nothing can be made, or what is there is no model that may be replaced."""
    if not os.path.lexists(out):
        return
    if not folder_at(out):
        raise OutputError(f"{out} is there and no folder: name another one")
    if not force:
        raise OutputError(f"{out} exists already", python="force=True replaces it", command="use -f to replace it")
    if not file_at(out / CONFIG):
        if anything_at(out / CARD):
            raise OutputError(f"{out} holds {CARD} and no model: name another folder")
        return
    try:
        read(out)
    except ModelError as error:
        raise OutputError(f"{out} holds no model that can be kept ({error}): name another folder") from error


def _check_place(base: ModelInfo, made: ModelInfo) -> None:
    """Raise InputError where a dictionary would not find the weights and phrases of its model."""
    wanted = (base.weights, base.phrases)
    for file, found in zip(wanted, made.candidates(), strict=True):
        if file and not any(_same(file, other) for other in found):
            raise InputError(
                f"expected the model {base.name} beside {made.path} or in one of {', '.join(map(str, search_path()))}, "
                f"where the dictionary finds it, found it in {base.path}: "
                f"make the dictionary beside it, or copy it to {user_folder()}"
            )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) or one.read_bytes() == other.read_bytes()
    except OSError:
        return False


# ---- what is made -----------------------------------------------------------------------------------


def _config(base: ModelInfo, name: str) -> dict[str, Any]:
    """Return the configuration of a dictionary: that of its model, but for what makes it one."""
    mixing = {**base.config["mixing"], "from_length": 1, "dictionary": True}
    if base.phrases:
        mixing["phrases"] = _folder(base.phrases)
    left_out = ("name", "role", "weights", "mixing", "levels", "beside")
    others = {key: value for key, value in base.config.items() if key not in left_out}
    return {"name": name, "role": base.role, "weights": _folder(base.weights), **others, "mixing": mixing}


def _sha256(base: ModelInfo, parts: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of a dictionary, see :class:`bfncodec.ModelInfo`."""
    digest = hashlib.sha256(parts[CONFIG])
    for file in (base.weights, base.phrases):
        digest.update(file.read_bytes() if file else b"")
    digest.update(parts[DICTIONARY])
    return digest.hexdigest()


def _card(base: ModelInfo, name: str, size: int) -> str:
    return (
        f"# {name}\n\nA dictionary of {size:,} bytes for the text model {base.name}, SHA-256\n{base.sha256}.\n\n"
        "`bfncodec compress -m DIR FILE`, DIR being this directory, codes texts as if they came behind\n"
        f"`{DICTIONARY}`, which holds samples as they are: whoever has the directory can read them. Decompressing\n"
        "needs the directory as it is, to the last byte, where models are looked for, and that model beside it or\n"
        "there, too.\n"
    )


def _write(out: Path, parts: Mapping[str, bytes], sha256: str, like: os.stat_result | None) -> None:
    """Write the directory, whole or not at all where there is none yet. Raises OutputError."""
    if not os.path.lexists(out):
        make_folder(out.absolute().parent)
        place_folder(out, {**parts, STATED: f"{sha256}\n".encode()}, like=like)
        return
    try:
        kept = write_model(out, parts, sha256)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from error
    if kept is not None:
        _LOG.info("the model that was in %s is kept as %s: files that it coded need it", out, kept)


# ---- samples ----------------------------------------------------------------------------------------


class _Chosen(NamedTuple):
    """Samples that were chosen, joined."""

    data: bytes
    taken: int  # samples, of so many
    found: int


def _chosen(samples: Iterable[bytes | str], size: int) -> _Chosen:
    """Return samples of at most so many bytes together, in their order, each ending in a newline but the last.

    All of them if they fit; else evenly spread whole ones, the last of which is cut to what is left. Long ones are cut
    to an eighth of all where there are others. Raises InputError where there are none.
    """
    pool, found = _pool(samples, size)
    parts: dict[int, bytes] = {}
    left = size + 1  # the last needs no newline
    for most in (max(size // _SHARE, 1), size):
        for i in _spread(len(pool)):
            before = _room(parts[i]) if i in parts else 0
            head = pool[i][: min(most, before + left - 1)]
            if len(head) > len(parts.get(i, b"")):
                parts[i] = head
                left += before - _room(head)
            if left < 2:
                break
    ordered = [parts[i] for i in sorted(parts)]
    lines = [part if part.endswith(b"\n") else part + b"\n" for part in ordered[:-1]]
    data = b"".join([*lines, ordered[-1]])[:size]
    return _Chosen(data, len(parts), found)


def _room(part: bytes) -> int:
    """Return the bytes that a part of a dictionary takes, with a newline behind it."""
    return len(part) + (not part.endswith(b"\n"))


def _pool(samples: Iterable[bytes | str], size: int) -> tuple[list[bytes], int]:
    """Return samples to choose from, each once and of long ones the heads, and how many there were.

    Of very many they are a part, evenly spread: memory stays bounded. Raises InputError where there are none.
    """
    most, held, stride, found = max(_POOL * size, _LEAST_POOL), 0, 1, 0
    kept: dict[bytes, None] = {}
    for found, sample in enumerate(_as_bytes(samples), 1):
        head = sample[:size]
        if (found - 1) % stride or not head or head in kept:
            continue
        kept[head] = None
        held += len(head) + _OVERHEAD
        if held > most:
            kept, stride = dict.fromkeys(list(kept)[::2]), 2 * stride
            held = sum(map(len, kept)) + _OVERHEAD * len(kept)
    if not kept:
        raise InputError("expected samples, texts like those to come, found none that holds a byte: name more files")
    return list(kept), found


def _as_bytes(samples: Iterable[bytes | str]) -> Iterator[bytes]:
    """Yield samples as bytes. Raises InputError for what is none."""
    if isinstance(samples, (bytes, str)) or not isinstance(samples, Iterable):
        raise InputError(f"expected several samples, found {type(samples).__name__}: pass a list of bytes or str")
    for sample in samples:
        if isinstance(sample, str):
            yield sample.encode(errors="surrogatepass")
        elif isinstance(sample, (bytes, bytearray, memoryview)):
            yield bytes(sample)
        else:
            raise InputError(f"expected samples of bytes or str, found {type(sample).__name__}")


def _spread(count: int) -> Iterator[int]:
    """Yield the numbers below a count in such an order that the first of them, however many, are evenly spread."""
    bits = max(count - 1, 0).bit_length()
    for number in range(1 << bits):
        reverse = int(f"{number:0{bits}b}"[::-1], 2) if bits else 0
        if reverse < count:
            yield reverse
