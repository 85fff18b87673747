"""Policy of the encoder: how much content is coded at once, and when a file holds a preview."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_POLICY", "Policy"]


@dataclass(frozen=True)
class Policy:
    """Sizes that an encoder is free to choose. Decoders read them from the file, so any policy gives valid files.

    Parameters
    ----------
    text_segment
        Bytes that a text model codes at once. Adaptive state is reset at each segment.
    archive_segment
        Bytes of items in one bits-back chain.
    plain_segment
        Bytes that LZMA codes at once.
    model_tile
        Side in pixels of a tile that an image model codes at once.
    plain_tile, plain_pixels
        Side in pixels, and pixels, of a tile that WebP or PNG codes at once.
    forms_tried, form_sample
        Bytes of an array up to which every form of planes is tried, and bytes of a sample that chooses one in others.
    preview_pixels
        Pixels from which on a picture's file holds a preview unasked.
    preview_share
        Bytes of such a file for each byte of its preview, at least.
    """

    text_segment: int = 1 << 24
    archive_segment: int = 1 << 22
    plain_segment: int = 1 << 24
    model_tile: int = 512
    plain_tile: int = 16_383
    plain_pixels: int = 1 << 24
    forms_tried: int = 1 << 16
    form_sample: int = 1 << 18
    preview_pixels: int = 2_000_000
    preview_share: int = 2000


DEFAULT_POLICY = Policy()
