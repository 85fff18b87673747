"""Many objects in few calls of a model: what each asks of its codec is answered for all of them together.

A model takes far less time for many small items at once than for one after the other, above all to decode them. So
whatever codes an object, a task here, is run until it asks a codec for payloads, or for the items of payloads; then the
codec is asked for all tasks at once; then each task is run again, in as many threads as there are, and finds its
answer. What is done twice is the work before a codec is asked, which is little where objects are small. Objects that
fill a call alone do not wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from bfncodec.codecs.protocol import Codec
from bfncodec.codecs.sources import CodecSource, codecs_beside
from bfncodec.codecs.threads import in_order
from bfncodec.errors import BfncodecError
from bfncodec.models import DEFAULT_LEVEL
from bfncodec.runtime.progress import Progress
from bfncodec.runtime.threads import has_a_turn, in_turn, threads_here
from bfncodec.segments.plan import batches

__all__ = ["Task", "run_together"]

SHARE = 128
"""Tasks that have joint calls of their own where there are more: as many as give a model enough to do."""
Result = TypeVar("Result", covariant=True)


class Task(Protocol[Result]):
    """Work on one object: it asks a source for codecs, does the same in every run and thread, and changes nothing."""

    def __call__(self, *, codecs: CodecSource) -> Result: ...


def run_together(
    tasks: Sequence[Task[Result]],
    codecs: CodecSource,
    check: Callable[[int, Result], Task[object]] | None = None,
) -> list[Result]:
    """Return what each task returns.

    Many tasks are worked on in shares, several of them side by side; shares of calls by several threads take turns.
    Raises the first error of a task, which says whose it is.

    check: returns the task that checks what a task, by its number, returned; these are run together, too.
    """
    shares = _shares(len(tasks))
    threads = _threads(codecs) if len(shares) > 1 else 1
    turn = nullcontext if threads == 1 or has_a_turn() else partial(in_turn, threads)

    def worked_on(share: range) -> list[Result]:
        with turn():
            results = _Share.begun(tasks[share.start : share.stop], share, len(tasks), codecs).finished()
            if check is not None:
                checks = [check(number, result) for number, result in zip(share, results, strict=True)]
                _Share.begun(checks, share, len(tasks), codecs).finished()
            return results

    return list(in_order(worked_on, shares, threads))


def _shares(count: int) -> list[range]:
    """Return the numbers of so many tasks in shares of about one size."""
    parts = max(1, count // SHARE)
    return [range(count * k // parts, count * (k + 1) // parts) for k in range(parts)]


def _threads(codecs: CodecSource) -> int:
    """Return how many shares are worked on side by side: one where codecs have other threads than the caller, or a GPU.

    Their calls have one thread each then.
    """
    elsewhere = getattr(codecs, "device", "cpu") != "cpu" or getattr(codecs, "threads", None) is not None
    return 1 if elsewhere else threads_here()


@dataclass(frozen=True)
class _Share(Generic[Result]):
    """Tasks whose calls are answered together, after the first run of each.

    numbers: of these tasks among so many, `count`. memos: of each of them. results: of tasks that asked for nothing, by
    their place in the share.
    """

    tasks: Sequence[Task[Result]]
    numbers: range
    count: int
    codecs: CodecSource
    memos: Sequence[_Memo]
    results: dict[int, Result]
    calls: Sequence[_Call]

    @classmethod
    def begun(cls, tasks: Sequence[Task[Result]], numbers: range, count: int, codecs: CodecSource) -> _Share[Result]:
        """Return some tasks after their first run."""
        share = cls(tasks, numbers, count, codecs, [_Memo(waited=count == 1) for _ in tasks], {}, calls := [])
        for place in range(len(tasks)):
            try:
                share.results[place] = share._run(place)
            except _Asked as asked:
                calls.append(asked.call)
        return share

    def finished(self) -> list[Result]:
        """Answer all calls and return what the tasks return, of which several are run side by side."""
        _answer_all(self.calls)

        def last_run(place: int) -> Iterator[Result]:
            yield self._run(place)
            self.memos[place].answers.clear()

        waiting = [place for place in range(len(self.tasks)) if place not in self.results]
        results = self.results | dict(zip(waiting, in_order(last_run, waiting, threads_here()), strict=True))
        return [results[place] for place in range(len(self.tasks))]

    def _run(self, place: int) -> Result:
        memo = self.memos[place]
        memo.place = 0
        try:
            return self.tasks[place](codecs=_Source(self.codecs, memo))
        except BfncodecError as error:
            raise error.within(f"object {self.numbers[place] + 1} of {self.count}") from error


# ---- questions and answers --------------------------------------------------------------------


@dataclass
class _Memo:
    """Answers that a task was given so far, errors among them.

    place: number of those it has taken in this run. waited: it need not wait for others, or has done so.
    """

    answers: list[Any] = field(default_factory=list)
    place: int = 0
    waited: bool = False

    def answer(self, make: Callable[[], Any]) -> Any:
        """Return the next answer, made now if this is the first run that gets so far."""
        if self.place == len(self.answers):
            self.answers.append(make())
        found = self.answers[self.place]
        self.place += 1
        if isinstance(found, BfncodecError):
            raise found
        return found

    @property
    def may_wait(self) -> bool:
        """The next answer is not there yet, and the task may still be made to wait for one."""
        return self.place == len(self.answers) and not self.waited


@dataclass(frozen=True)
class _Call:
    """A question of a task to a codec: a method, its items and its other arguments."""

    memo: _Memo
    codec: Codec[Any]
    method: str
    items: tuple[Any, ...]
    options: tuple[tuple[str, bool], ...]

    @property
    def size(self) -> int:
        """Size of the items as capabilities count it, in pixels or bytes; of payloads their bytes, which are less."""
        return sum(len(x) if isinstance(x, bytes) else x.shape[0] * x.shape[1] for x in self.items)


class _Asked(BaseException):
    """A task's first run got to a question; no error, so nothing that a task does about errors is done."""

    def __init__(self, call: _Call) -> None:
        super().__init__()
        self.call = call


