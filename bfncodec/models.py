"""Models on disk: a directory with config.json, model.safetensors and a card, named by the SHA-256 of the first two.

A model may have its weights from another one, the name of whose directory its config says as "weights"; it lies beside
its own or on the search path. One of texts may have phrases, in the directory of the name that "phrases" of "mixing"
says, and with "dictionary" of "mixing" a dictionary of its own; both count for the SHA-256.

Imports neither torch nor numpy: listing models is instant. A published model is immutable: files name it by the
first four bytes of its hash.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bfncodec.errors import InputError, ModelError, ModelNotFoundError
from bfncodec.forks import cached_property

CONFIG, WEIGHTS, PHRASES, STATED = "config.json", "model.safetensors", "phrases.safetensors", "model.sha256"
DICTIONARY, LARGEST_DICTIONARY = "dictionary.bin", 1 << 18  # bytes
REGISTRY = Path(__file__).resolve().parent / "registry.json"
"""Published models: name, SHA-256, bytes of weights and configuration, and where each is."""
ROLES = ("image", "text", "archive")
ID_BYTES = 4
COMPRESSION_LEVELS = (1, 9)
"""From the fastest to the smallest results."""
DEFAULT_LEVEL = 5
_MOST_VALUES, _LARGEST = 1 << 16, 1 << 53  # of a list in a configuration, of a number
_FALLBACKS = {"image": "photo", "text": "text"}


@dataclass(frozen=True)
class ModelInfo:
    """One model directory."""

    path: Path
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def role(self) -> str:
        """Role of the model: "image", "text", or "archive" for many items of one shape."""
        return str(self.config["role"])

    @property
    def levels(self) -> tuple[int, int] | None:
        """First and last level at which the model is a default; None if it states none."""
        stated = self.config.get("levels")
        return (stated[0], stated[1]) if stated else None

    @property
    def beside(self) -> str | None:
        """Name of the model that codes other pictures of the kind: unasked, an encoder may try this one, too."""
        return self.config.get("beside")

    @property
    def weights(self) -> Path:
        """File of the weights: the model's own, or that of the model whose weights it shares."""
        return self._chosen.weights

    @property
    def phrases(self) -> Path | None:
        """File of the phrases that texts are mixed with; None if there are none."""
        return self._chosen.phrases

    @property
    def dictionary(self) -> Path | None:
        """File of the bytes that texts are coded as if they came behind; None if there are none."""
        return self.path / DICTIONARY if _mixing(self.config, "dictionary") is True else None

    @property
    def files(self) -> list[Path]:
        """Files that decide over what the model writes: its configuration, its weights, and, if it has any, phrases and
        a dictionary.
        """
        return self._files(self._chosen.weights, self._chosen.phrases)

    def _files(self, weights: Path, phrases: Path | None) -> list[Path]:
        return [part for part in (self.path / CONFIG, weights, phrases, self.dictionary) if part]

    @cached_property
    def _chosen(self) -> _Shared:
        """Files that the model may share. Of several that have their names, those that give the SHA-256 it states: the
        model whose they were may have been trained anew, or another of its name may stand before it.
        """
        weights, phrases = map(list, self.candidates())
        choices = [_Shared(a, b) for a in weights for b in phrases or (None,)]
        stated = _stated(self) if len(choices) > 1 else ""
        for choice in choices if stated else []:
            with suppress(OSError):
                if _digest(self._files(choice.weights, choice.phrases)) == stated:
                    return choice._replace(sha256=stated)
        return choices[0]

    def candidates(self) -> tuple[Iterator[Path], Iterator[Path]]:
        """Files there are that may be its weights and its phrases, those to be preferred first."""
        weights, phrases = self.config.get("weights"), _mixing(self.config, "phrases")
        return (
            self._named(str(weights), WEIGHTS) if weights else iter([self.path / WEIGHTS]),
            self._named(str(phrases), PHRASES) if phrases else iter([]),
        )

    def _named(self, folder: str, file: str) -> Iterator[Path]:
        """Files there are in folders of a name: the model's own or one beside it, those on the search path, then models
        of that name that were replaced and kept. Where there is none it is one that is missing.
        """
        found = set[tuple[int, int]]()
        for path in self._places(folder, file):
            if (identity := _file_at(path)) and identity not in found:
                found.add(identity)
                yield path
                if path.parent == self.path:
                    return
        if not found:
            yield self.path.absolute().parent / folder / file

    def _places(self, folder: str, file: str) -> Iterator[Path]:
        """Paths at which a file in a folder of a name is looked for, in this order."""
        if folder == self.path.name:
            yield self.path / file
        yield self.path.absolute().parent / folder / file
        real = self.path.resolve()
        if folder == real.name:
            yield self.path / file
        places = [real.parent, *search_path()]
        yield from (place / folder / file for place in places)
        kept = f"{glob.escape(folder)}-{'[0-9a-f]' * 2 * ID_BYTES}/{file}"
        for place in places:
            yield from sorted(place.glob(kept))

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of config.json followed by the weights' file, and those of phrases and a dictionary."""
        try:
            return self._chosen.sha256 or _digest(self.files)
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read ({error}); export the model again") from error

    def read_dictionary(self) -> bytes:
        """Return the bytes of the dictionary, none where there is none. Raises ModelError for none or too many."""
        if self.dictionary is None:
            return b""
        try:
            data = self.dictionary.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.dictionary}: cannot be read ({error}); make the dictionary again") from error
        _check_length(self.dictionary, len(data))
        return data

    @property
    def id(self) -> bytes:
        """The four bytes that files carry."""
        return bytes.fromhex(self.sha256)[:ID_BYTES]

    def check(self) -> None:
        """Raise ModelError where the directory says that its model has another hash: a byte of it has changed.

        Such a model would code files that nobody else can decode, and decode none.
        """
        try:
            stated = (self.path / STATED).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.path / STATED}: cannot be read ({error}); install the model again") from error
        if stated != self.sha256:
            shared = " and ".join(str(file) for file in self.files if file.parent != self.path)
            others = f", or {shared}, which it shares, of another model" if shared else ""
            raise ModelError(
                f"{self.path}: expected a model of SHA-256 {stated}, found {self.sha256}: its files are damaged or "
                f"were changed{others}; install or export it again"
            )


