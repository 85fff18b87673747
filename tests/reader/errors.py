"""What a reader says of payloads that it cannot read."""

from __future__ import annotations


class ReaderError(Exception):
    """A payload or a model that no writer writes."""


class DamagedPayloadError(ReaderError):
    """A payload that was changed, cut off or made for another model."""


class ModelUnreadableError(ReaderError):
    """A model whose configuration or weights do not fit."""
