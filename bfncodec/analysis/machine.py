"""Report on a machine: kernels, libraries and models that are here, and those that are missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from bfncodec.errors import ModelError
from bfncodec.format.limits import Limits
from bfncodec.models import available, broken, published, search_path
from bfncodec.networks.acceleration import CONVNET, SWITCH, TRANSFORMER, Kernels
from bfncodec.runtime.kept import folder, is_own

__all__ = ["EXTRAS", "Finding", "examine"]

EXTRAS = {
    "zarr": "stores of arrays: pip install 'bfncodec[zarr]'",
    "numcodecs": "stores of arrays: pip install 'bfncodec[zarr]'",
    "fsspec": "compressed files in pandas and others: pip install 'bfncodec[fsspec]'",
    "pyarrow": "Parquet tables in archives: pip install 'bfncodec[arrow]'",
    "datasets": "columns of Hugging Face's data sets: pip install 'bfncodec[datasets]'",
    "webdataset": "shards for training: pip install 'bfncodec[webdataset]'",
    "ray": "many machines: pip install 'bfncodec[ray]'",
    "jinja2": "pages, measure --html: pip install 'bfncodec[report]'",
    "matplotlib": "plots, measure --plot and bench --plot: pip install 'bfncodec[plot]'",
    "imagecodecs": "JPEG XL and other pictures in bench: pip install 'bfncodec[bench]'",
    "zstandard": "zstd in bench: pip install 'bfncodec[bench]'",
    "brotli": "brotli in bench: pip install 'bfncodec[bench]'",
    "pyppmd": "PPMd in bench: pip install 'bfncodec[bench]'",
}
"""Optional libraries, and what each is for."""


@dataclass(frozen=True)
class Finding:
    """A line of the report. advice: what would be better, and how; empty where all is well."""

    subject: str
    found: str
    advice: str = ""


def examine(extras: Mapping[str, str] = EXTRAS) -> list[Finding]:
    """Return what was found on this machine. torch is not loaded.

    extras: optional libraries to look for, and what each is for.
    """
    return [
        Finding("python", f"{platform.python_version()} on {platform.machine()}"),
        Finding("processors", f"{_processors()} for this process"),
        Finding("memory", f"files may take {Limits().memory >> 20} MiB"),
        *_kernels(),
        _library("torch", "models of archives, CUDA and training: pip install torch"),
        *_models(),
        *(_library(name, advice) for name, advice in extras.items()),
    ]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kernels() -> list[Finding]:
    """Return which kernels run here, and whether they are compiled already."""
    if not TRANSFORMER.work():
        advice = "two to four times as fast: pip install 'bfncodec[fast]'"
        return [Finding("kernels", "none, as Numba is not here: NumPy and torch do the same, slower", advice)]
    from bfncodec.networks import kernels

    width = f", {32 * kernels.SIMD_LANES} bits wide" if kernels.SIMD_LANES else ""
    asked = ((name, os.environ.get(name, "")) for name in (SWITCH, kernels.SWITCH))
    switched = "".join(f"; {name}={value}" for name, value in asked if value)
    return [
        Finding("kernels", f"{kernels.fastest().name}{width}, by Numba {metadata.version('numba')}{switched}"),
        _compiled("kernels of texts", TRANSFORMER),
        _compiled("kernels of pictures", CONVNET),
    ]


def _compiled(subject: str, kernels: Kernels) -> Finding:
    place = kernels.place()
    if kernels.compiled():
        kept = place is not None and place.exists()
        return Finding(subject, f"compiled, in {folder()}" if kept else "compiled, they came with the package")
    if place is not None and place.exists() and not is_own(place):
        advice = "delete that folder, or set XDG_CACHE_HOME to one of yours: until then every process compiles its own"
        return Finding(subject, f"not kept: another user owns {place}, or may write to it", advice)
    return Finding(subject, "not compiled yet", "the first long work compiles them, which takes half a minute, once")


def _library(name: str, advice: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not here", f"for {advice}")


def _models() -> list[Finding]:
    """Return the models that are here, and those that are damaged or missing."""
    found, sound = available(), []
    findings = []
    for info in found:
        try:
            info.check()
            sound.append(info.sha256)
        except ModelError as error:
            findings.append(Finding(f"model {info.name}", "damaged", str(error)))
    findings += [Finding(f"model {path.name}", "cannot be used", str(error)) for path, error in broken()]
    missing = [model.name for model in published() if model.sha256 not in sound]
    advice = f"{', '.join(missing)} would be {published()[0].where}" if missing else ""
    places = ", ".join(sorted({str(info.path.parent) for info in found})) or ", ".join(map(str, search_path()))
    return [Finding("models", f"{len(sound)} sound, in {places}", advice), *findings]