class _Shared(NamedTuple):
    """Files that a model may have from others."""

    weights: Path
    phrases: Path | None
    sha256: str = ""  # of the model with these, where that was looked at


@dataclass(frozen=True)
class Published:
    """A published model, as the registry tells of it. size: bytes of its configuration and its weights."""

    name: str
    sha256: str
    size: int
    where: str


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """Return the published models that this release knows of."""
    return tuple(Published(**entry) for entry in json.loads(REGISTRY.read_text(encoding="utf-8")))


def search_path() -> list[Path]:
    """Return the folders that hold models; the first match wins.

    They are $BFNCODEC_MODELS, the user's, the package's own and the checkout's.
    """
    named = [Path(p) for p in os.environ.get("BFNCODEC_MODELS", "").split(os.pathsep) if p]
    package = Path(__file__).resolve().parent
    return [*named, user_folder(), package / "_models", package.parent / "models"]


def user_folder() -> Path:
    """Return the folder for models of the user's own."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "bfncodec" / "models"


def is_found(info: ModelInfo) -> bool:
    """Return whether a model lies on the search path, so that files which need it decompress."""
    return info.path.resolve().parent in [folder.resolve() for folder in search_path()]


def read(path: str | Path) -> ModelInfo:
    """Return the model in a directory. Raises ModelError if it is incomplete or its configuration cannot be read."""
    path = Path(path)
    file = path / CONFIG
    _expect(file, path)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        _check_values(config)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read ({error}); export the model again") from error
    if (
        not isinstance(config, dict)
        or not isinstance(config.get("name"), str)
        or not config["name"].isprintable()
        or config.get("role") not in ROLES
        or not isinstance(config.get("network"), dict)
    ):
        raise ModelError(f"{file}: expected name, role ({' or '.join(ROLES)}) and network; export the model again")
    if config.get("levels") is not None and not _are_levels(config["levels"]):
        raise ModelError(
            f"{file}: expected levels [first, last] from {COMPRESSION_LEVELS[0]} to {COMPRESSION_LEVELS[1]}, "
            f"found {config['levels']}; export the model again"
        )
    if config.get("beside") is not None and not isinstance(config["beside"], str):
        raise ModelError(
            f"{file}: expected beside to be the name of a model, found {config['beside']!r}; export the model again"
        )
    if config.get("weights") is not None and not _is_folder(config["weights"]):
        raise ModelError(
            f"{file}: expected weights to be the name of the model beside this one that it has them from, "
            f"found {config['weights']!r}; export the model again"
        )
    _check_mixing(file, config)
    info = ModelInfo(path, config)
    for part in (*(next(found, None) for found in info.candidates()), info.dictionary):
        if part:
            _expect(part, path)
    if info.dictionary:
        with suppress(FileNotFoundError):  # as long as it was there
            _check_length(info.dictionary, info.dictionary.stat().st_size)
    return info


def _check_mixing(file: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError where a configuration says of phrases or a dictionary what cannot be."""
    phrases, dictionary = (_mixing(config, key) for key in ("phrases", "dictionary"))
    if phrases is not None and not _is_folder(phrases):
        raise ModelError(
            f"{file}: expected phrases to be the name of the model beside this one that it has them from, or its own, "
            f"found {phrases!r}; export the model again"
        )
    if dictionary is not None and not isinstance(dictionary, bool):
        raise ModelError(
            f"{file}: expected dictionary to be true where the model has one, or false, found {dictionary!r}; "
            "make the dictionary again"
        )


