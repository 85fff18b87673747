"""bfncodec: lossless compression of images, text and arrays with Bayesian Flow Networks.

>>> import bfncodec
>>> blob = bfncodec.compress(b"to be or not to be", model="none")
>>> bfncodec.decompress(blob)
b'to be or not to be'

Every public name is here. Each is imported when it is first used: neither ``import bfncodec`` nor
anything that only looks at a file loads torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to import than all else here, and the command begins with this module
if TYPE_CHECKING:
    from bfncodec.analysis.measurement import Measurement, measure
    from bfncodec.api import (
        CodecSource,
        Damage,
        Description,
        Models,
        compress,
        compress_many,
        decompress,
        decompress_many,
        describe,
        preview,
    )
    from bfncodec.codecs.loading import load
    from bfncodec.codecs.protocol import Codec
    from bfncodec.errors import (
        BfncodecError,
        DamagedError,
        FormatError,
        InputError,
        LimitError,
        ModelError,
        ModelNotFoundError,
        NewerVersionError,
        NotOursError,
        OutputError,
    )
    from bfncodec.files.appending import append_file
    from bfncodec.files.archive import Archive
    from bfncodec.files.archiving import append_items, write_archive
    from bfncodec.files.dictionaries import make_dictionary
    from bfncodec.files.fileopen import open  # noqa: A004 - as in gzip, bz2 and lzma
    from bfncodec.files.transfer import compress_file, decompress_file
    from bfncodec.flow.report import CodeLength
    from bfncodec.format.limits import NO_LIMITS, Limits
    from bfncodec.models import ModelInfo, available

__version__ = "0.2.0"

_HOMES = {
    "api": (
        "CodecSource",
        "Damage",
        "Description",
        "Models",
        "compress",
        "compress_many",
        "decompress",
        "decompress_many",
        "describe",
        "preview",
    ),
    "codecs.loading": ("load",),
    "codecs.protocol": ("Codec",),
    "errors": (
        "BfncodecError",
        "DamagedError",
        "FormatError",
        "InputError",
        "LimitError",
        "ModelError",
        "ModelNotFoundError",
        "NewerVersionError",
        "NotOursError",
        "OutputError",
    ),
    "files.appending": ("append_file",),
    "files.archive": ("Archive",),
    "files.archiving": ("append_items", "write_archive"),
    "files.dictionaries": ("make_dictionary",),
    "files.fileopen": ("open",),
    "files.transfer": ("compress_file", "decompress_file"),
    "flow.report": ("CodeLength",),
    "format.limits": ("NO_LIMITS", "Limits"),
    "analysis.measurement": ("Measurement", "measure"),
    "models": ("ModelInfo", "available"),
}
_HOME = {name: f"bfncodec.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [
    "NO_LIMITS",
    "Archive",
    "BfncodecError",
    "CodeLength",
    "Codec",
    "CodecSource",
    "Damage",
    "DamagedError",
    "Description",
    "FormatError",
    "InputError",
    "LimitError",
    "Limits",
    "Measurement",
    "ModelError",
    "ModelInfo",
    "ModelNotFoundError",
    "Models",
    "NewerVersionError",
    "NotOursError",
    "OutputError",
    "__version__",
    "append_file",
    "append_items",
    "available",
    "compress",
    "compress_file",
    "compress_many",
    "decompress",
    "decompress_file",
    "decompress_many",
    "describe",
    "load",
    "make_dictionary",
    "measure",
    "open",
    "preview",
    "write_archive",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
