"""Errors of a reader that cannot read a file: section 7 of the file format."""

from __future__ import annotations


class ReaderError(Exception):
    """A file, a payload or a model that this reader does not read."""


class NotOursError(ReaderError):
    """The bytes do not begin as a file does."""


class NewerError(ReaderError):
    """A file of a newer version."""


class DamagedError(ReaderError):
    """A file that no writer writes."""


class DamagedPayloadError(DamagedError):
    """A payload that was changed, cut off or made for another model."""


class CutOffError(DamagedPayloadError):
    """A VP8L stream that lacks bits, which other readers may take for zeros."""


class LimitError(ReaderError):
    """A file that asks for more than it may."""


class ModelMissingError(ReaderError):
    """A file whose model is not there."""


class ModelUnreadableError(ReaderError):
    """A model whose configuration or weights do not fit."""