def _mixing(config: Mapping[str, Any], key: str) -> object:
    """Return what a configuration says of one thing of mixing, None if nothing."""
    mixing = config.get("mixing")
    return mixing.get(key) if isinstance(mixing, dict) else None


def _check_length(file: Path, size: int) -> None:
    """Raise ModelError for a dictionary of more or fewer bytes than one may have."""
    if not 1 <= size <= LARGEST_DICTIONARY:
        raise ModelError(
            f"{file}: expected a dictionary of 1 to {LARGEST_DICTIONARY:,} bytes, found {size:,}; "
            "make the dictionary again, or copy it again from where it was made"
        )


def _digest(files: Iterable[Path]) -> str:
    """Return the SHA-256 of files one after the other."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _check_values(tree: object) -> None:
    """Raise ValueError for numbers and lists that no model has, and that would keep a reader busy for ever."""
    if isinstance(tree, (list, dict)):
        if len(tree) > _MOST_VALUES:
            raise ValueError(f"expected at most {_MOST_VALUES} values in a list, found {len(tree)}")
        for value in tree if isinstance(tree, list) else tree.values():
            _check_values(value)
    elif isinstance(tree, (int, float)) and not abs(tree) <= _LARGEST:
        raise ValueError(f"expected numbers up to {_LARGEST}, found {'another' if isinstance(tree, int) else tree}")


def _expect(file: Path, path: Path) -> None:
    """Raise ModelError where a file that the model of a directory needs is missing."""
    try:
        found = file.is_file()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error}); export the model again") from error
    if not found and file.parent.resolve() != path.resolve():
        raise ModelError(
            f"{path}: the model shares {file.name} with another one, and {file} is missing; copy that model, too, "
            f"beside it or into one of {', '.join(map(str, search_path()))}"
        )
    if not found:
        raise ModelError(
            f"{path}: a model directory holds {CONFIG} and {WEIGHTS}, {file} is missing; export the model again"
        )


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from others, None if there is none that can be asked for."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _is_folder(value: object) -> bool:
    """Return whether this names a directory beside a model's own, and nothing elsewhere."""
    return isinstance(value, str) and value.isprintable() and value == Path(value).name and value not in ("", ".", "..")


def _are_levels(value: object) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and all(type(level) is int for level in value)
    return pair and COMPRESSION_LEVELS[0] <= value[0] <= value[1] <= COMPRESSION_LEVELS[1]  # type: ignore[index]


def available() -> list[ModelInfo]:
    """Return the models on the search path, by name; of two with one name the first found."""
    return sorted(_by_name().values(), key=lambda info: info.name)


def find(name_or_id: str | bytes | Path) -> ModelInfo:
    """Return a model by name, by identity (4 bytes, or 8 or more hex digits) or by directory.

    Raises ModelNotFoundError, ModelError for a broken directory.
    """
    if isinstance(name_or_id, Path) or (isinstance(name_or_id, str) and os.sep in name_or_id):
        return read(name_or_id)
    models = _everything()
    if isinstance(name_or_id, bytes):
        return matching(name_or_id)[0]
    wanted = name_or_id
    matches = [m for m in models if m.name == wanted] or [
        m for m in models if len(wanted) >= 2 * ID_BYTES and _hash_of(m).startswith(wanted.lower())
    ]
    if not matches:
        raise _missing(wanted, models, wanted.lower())
    return matches[0]


def matching(identity: bytes, known: Sequence[ModelInfo] = ()) -> list[ModelInfo]:
    """Return all models whose SHA-256 begins with some bytes, at least one: of four bytes there may be several.

    known: models that have been hashed, which are not read again. A model that alone says that it is the right one is
    not hashed here: loading it does that, and refuses one that has been changed. Models of one SHA-256 are one. Raises
    ModelNotFoundError, which names the model where it is a published one.
    """
    paths = {info.path for info in known}
    models, wanted = [*known, *(info for info in _everything() if info.path not in paths)], identity.hex()
    stating = [model for model in models if _may_have(model, wanted)]  # hashing all takes longer than coding a text
    if len(identity) >= ID_BYTES and len(stating) == 1 and _stated(stating[0]):
        return stating
    found = _with_hash(stating, wanted) or _with_hash(models, wanted)
    if found and len(identity) >= ID_BYTES:
        return list(reversed(found.values()))
    one = next((model for model in published() if model.sha256.startswith(wanted)), None)
    raise _missing(f"{one.name} (SHA-256 {one.sha256}, {one.where})" if one else wanted, models, wanted)


