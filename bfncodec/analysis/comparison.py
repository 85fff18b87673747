"""Files through ours and through the peers: sizes and times, every size of bytes that were decoded and compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bfncodec.analysis.peers import Peer, byte_peers, graphic_of, graphic_peers, same, size_of, wide_peers
from bfncodec.api import CodecSource
from bfncodec.content.types import same_content
from bfncodec.errors import OutputError
from bfncodec.files.data import decode_data, dims_of, encode_data
from bfncodec.files.options import Options
from bfncodec.images.files import read_file, same_file
from bfncodec.images.picture import Picture
from bfncodec.runtime.progress import SILENT, Reporter

__all__ = ["Comparison", "Score", "Total", "compare", "is_ours", "name_of", "totals"]

SHORT = 1.0  # seconds of work that is timed twice, so that what is loaded for it once does not count

Result = TypeVar("Result")


@dataclass(frozen=True)
class Score:
    """Size and times of a codec's file, or of several; seconds."""

    bytes: int
    encode_seconds: float
    decode_seconds: float

    def __add__(self, other: Score) -> Score:
        return Score(
            self.bytes + other.bytes,
            self.encode_seconds + other.encode_seconds,
            self.decode_seconds + other.decode_seconds,
        )


@dataclass(frozen=True)
class Comparison:
    """A file through several codecs.

    Parameters
    ----------
    name
        Of the file.
    kind
        What the peers took it for: "pictures", "pictures of 16 bits" or "files".
    file_bytes
        Size of the file as it was found.
    dims
        Subpixels of a picture, bytes of any other file.
    raw_bytes
        Bytes that the peers were given: samples of pictures.
    scores
        By the name of the codec; those that failed are not in it.
    failures
        Why a codec failed, by its name.
    """

    name: str
    kind: str
    file_bytes: int
    dims: int
    raw_bytes: int
    scores: Mapping[str, Score]
    failures: Mapping[str, str]


@dataclass(frozen=True)
class Total:
    """All files of a kind together; of codecs that had every one of them."""

    kind: str
    files: int
    file_bytes: int
    dims: int
    raw_bytes: int
    scores: Mapping[str, Score]

    @property
    def unit(self) -> str:
        """Unit that bits are counted for."""
        return "bits/byte" if self.kind == "files" else "bits/subpixel"


_OURS = "bfncodec"


def is_ours(name: str) -> bool:
    """Return whether a codec of that name is ours."""
    return name.split()[0] == _OURS


def name_of(options: Options) -> str:
    """Return the name of ours with its options, as the command line takes them."""
    words = [_OURS, f"-{options.level}"] + ([f"-m {options.model}"] if options.model != "auto" else [])
    return " ".join(words)


def compare(
    name: str,
    data: bytes,
    ways: Sequence[Options],
    codecs: CodecSource,
    wanted: Callable[[str], bool] = lambda codec: True,
    reporter: Reporter = SILENT,
) -> Comparison:
    """Return what ours and the peers make of a file: encoded, decoded, compared.

    Pictures of lossless formats are given to the peers as their samples, everything else as its bytes; ours has the
    file, its metadata with it.

    Parameters
    ----------
    name, data
        Of the file.
    ways
        Options of ours, a row for each.
    wanted
        Whether a codec of that name is to be measured.

    Raises OutputError where ours does not bring the file back. A peer that does not is among the failures.
    """
    kind, item, dims, peers = _classify(data)
    chosen = [peer for peer in peers if wanted(peer.name)]
    mine = [options for options in ways if wanted(name_of(options))]
    scores: dict[str, Score] = {}
    failures: dict[str, str] = {}
    reporter.start(len(data) * (len(chosen) + len(mine)))
    for peer in chosen:
        try:
            scores[peer.name] = _peer(peer, item)
        except Exception as error:  # noqa: BLE001 - libraries of others raise what they like; the rest is measured
            failures[peer.name] = f"{type(error).__name__}: {error}"
        reporter.advance(len(data))
    for options in mine:
        scores[name_of(options)] = _ours(data, options, codecs)
        reporter.advance(len(data))
    return Comparison(name, kind, len(data), dims, size_of(item), scores, failures)


def _classify(data: bytes) -> tuple[str, Any, int, Sequence[Peer[Any]]]:
    """Return the kind of a file, what the peers are given of it, its dimensions, and these peers."""
    picture = read_file(data)
    if picture is None:
        return "files", data, len(data), byte_peers(zpaq=True)
    graphic = None if picture.mode.is_wide else graphic_of(data)
    if graphic is None:
        pixels = picture.pixels[:, :, 0] if picture.mode.channels == 1 else picture.pixels
        return "pictures of 16 bits", np.ascontiguousarray(pixels), dims_of(picture), wide_peers()
    return "pictures", graphic, dims_of(picture), graphic_peers()


def _peer(peer: Peer[Any], item: Any) -> Score:
    blob, encode_seconds = _timed(lambda: peer.encode(item))
    back, decode_seconds = _timed(lambda: peer.decode(blob, size_of(item)))
    if not same(item, back):
        raise ValueError("what came back is not the same")
    return Score(len(blob), encode_seconds, decode_seconds)


def _ours(data: bytes, options: Options, codecs: CodecSource) -> Score:
    (blob, content), encode_seconds = _timed(lambda: encode_data(data, options, codecs))
    (made, back), decode_seconds = _timed(lambda: decode_data(blob, options, codecs))
    sound = made == data or (isinstance(made, bytes) and isinstance(content, Picture) and same_file(data, made))
    if not (sound and same_content(content, back)):
        raise OutputError("what was written does not decode to the same content: please report this")
    return Score(len(blob), encode_seconds, decode_seconds)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return a result and the seconds that it took, the better of two where it is soon done."""
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        result = work()
        took = time.perf_counter() - start
        best = min(best, took)
        if took > SHORT:
            break
    return result, best


def totals(found: Sequence[Comparison]) -> Iterator[Total]:
    """Yield the files of each kind together."""
    for kind in dict.fromkeys(one.kind for one in found):
        alike = [one for one in found if one.kind == kind]
        names = [name for name in alike[0].scores if all(name in one.scores for one in alike)]
        yield Total(
            kind,
            len(alike),
            sum(one.file_bytes for one in alike),
            sum(one.dims for one in alike),
            sum(one.raw_bytes for one in alike),
            {name: sum((one.scores[name] for one in alike), Score(0, 0.0, 0.0)) for name in names},
        )
