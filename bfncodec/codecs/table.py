"""The codecs there are, by the role that a model's config.json names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.codecs.base import ModelCodec
from bfncodec.codecs.image import ImageCodec
from bfncodec.codecs.text import TextCodec
from bfncodec.models import ModelInfo

CODECS: Mapping[str, Callable[[ModelInfo, dict[str, Tensor], torch.device], ModelCodec[Any]]] = {
    "image": ImageCodec,
    "text": TextCodec,
    "archive": ArchiveCodec,
}
"""Makes the codec of a model from what is known of it, its tensors and a device. The roles are `models.ROLES`."""