def _may_have(info: ModelInfo, wanted: str) -> bool:
    """Return whether a model says that its SHA-256 begins with some digits, or does not say."""
    stated = _stated(info)
    return not stated or stated.startswith(wanted)


def _stated(info: ModelInfo) -> str:
    """Return the SHA-256 that a model says it has, "" if it does not say."""
    try:
        return (info.path / STATED).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _with_hash(models: list[ModelInfo], wanted: str) -> dict[str, ModelInfo]:
    """Return the models whose SHA-256 begins with some digits, by it, the last first; of equal ones the first."""
    return {_hash_of(model): model for model in reversed(models) if _hash_of(model).startswith(wanted)}


def default(role: str, level: int = DEFAULT_LEVEL) -> ModelInfo:
    """Return the model for a role, "image" or "text", at a level if the caller names none.

    It is the first on the search path whose levels hold the level; else the one called "photo" or "text" that states
    none; else the nearest. Raises InputError for what is no level, ModelNotFoundError if there is no model.
    """
    check_level(level)
    serving = [info for info in _by_name().values() if info.role == role]
    stated = [(info, info.levels) for info in serving if info.levels]
    nearest = sorted(stated, key=lambda item: _distance(level, item[1]))  # stable: the search path decides
    others = [info for info in serving if not info.levels and info.name == _FALLBACKS[role]]
    if nearest and (not others or not _distance(level, nearest[0][1])):
        return nearest[0][0]
    if not others:
        raise _missing(_FALLBACKS[role], serving)
    return others[0]


def beside(info: ModelInfo) -> list[ModelInfo]:
    """Return the models that an encoder may try beside one of the same role, by name."""
    return [other for other in available() if other.role == info.role and other.beside == info.name]


def served_levels() -> dict[Path, list[int]]:
    """Return the levels at which each model, by its directory, is used unasked."""
    found: dict[Path, list[int]] = {}
    for role in _FALLBACKS:
        for level in range(COMPRESSION_LEVELS[0], COMPRESSION_LEVELS[1] + 1):
            with suppress(ModelNotFoundError):
                first = default(role, level)
                for info in (first, *beside(first)):
                    found.setdefault(info.path, []).append(level)
    return found


def _hash_of(info: ModelInfo) -> str:
    """Return a model's SHA-256, "" if it cannot be read: one broken model must not hide the others."""
    try:
        return info.sha256
    except ModelError:
        return ""


def _distance(level: int, levels: tuple[int, int]) -> int:
    return max(levels[0] - level, level - levels[1], 0)


def _missing(wanted: str, found: list[ModelInfo], identity: str = "") -> ModelNotFoundError:
    """Return the error of a model that is not there; of one that is, but not whole, it says what is wrong."""
    for path, error in broken():
        stated = _stated(ModelInfo(path, {})) if len(identity) >= 2 * ID_BYTES else ""
        if path.name == wanted or (stated and stated.startswith(identity)):
            return ModelNotFoundError(f"model {wanted} cannot be used: {error}")
    known = ", ".join(f"{m.name} ({m.id.hex()})" for m in found) or "none"
    return ModelNotFoundError(
        f"model {wanted} is not on this machine; found {known}. Put its directory into one of: "
        f"{', '.join(map(str, search_path()))}"
    )


def check_level(level: int) -> None:
    """Raise InputError for what is no level."""
    fast, small = COMPRESSION_LEVELS
    if type(level) is not int or not fast <= level <= small:
        raise InputError(f"expected a level from {fast} (fast) to {small} (small), found {level!r}")


def _by_name() -> dict[str, ModelInfo]:
    """Return the models in the order of the search path; of two with one name the first found."""
    found: dict[str, ModelInfo] = {}
    for info in _everything():
        found.setdefault(info.name, info)
    return found


def _everything() -> list[ModelInfo]:
    """Return the models in all directories on the search path, also those whose name is taken by an earlier one.

    Directories that are no whole models are passed over: one broken model must not hide the others.
    """
    found = []
    for path in _directories():
        with suppress(ModelError):
            found.append(read(path))
    return found


def broken() -> list[tuple[Path, ModelError]]:
    """Return the directories on the search path that are no whole models, and what is wrong with each."""
    found = []
    for path in _directories():
        try:
            read(path)
        except ModelError as error:
            found.append((path, error))
    return found


def _directories() -> Iterator[Path]:
    """Yield the directories on the search path that have a configuration."""
    for folder in search_path():
        yield from (config.parent for config in sorted(folder.glob(f"*/{CONFIG}")))
