"""Ray: columns of datasets, and the files of folders and buckets, compressed by the workers of a cluster.

:class:`Compress` and :class:`Decompress` are for ``Dataset.map_batches``; an actor of theirs loads a model once.
:func:`compress_files` and :func:`decompress_files` spread files. Ray starts an actor again that died, and repeats what
it had not finished; a file is there whole or not at all, so nothing is lost and nothing is done twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import fsspec.core
import numpy as np
import pyarrow.fs
import ray.data

from bfncodec.api import Models, compress_many, decompress_many
from bfncodec.errors import BfncodecError, InputError, OutputError
from bfncodec.files.atomic import LEFTOVER, is_leftover, leftover_name, make_folder, place
from bfncodec.files.data import decode_data, encode_source, taken
from bfncodec.files.names import compressed_name, decompressed_name, has_suffix, others_by_name
from bfncodec.files.options import Options
from bfncodec.files.sources import walk
from bfncodec.files.verify import verify
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_flags, check_model, whole_number

__all__ = ["Compress", "Decompress", "Done", "compress_files", "decompress_files"]

PassedOver = Callable[[str, str], None]
Batch = dict[str, Any]
"""A batch of Ray Data in its format "numpy": columns by their names."""

_FILES_A_TASK = 8  # at most: what a worker that dies has to look at again, and one of them to do again
_OBJECTS = ("s3", "gcs", "abfs")  # stores in which an object is not there before it is closed
_TASKS_A_WORKER = 4  # at least, where there are files enough: the last worker is not long alone


class Compress:
    """An actor that makes a column of objects one of compressed objects.

    column: its name; texts, bytes or arrays as :func:`bfncodec.compress` takes them, such as pictures [H, W, C] uint8.
    into: the name of the new column, by default the same. model, level, verify, device: as there. threads: by default
    one, since Ray runs as many actors as there are processors. Raises InputError for what an argument cannot be.

    >>> dataset.map_batches(
    ...     Compress,
    ...     fn_constructor_kwargs={"column": "image"},
    ...     compute=ray.data.ActorPoolStrategy(size=2),
    ...     num_cpus=1,
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        column: str,
        into: str | None = None,
        model: str = "auto",
        level: int = DEFAULT_LEVEL,
        verify: bool = True,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        check_model(model)
        check_level(level)
        check_flags(verify=verify)
        self._column, self._into = column, into or column
        self._compress = partial(compress_many, model=model, level=level, verify=verify, codecs=Models(device, threads))

    def __call__(self, batch: Batch) -> Batch:
        """Return a batch with the compressed column. Raises InputError for a column that is not there."""
        return _with(batch, self._column, self._into, _objects(self._compress(list(_column(batch, self._column)))))


class Decompress:
    """An actor that makes a column of compressed objects one of the objects; arguments as for :class:`Compress`.

    Arrays of one shape and type become one array, as Ray stacks them, other objects a column of objects.
    """

    def __init__(self, column: str, into: str | None = None, device: str = "cpu", threads: int = 1) -> None:
        self._column, self._into = column, into or column
        self._codecs = Models(device, threads)

    def __call__(self, batch: Batch) -> Batch:
        """Return a batch with the decompressed column. Raises a FormatError for what is no compressed object."""
        found = decompress_many(list(_column(batch, self._column)), codecs=self._codecs)
        alike = len({(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in found}) == 1
        stacked = np.stack(found) if alike and isinstance(found[0], np.ndarray) else _objects(found)
        return _with(batch, self._column, self._into, stacked)


@dataclass(frozen=True)
class Done:
    """Outcome for one file.

    Attributes
    ----------
    source, target
        Where it was, and where the result is: paths or URLs.
    source_bytes, target_bytes
        Their sizes; the second is 0 where it failed.
    state
        "done"; "kept", where the target was there already and is no older than the source; or "failed", as where it was
        there and is older.
    message
        Of what failed, why.
    worker
        Process that did it.
    """

    source: str
    target: str
    source_bytes: int
    target_bytes: int = 0
    state: str = "done"
    message: str = ""
    worker: int = 0


def compress_files(
    sources: Sequence[str],
    target: str,
    options: Options | None = None,
    *,
    workers: int = 2,
    passed_over: PassedOver | None = None,
    **resources: Any,
) -> Iterator[Done]:
    """Compress files, and those in folders, by the workers of a Ray cluster; yield what came of each, in any order.

    sources, target: paths, or URLs of whatever pyarrow opens (``s3://``, ``gs://``, ``abfs://``, ``hdfs://``) or else
    fsspec; the target is a folder, in which files lie as they did in theirs, with .bfn behind their names. options:
    model, level, exact, verify and the like; ``force`` does again what is there, and without it nothing is replaced.
    passed_over: called with the path of what is left out of a folder, and with what it is: links, which are not
    followed, what is no file, and files that are compressed already. resources: of a worker, as for ``map_batches``,
    such as ``num_gpus=1`` for models on a GPU; one processor, and a thread for each, is the default. The cluster is the
    one that runs, the one that RAY_ADDRESS names, or one of this machine.

    A call that was broken off goes on where it stopped when it is made again. Raises InputError for sources that are
    not there, have one target, or are the target.
    """
    jobs = _jobs(sources, target, True, passed_over)
    return _spread(jobs, options or Options(), workers, resources, compresses=True)


def decompress_files(
    sources: Sequence[str],
    target: str,
    options: Options | None = None,
    *,
    workers: int = 2,
    passed_over: PassedOver | None = None,
    **resources: Any,
) -> Iterator[Done]:
    """Decompress files that end in .bfn, and those in folders: the way back of :func:`compress_files`, and like it."""
    jobs = _jobs(sources, target, False, passed_over)
    return _spread(jobs, options or Options(), workers, resources, compresses=False)


def _spread(
    found: Sequence[_Job], options: Options, workers: int, resources: Mapping[str, Any], compresses: bool
) -> Iterator[Done]:
    whole_number(workers, "workers")
    if options.remove:
        raise InputError("files that a cluster compresses stay where they are: leave out the removal")
    jobs = [asdict(job) for job in found]
    if not jobs:
        return iter(())
    resources = {"num_cpus": 1} | dict(resources)
    device = "cuda" if resources.get("num_gpus") else "cpu"
    tasks = max(-(-len(jobs) // _FILES_A_TASK), min(len(jobs), workers * _TASKS_A_WORKER))
    results = ray.data.from_items(jobs, override_num_blocks=tasks).map_batches(
        _Files,
        fn_constructor_args=(options, compresses, device, max(int(resources["num_cpus"]), 1)),
        compute=ray.data.ActorPoolStrategy(size=min(workers, tasks)),
        batch_size=None,
        **resources,
    )
    return (Done(**row) for row in results.iter_rows())


class _Files:
    """An actor that compresses or decompresses files, each of which fails alone."""

    def __init__(self, options: Options, compresses: bool, device: str, threads: int) -> None:
        self._options, self._codecs = options, Models(device, threads)
        self._made: Callable[[bytes], bytes] = self._compressed if compresses else self._decompressed

    def __call__(self, batch: Batch) -> Batch:
        jobs = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        rows = [asdict(self._do(_Job(**{name: str(value) for name, value in job.items()}))) for job in jobs]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _do(self, job: _Job) -> Done:
        done = Done(job.source, job.target, 0, worker=os.getpid())
        try:
            given, there = _Place.of(job.root, job.inside), _Place.of(job.folder, job.name)
            before, like = given.state, given.stat
            data = given.read()
            done = replace(done, source_bytes=len(data))
            if not self._options.force and there.info.type != pyarrow.fs.FileType.NotFound:
                there.check_newer_than(given)
                return replace(done, target_bytes=there.size, state="kept")
            made = self._made(data)
            if given.state != before:  # else what is there would be newer than the change, and be kept
                raise InputError("was changed while it was read: try again when no other program writes to it")
            there.write(made, like, self._options.force)
        except (BfncodecError, OSError) as error:
            return replace(done, source_bytes=0, state="failed", message=str(error))
        return replace(done, target_bytes=len(made))

    def _compressed(self, data: bytes) -> bytes:
        blob, content = encode_source(data, self._options, self._codecs)
        if self._options.verify:
            verify(blob, content, self._codecs, None, taken(data, self._options))
        return blob

    def _decompressed(self, blob: bytes) -> bytes:
        made, _ = decode_data(blob, self._options, self._codecs)
        if isinstance(made, dict):
            raise InputError("expected a file, found a folder in one: decompress it on one machine")
        return made


# ---- where files are --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A file or folder on whatever pyarrow opens, or else fsspec."""

    system: Any
    path: str

    @classmethod
    def of(cls, url: str, inside: str = "") -> _Place:
        """Return the place of a path or URL, or of what lies below it. Raises InputError for one that nothing opens."""
        if "://" not in url:
            found = cls(pyarrow.fs.LocalFileSystem(), str(Path(url).absolute()))
        else:
            try:
                found = cls(*pyarrow.fs.FileSystem.from_uri(url))
            except (pyarrow.ArrowException, ValueError):
                found = cls._of_fsspec(url)
        return replace(found, path=f"{found.path.rstrip('/')}/{inside}") if inside else found

    @classmethod
    def _of_fsspec(cls, url: str) -> _Place:
        try:
            system, path = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InputError(f"expected a path or a URL that pyarrow or fsspec opens, found {url}: {error}") from error
        return cls(pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(system)), path)

    @property
    def is_local(self) -> bool:
        return isinstance(self.system, pyarrow.fs.LocalFileSystem)

    @property
    def info(self) -> Any:
        return self.system.get_file_info(self.path)

    @property
    def size(self) -> int:
        return self.info.size or 0

    @property
    def state(self) -> tuple[Any, Any]:
        """Size and time of a file, as far as they are known, which change with its content."""
        info = self.info
        return info.size, info.mtime_ns

    @property
    def stat(self) -> os.stat_result | None:
        """Return what the system says of a file of this machine, None of others."""
        return Path(self.path).stat() if self.is_local else None

    def check_newer_than(self, source: _Place) -> None:
        """Raise OutputError for a file that is older than the one it would be made of: it may hold something else."""
        mine, theirs = self.info.mtime_ns, source.info.mtime_ns
        if mine is not None and theirs is not None and mine < theirs:
            raise OutputError(
                f"{self.path} exists already, and is older than its source",
                python="Options(force=True) replaces it",
                command="use -f to replace it",
            )

    def read(self) -> bytes:
        with self.system.open_input_stream(self.path) as file:
            return bytes(file.read())

    def write(self, data: bytes, like: os.stat_result | None, force: bool) -> None:
        """Write a file that is there whole or not at all.

        force: replace one that came there on this machine meanwhile. like: file of this machine that it was made of,
        whose permissions and time it gets where it is on this machine.
        """
        path = Path(self.path)
        if self.is_local:
            make_folder(path.parent)
            place(path, data, force=force, like=like)
        elif self.system.type_name in _OBJECTS:
            self._write(self.path, data)
        else:
            beside = leftover_name(path, "part").as_posix()
            self.system.create_dir(path.parent.as_posix(), recursive=True)
            self._write(beside, data)
            self.system.move(beside, self.path)

    def _write(self, path: str, data: bytes) -> None:
        with self.system.open_output_stream(path) as file:
            file.write(data)

    def files(self, passed_over: PassedOver) -> Iterator[str]:
        """Yield the place of every file below a folder; of a file none, "". Raises InputError where nothing is.

        Links of this machine may lead out of the folder, and back into it for ever: they are passed over.
        """
        info = self.info
        if info.is_file:
            yield ""
            return
        if info.type == pyarrow.fs.FileType.NotFound:
            raise InputError(f"expected a file or folder, found nothing at {self.path}")
        if self.is_local:
            folder = Path(self.path)
            yield from (path.relative_to(folder).as_posix() for path in walk(folder, passed_over))
            return
        selector = pyarrow.fs.FileSelector(self.path, recursive=True)
        for found in sorted(self.system.get_file_info(selector), key=lambda each: each.path):
            if found.is_file:
                yield os.path.relpath(found.path, self.path)


@dataclass(frozen=True)
class _Job:
    """A file that is to be done.

    root, inside: path or URL that was given, and the place of the file below it, "" for the file itself. folder, name:
    of the target, and the place below it.
    """

    root: str
    inside: str
    folder: str
    name: str

    @property
    def source(self) -> str:
        return _below(self.root, self.inside) if self.inside else self.root

    @property
    def target(self) -> str:
        return _below(self.folder, self.name)


def _below(folder: str, name: str) -> str:
    """Return the path or URL of what lies in a folder.

    >>> _below("/tiles/", "a.png"), _below("s3://bucket/tiles?region=eu-west-1", "a.png")
    ('/tiles/a.png', 's3://bucket/tiles/a.png?region=eu-west-1')
    """
    path, mark, asked = folder.partition("?") if "://" in folder else (folder, "", "")
    return f"{path.rstrip('/')}/{name}{mark}{asked}"


def _jobs(sources: Iterable[str], target: str, compresses: bool, passed_over: PassedOver | None = None) -> list[_Job]:
    """Return what is to be done. Raises InputError before any of it where two files have one target."""
    name = compressed_name if compresses else decompressed_name
    out = _Place.of(target)
    if out.info.is_file:
        raise InputError(f"expected a folder to put files in, found a file: {target}")
    jobs, skip = dict[str, _Job](), passed_over or (lambda path, what: None)
    for url in sources:
        given, others = _Place.of(url), list[Path]()
        for inside in given.files(skip):
            below = Path(inside or Path(given.path).name)
            if inside and is_leftover(below.name):
                skip(_below(url, inside), LEFTOVER)
                continue
            if inside and has_suffix(below) is compresses:  # of files that were named it is said that they cannot be
                others.append(below)
                continue
            job = _Job(_everywhere(url), inside, _everywhere(target), name(below).as_posix())
            if job.name in jobs:
                raise InputError(
                    f"{job.source} and {jobs[job.name].source} would both become {job.target}: nothing was done"
                )
            jobs[job.name] = job
        if others:
            skip(url, others_by_name(others))
    return list(jobs.values())


def _everywhere(url: str) -> str:
    """Return a path or URL as workers understand it, who may be in another folder."""
    return url if "://" in url else str(Path(url).absolute())


def _column(batch: Batch, name: str) -> Any:
    if name not in batch:
        raise InputError(f"expected a column {name}, found {', '.join(batch)}")
    return batch[name]


def _objects(values: Sequence[Any]) -> Any:
    """Return a column of objects, whatever shapes they have."""
    column = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):  # all at once NumPy would make one array of arrays that are alike
        column[number] = value
    return column


def _with(batch: Batch, column: str, into: str, values: Any) -> Batch:
    return {name: each for name, each in batch.items() if name != column or into != column} | {into: values}