def _answer_all(calls: Sequence[_Call]) -> None:
    """Answer all calls, as many at once as their codecs want."""
    alike = defaultdict(list)
    for call in calls:
        alike[id(call.codec), call.method, call.options].append(call)
    for group in alike.values():
        for batch in batches(group, lambda call: call.size, group[0].codec.capabilities.batch):
            _answer(batch)


def _answer(calls: Sequence[_Call]) -> None:
    """Answer calls that differ in their items alone; if one cannot be answered, each by itself, to tell which."""
    first = calls[0]
    try:
        made = iter(
            getattr(first.codec, first.method)([x for call in calls for x in call.items], **dict(first.options))
        )
    except BfncodecError as error:
        if len(calls) == 1:
            first.memo.answers.append(error)
            return
        for call in calls:
            _answer([call])
        return
    for call in calls:
        call.memo.answers.append([next(made) for _ in call.items])


# ---- what a task sees of codecs ---------------------------------------------------------------


class _Source:
    """A source whose codecs answer a task later."""

    def __init__(self, codecs: CodecSource, memo: _Memo) -> None:
        self._codecs, self._memo = codecs, memo

    def default(self, role: str, level: int = DEFAULT_LEVEL) -> Codec[Any] | None:
        codec = self._codecs.default(role, level)
        return codec and _LaterCodec(codec, self._memo)

    def beside(self, codec: Codec[Any]) -> list[Codec[Any]]:
        return [_LaterCodec(other, self._memo) for other in codecs_beside(self._codecs, codec)]

    def named(self, name: str) -> Codec[Any]:
        return _LaterCodec(self._codecs.named(name), self._memo)

    def identified(self, identity: bytes) -> Codec[Any]:
        return _LaterCodec(self._codecs.identified(identity), self._memo)


class _LaterCodec(Codec[Any]):
    """A codec whose first batch waits for the batches of other tasks."""

    def __init__(self, codec: Codec[Any], memo: _Memo) -> None:
        self._codec, self._memo = codec, memo
        self.info, self.capabilities = codec.info, codec.capabilities

    def encode_batch(
        self, xs: Sequence[Any], progress: Progress | None = None, thorough: bool = False, *, checksum: bool = False
    ) -> list[bytes]:
        return self._ask("encode_batch", xs, thorough=thorough, checksum=checksum)

    def decode_batch(
        self, payloads: Sequence[bytes], progress: Progress | None = None, *, checksum: bool = False
    ) -> list[Any]:
        return self._ask("decode_batch", payloads, checksum=checksum)

    def codelength(self, x: Any) -> Any:
        return self._memo.answer(lambda: self._codec.codelength(x))

    def refusal(self, x: Any) -> str:
        return self._codec.refusal(x)

    def verifies(self, payload: bytes) -> bool:
        return self._codec.verifies(payload)

    def _ask(self, method: str, items: Sequence[Any], **options: bool) -> list[Any]:
        call = _Call(self._memo, self._codec, method, tuple(items), tuple(options.items()))
        if self._memo.may_wait and call.size < self.capabilities.batch:
            self._memo.waited = True
            raise _Asked(call)
        if self._memo.place == len(self._memo.answers):
            _answer([call])
        found: list[Any] = self._memo.answer(list)
        return found
