"""Policy of the encoder: how much content is coded at once, when a model is asked, when a file holds a preview."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_POLICY", "BytesTrial", "PictureTrial", "Policy"]


@dataclass(frozen=True)
class BytesTrial:
    """Sizes and rates that decide whether a model codes bytes. Rates are in bits a byte, without a model by LZMA.

    Parameters
    ----------
    tiny
        Bytes up to which no model is asked: its identity and sizes alone take more than it could save.
    short
        Bytes up to which LZMA's rate says too little to go by.
    least, random
        Rates beyond which no model is asked: below, none has been seen to win; above, content is compressed already.
    sample
        Bytes that a model is asked about. Content up to twice as long is coded without a sample.
    slack
        Times LZMA's bits that a sample by the model may take: of a whole text a model learns more.
    long, little
        Bytes, for which a model takes a minute or so, and rate. Longer content of a lower rate saves little: it is not
        worth that minute unless the model wins without slack, of eight times the sample.
    empty
        Share of the rate of the whole below which a sample is a hole in sparse data, and says nothing of the rest.
    nothing
        Bits below which it is one, too: those of one letter again and again, and some more.
    looks
        Places that are looked at in sparse data for a better sample.
    """

    tiny: int = 8
    short: int = 2048
    least: float = 1 / 16
    random: float = 7.6
    sample: int = 8192
    slack: float = 1.25
    long: int = 1 << 20
    little: float = 0.5
    empty: float = 0.25
    nothing: int = 512
    looks: int = 64


@dataclass(frozen=True)
class PictureTrial:
    """Sizes that decide whether a model codes a picture.

    Parameters
    ----------
    unsampled
        Pixels up to which a picture is coded without comparing a sample with WebP, which would take a third as long.
    piece
        Side in pixels of each of the up to four pieces of a sample.
    chosen_from, share
        Pixels from which on a sample chooses among several models, and how many times longer than its pieces' sides are
        those of a square of as many pixels. Pieces of a fourteenth choose as well as of a tenth, of a twentieth worse.
    slack
        Times WebP's bits that a sample by the model may take: of a whole picture a model learns more.
    noise
        Bits a subpixel that a model expects, from which on a picture is noise.
    """

    unsampled: int = 512 * 512
    piece: int = 80
    chosen_from: int = 1 << 14
    share: int = 14
    slack: float = 1.15
    noise: float = 7.9


@dataclass(frozen=True)
class Policy:
    """Numbers that an encoder is free to choose. Files tell decoders what they need, so any policy gives valid files.

    Parameters
    ----------
    text_segment
        Bytes that a text model codes at once. Adaptive state is reset at each segment.
    stream_from
        Bytes from which on files of bytes are coded a piece at a time, in memory that does not depend on their size.
    archive_segment
        Bytes of items in one bits-back chain.
    items_segment
        Bytes of compressed files from which on a segment of an archive takes no more items.
    plain_segment
        Bytes that LZMA codes at once.
    quick_from
        Bytes beyond which levels 1 to 3 take a quick preset of LZMA, whose slowest makes less than a megabyte a second.
    model_tile
        Side in pixels of a tile that an image model codes at once.
    plain_tile, plain_pixels
        Side in pixels, and pixels, of a tile that WebP or PNG codes at once.
    forms_tried, form_sample
        Bytes of an array up to which every form of planes is tried, and bytes of a sample that chooses one in others.
    named_from
        Bytes of payload from which on a file carries the SHA-256 and the name of a model that is not a published one.
    preview_pixels
        Pixels from which on a picture's file holds a preview unasked.
    preview_share
        Bytes of such a file for each byte of its preview, at least.
    model_credit
        Bytes that a segment by a model may take more than without, and yet counts as the smaller.
    bytes_trial, picture_trial
        Whether a model that was not named is used at all.
    """

    text_segment: int = 1 << 24
    stream_from: int = 1 << 26
    archive_segment: int = 1 << 22
    items_segment: int = 1 << 17
    plain_segment: int = 1 << 24
    quick_from: int = 1 << 20
    model_tile: int = 512
    plain_tile: int = 16_383
    plain_pixels: int = 1 << 24
    forms_tried: int = 1 << 16
    form_sample: int = 1 << 18
    named_from: int = 1 << 12
    preview_pixels: int = 2_000_000
    preview_share: int = 2000
    model_credit: int = 0
    bytes_trial: BytesTrial = BytesTrial()
    picture_trial: PictureTrial = PictureTrial()


DEFAULT_POLICY = Policy()
