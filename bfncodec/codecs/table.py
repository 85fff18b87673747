"""The codecs there are, by the role that a model's config.json names; each imports what it needs and no other does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bfncodec.codecs.base import ModelCodec
from bfncodec.models import ModelInfo
from bfncodec.networks.stored import Tensors
from bfncodec.runtime.lazytorch import import_torch


def _image_codec(info: ModelInfo, tensors: Tensors, device: str) -> ModelCodec[Any]:
    from bfncodec.codecs.image import ImageCodec

    return ImageCodec(info, tensors, device)


def _text_codec(info: ModelInfo, tensors: Tensors, device: str) -> ModelCodec[Any]:
    from bfncodec.codecs.text import TextCodec

    return TextCodec(info, tensors, device)


def _archive_codec(info: ModelInfo, tensors: Tensors, device: str) -> ModelCodec[Any]:
    torch = import_torch()  # which the networks of archives need
    from bfncodec.codecs.archive import ArchiveCodec

    stored = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    return ArchiveCodec(info, stored, torch.device(device))


CODECS: Mapping[str, Callable[[ModelInfo, Tensors, str], ModelCodec[Any]]] = {
    "image": _image_codec,
    "text": _text_codec,
    "archive": _archive_codec,
}
"""Makes the codec of a model from what is known of it, its tensors and a device. The roles are `models.ROLES`."""
