"""Models at work: `load` gives the codec of a model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfncodec import models
from bfncodec.codecs.protocol import Codec
from bfncodec.errors import BfncodecError, ModelError
from bfncodec.models import ModelInfo
from bfncodec.runtime.arguments import check_machine, check_model
from bfncodec.runtime.devices import check_device

if TYPE_CHECKING:
    from bfncodec.codecs.base import ModelCodec


def load(
    model: str | bytes | Path | ModelInfo = "photo", device: str = "cpu", threads: int | None = None
) -> Codec[Any]:
    """The codec of a model.

    model: name, identity, directory or what :mod:`bfncodec.models` found. device: "cpu", "cuda" or "cuda:1". threads:
    CPU threads that a call of the codec may use, None for as many as torch is set to, or would be; that setting stays
    as it is.
    Files do not depend on either. In a forked process calls use one thread.

    Raises ModelNotFoundError, ModelError (files missing or broken), InputError (no such device or number of threads).

    >>> codec = load("text")
    >>> codec.decode(codec.encode(b"to be or not to be"))
    b'to be or not to be'

    Payloads hold neither the model's name nor a checksum, so a damaged one decodes to something else; with
    ``checksum=True``, on both sides, four more bytes make that a DamagedError:

    >>> payload = codec.encode(b"to be or not to be", checksum=True)
    >>> codec.decode(payload, checksum=True)
    b'to be or not to be'

    Short records, rows of a database say, take their ideal bits,
    rounded up to bytes, and one byte for their length (two from 128 bytes on). Each decodes alone:

    >>> payloads = codec.encode_batch([b"to be", b"or not to be"])
    >>> codec.decode_batch(payloads[1:])
    [b'or not to be']
    """
    check_machine(device, threads)
    if not isinstance(model, (bytes, ModelInfo)):
        check_model(model)
    info = model if isinstance(model, ModelInfo) else models.find(model)
    place = check_device(device)
    with ThreadPoolExecutor(1) as beside:  # hashing takes as long as loading
        checked = beside.submit(info.check)
        try:
            made = _made(info, place)
        except (BfncodecError, MemoryError):
            checked.result()  # of a model that was changed it is said that it was, not what came of it
            raise
        checked.result()
    made.threads = threads
    return made


def _made(info: ModelInfo, device: str) -> ModelCodec[Any]:
    """Return the codec of a model. Raises ModelError where its weights do not fit its configuration."""
    from safetensors.numpy import load_file

    from bfncodec.codecs.table import CODECS
    from bfncodec.networks.stored import check_tensors

    try:
        tensors = load_file(info.weights)
        check_tensors(info.config["network"], tensors)
        return CODECS[info.role](info, tensors, device)
    except (BfncodecError, MemoryError):
        raise
    except Exception as error:  # a broken configuration may have any value anywhere
        raise ModelError(
            f"{info.path}: the weights do not fit the configuration ({type(error).__name__}: {error}); "
            "export the model again"
        ) from error
