"""Many objects in joint calls of a codec: the bytes of one by one, fewer calls, errors of the object they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier, Lock, Thread, get_ident
from time import sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bfncodec
from bfncodec.codecs.sources import CodecSource
from bfncodec.errors import DamagedError, InputError
from bfncodec.files.archiving import FileItem, write_archive
from bfncodec.files.options import Options
from bfncodec.runtime.threads import threads_here, torch_threads
from bfncodec.segments.assemble import Decoding
from bfncodec.segments.policy import Policy
from bfncodec.segments.together import SHARE, Task, run_together
from support.doubles import FakeCodec, FakeModels, FakeModelsAndArchive, noise
from support.tiny import MODELS_WIN

TEXTS = [noise(seed, 900).tobytes() for seed in range(4)]
PICTURES = [noise(seed, 40, 30, 3) for seed in range(5)]
OBJECTS = [*PICTURES, *TEXTS, "text", b"", bytearray(b"abc"), np.arange(9.0), Image.fromarray(PICTURES[0]), PICTURES[1]]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("level", [1, 9])
def test_bytes_are_those_of_one_by_one(verify: bool, level: int) -> None:
    alone = [bfncodec.compress(x, level=level, codecs=FakeModels()) for x in OBJECTS]
    models = FakeModels()
    together = bfncodec.compress_many(OBJECTS, level=level, verify=verify, codecs=models)
    assert together == alone
    assert len(models.codecs["image"].batches) == 1
    assert sum(map(len, TEXTS)) in models.codecs["text"].batches


def test_objects_come_back_by_one_call_of_each_codec() -> None:
    models = CountingModels()
    blobs = bfncodec.compress_many(OBJECTS, verify=False, codecs=models)
    models.calls.clear()
    made = bfncodec.decompress_many(blobs, codecs=models)
    assert sorted(models.calls) == ["photo", "text"]
    for found, given in zip(made, OBJECTS, strict=True):
        assert type(found) is (Image.Image if isinstance(given, Image.Image) else type(given))
        assert np.array_equal(np.asarray(found), np.asarray(given))


def test_regions() -> None:
    models = FakeModels()
    large = np.concatenate([noise(1, 512, 512, 3), noise(2, 512, 512, 3)], axis=1)
    blobs = bfncodec.compress_many([large, PICTURES[0]], "photo", verify=False, codecs=models)
    left, whole = bfncodec.decompress_many(blobs, crops=[(5, 6, 7, 8), None], codecs=models)
    assert np.array_equal(left, large[6:14, 5:12])
    assert np.array_equal(whole, PICTURES[0])
    assert models.codecs["image"].decoded == 2
    with pytest.raises(InputError, match="expected as many regions as compressed files, 2, found 1"):
        bfncodec.decompress_many(blobs, crops=[None], codecs=models)


@pytest.mark.slow
def test_calls_are_no_larger_than_codecs_want() -> None:
    models = FakeModels()
    codec = models.codecs["text"]
    texts = [noise(seed, 300_000).tobytes() for seed in range(7)]
    blobs = bfncodec.compress_many(texts, "text", verify=False, codecs=models)
    assert codec.batches == [900_000, 900_000, 300_000]
    assert bfncodec.decompress_many(blobs, codecs=models) == texts


def test_objects_of_many_segments() -> None:
    """The first call waits for others, if it is not as large as the codec wants already; the rest is called at once."""
    models, policy = FakeModels(), Policy(model_tile=64)
    codec = models.codecs["image"]
    codec.capabilities = replace(codec.capabilities, batch=3 * 64 * 64 - 1)
    objects = [np.concatenate([noise(seed, 64, 64, 3) for seed in range(5)]), PICTURES[0]]
    blobs = bfncodec.compress_many(objects, "photo", verify=False, codecs=models, policy=policy)
    assert codec.batches == [8192 + 1200, 8192, 4096]
    assert blobs == [bfncodec.compress(x, "photo", verify=False, codecs=models, policy=policy) for x in objects]
    assert all(map(np.array_equal, bfncodec.decompress_many(blobs, codecs=models), objects))


def test_codecs_of_one_item_at_a_time_do_not_wait() -> None:
    models = FakeModelsAndArchive()
    items = [noise(seed, 20, 4, 4, 3) for seed in range(3)]
    blobs = bfncodec.compress_many(items, "archive", codecs=models, policy=MODELS_WIN)
    assert models.codecs["archive"].batches == [960] * 3
    assert all(map(np.array_equal, bfncodec.decompress_many(blobs, codecs=models), items))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tasks_wait_once_for_others(count: int) -> None:
    runs: list[int] = []

    def task(number: int, codecs: CodecSource) -> list[bytes]:
        runs.append(number)
        text = codecs.named("text")
        return text.decode_batch(text.encode_batch([TEXTS[0], bytes([number])]))

    models = FakeModels()
    made = run_together([partial(task, number) for number in range(count)], models)
    assert made == [[TEXTS[0], bytes([number])] for number in range(count)]
    assert sorted(runs) == sorted(list(range(count)) * (1 if count == 1 else 2))
    assert models.codecs["text"].batches == [count * 901]


def test_tasks_are_finished_side_by_side() -> None:
    """In as many threads as there are: what follows a joint call, comparing with other coders say, takes time, too."""
    both = Barrier(2, timeout=60)

    def task(number: int, codecs: CodecSource) -> bytes:
        [payload] = codecs.named("text").encode_batch([bytes([number])])
        both.wait()
        return payload

    with torch_threads(2):
        assert len(run_together([partial(task, number) for number in range(2)], FakeModels())) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_many_tasks_are_worked_on_in_shares(threads: int) -> None:
    """Shares are of about one size, each with a joint call of its own, of one thread where there are several."""

    def task(number: int, codecs: CodecSource) -> tuple[list[Any], int]:
        [payload] = codecs.named("text").encode_batch([bytes([number % 256])])
        return codecs.named("text").decode_batch([payload]), threads_here()

    models, count = FakeModels(), 3 * SHARE + 2
    with torch_threads(threads):
        made = run_together([partial(task, number) for number in range(count)], models)
    assert made == [([bytes([number % 256])], 1) for number in range(count)]
    assert sorted(models.codecs["text"].batches) == [SHARE, SHARE + 1, SHARE + 1]


def test_what_was_made_is_checked_together() -> None:
    """By a task of each object, which is told its number and what was made of it; an error says whose it is."""

    def make(number: int, codecs: CodecSource) -> bytes:
        return codecs.named("text").encode_batch([bytes([number])])[0]

    def check(number: int, made: bytes, wrong: int, codecs: CodecSource) -> None:
        if codecs.named("text").decode_batch([made]) != [bytes([number])] or number == wrong:
            raise DamagedError("another")

    tasks, models = [partial(make, number) for number in range(5)], CountingModels()
    made = run_together(tasks, models, lambda number, blob: partial(check, number, blob, -1))
    assert models.calls == ["text", "text"]
    assert made == FakeModels().named("text").encode_batch([bytes([number]) for number in range(5)])
    with pytest.raises(DamagedError, match="object 4 of 5: another"):
        run_together(tasks, models, lambda number, blob: partial(check, number, blob, 3))


def test_shares_of_several_calls_take_turns() -> None:
    """As many are worked on at once as each call has threads; a call that a task makes waits for none."""
    models, lock, inside, most = FakeModels(), Lock(), list[int](), list[int]()

    def task(number: int, codecs: CodecSource) -> None:
        with lock:
            inside.append(get_ident())
            most.append(len(set(inside)))
        sleep(0.0002)
        with lock:
            inside.remove(get_ident())

    def calling(codecs: CodecSource) -> None:
        run_together([partial(task, 1)] * 2 * SHARE, models)

    def call(first: Task[None]) -> None:
        with torch_threads(2):
            run_together([first, *[partial(task, 0)] * 3 * SHARE], models)

    others = [Thread(target=call, args=(partial(task, 2),)) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert len(most) == 3 * (3 * SHARE + 1)
    assert max(most) == 2
    call(calling)
    assert len(most) == 3 * (3 * SHARE + 1) + 5 * SHARE


def test_codecs_with_threads_of_their_own_are_called_by_one_alone() -> None:
    calls: list[int] = []

    class Noting(FakeCodec):
        def encode_batch(self, xs: Sequence[Any], *args: Any, **options: Any) -> list[bytes]:
            calls.append(threads_here())
            return super().encode_batch(xs, *args, **options)

    class Models(FakeModels):
        threads = 1

    models = Models()
    models.codecs["text"] = Noting("text")
    with torch_threads(2):
        run_together([lambda *, codecs: codecs.named("text").encode_batch([b"a"])] * 2 * SHARE, models)
    assert calls == [2, 2]


def test_files_are_opened_once() -> None:
    """Tasks are run twice, but the checksums of a file need not be."""
    blobs = bfncodec.compress_many(PICTURES, "photo", codecs=FakeModels())
    alone, beside = ([Reads(blob) for blob in blobs[:count]] for count in (1, 2))
    for files in (alone, beside):
        run_together([Decoding(file) for file in files], FakeModels())
    assert beside[0].asked == alone[0].asked


def test_files_in_an_archive_are_verified_in_one_call(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, pixels in zip(paths, PICTURES, strict=False):
        Image.fromarray(pixels).save(path)
    models = CountingModels()
    write_archive(tmp_path / "a.bfn", map(FileItem, paths), Options(model="photo"), models)
    assert models.calls == ["photo", "photo"]


# ---- errors -----------------------------------------------------------------------------------


def test_errors_say_whose_they_are() -> None:
    with pytest.raises(InputError, match=r"^object 2 of 3: expected bytes"):
        bfncodec.compress_many([b"a", {1, 2}, b"b"], "none")
    with pytest.raises(DamagedError, match=r"^object 3 of 3: "):
        bfncodec.decompress_many([*bfncodec.compress_many([b"a", b"b"], "none"), bfncodec.compress(b"c", "none")[:-1]])


def test_an_error_in_a_joint_call_is_of_the_object_that_has_it() -> None:
    models = CountingModels(refused=PICTURES[3].tobytes())
    with pytest.raises(InputError, match=r"^object 4 of 5: not this one$"):
        bfncodec.compress_many(PICTURES, "photo", codecs=models)
    assert len(models.calls) == 1 + len(PICTURES)


@pytest.mark.parametrize("given", [b"abc", "abc", {"a": b"abc"}, 7])
def test_one_object_is_no_list(given: Any) -> None:
    with pytest.raises(InputError, match="expected a list of objects"):
        bfncodec.compress_many(given)
    with pytest.raises(InputError, match="expected a list of compressed files"):
        bfncodec.decompress_many(given)


def test_nothing_at_all() -> None:
    assert bfncodec.compress_many([]) == []
    assert bfncodec.decompress_many(iter([])) == []


# ---- files and codecs that count ------------------------------------------------------------------------


class Reads(bytes):
    """Bytes that count how often the first two are asked for."""

    asked = 0

    def __getitem__(self, span: Any) -> Any:
        self.asked += span == slice(None, 2)
        return super().__getitem__(span)


class CountingModels(FakeModels):
    """Codecs that note whose batches are called, and refuse one picture."""

    def __init__(self, refused: bytes = b"") -> None:
        super().__init__()
        self.calls: list[str] = []
        self.codecs = {role: _Counting(role, self.calls, refused) for role in self.codecs}


class _Counting(FakeCodec):
    def __init__(self, role: str, calls: list[str], refused: bytes) -> None:
        super().__init__(role)
        self.calls, self.refused = calls, refused

    def encode_batch(self, xs: Sequence[Any], *args: Any, **options: Any) -> list[bytes]:
        self.calls.append(self.info.name)
        if any(not isinstance(x, bytes) and x.tobytes() == self.refused for x in xs):
            raise InputError("not this one")
        return super().encode_batch(xs, *args, **options)

    def decode_batch(self, payloads: Sequence[bytes], *args: Any, **options: Any) -> list[Any]:
        self.calls.append(self.info.name)
        return super().decode_batch(payloads, *args, **options)
