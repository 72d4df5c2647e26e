"""One picture as a string of AV1: by itself, or as an inter frame of a picture that both sides have.

    encoder   [reference, picture] --libaom--> key frame, inter frame; only the inter frame is kept
    decoder   reference --libaom, lossless--> key frame; that and the inter frame --> picture

A video codec refers to frames it has decoded. To let it refer to any picture, the decoder makes a lossless key frame
of that picture itself: however an encoder codes it, it decodes to the picture. In error resilient mode nothing else
of the key frame than its samples matters to the inter frame.

The encoder predicts from its own key frame, a quantised one. What the two key frames differ in would be added to the
picture wherever it is predicted; so it is taken off what the encoder is given (`_compensated`), as soon as it has made
its key frame. Measured: docs/training-log.md.

Colour is `colour`'s business, the program that codes `ffmpeg_pipe`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np

from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video.av1_sequence import (
    ENCODER,
    INSTALL_HINT,
    check_encoder,
    decode_sequence,
    encode_units,
    threading,
)
from nerfstudio_mvc.video.av1_speed import LARGE, SPEEDS, TRIAL_SPEED, Effort
from nerfstudio_mvc.video.colour import MAX_LEVELS, MIDDLE
from nerfstudio_mvc.video.early_unit import EarlyUnit

SMALLEST_SIDE = 16
"""Of a picture that is predicted; below, it is coded by itself."""
_SEQUENCE_HEADER = 1
_PAIR = ("-g", "9999", "-lag-in-frames", "0", "-error-resilience", "1")
# Two thirds of the time would go into the key frame, of which nothing is kept. Without these intra tools it is a third,
# for 2 % more bytes where the reference shows most of the picture. Elsewhere the inter frame needs them (6 %).
_CHEAP_KEY = (
    ":use-intra-default-tx-only=1:enable-angle-delta=0:enable-smooth-intra=0:enable-palette=0:enable-cfl-intra=0"
)
_MOST = 0.6  # of the blocks; desk and lund_door have .68 to .97, sceaux and saharov .12 to .45
_BLOCK = 16
_NOISE_VARIANCE = 16.0  # of planes: one grey level squared
_KEY_SECONDS, _KEY_SECONDS_PER_MEGAPIXEL = 60.0, 600.0  # to wait for a key frame; two cores need 25 for a megapixel
# Everything of the sequence header that an intra frame is read by must be as in the encoder's stream.
_SUPERBLOCK = "sb-size=128"
_LOSSLESS = ("-cpu-used", "8", "-crf", "0", "-aom-params", f"lossless=1:{_SUPERBLOCK}")
_FAST, _SLOW = ("-usage", "realtime"), ("-usage", "good")  # a second or ten for half a megapixel


def encode_picture(planes: np.ndarray, reference: np.ndarray | None, *, crf: int, effort: Effort = "default") -> bytes:
    """Code planes Y, Cb, Cr, 10 bit: uint16 [3, height, width].

    Args:
        reference: a picture of the same shape to predict it from, which the decoder will have too.
        crf: the encoder's quantiser, 0 (finest) to 63.
        effort: how long it may take.

    Raises:
        NoFfmpegError: there is no ffmpeg that codes AV1.
        MvcError: it failed.
    """
    speeds = SPEEDS[effort]
    speed = speeds.picture if planes[0].size < LARGE else speeds.large_picture
    units = _encoded(planes, reference, crf=crf, speed=speed)
    return units[0] if reference is None else _sequence_header(units[0]) + units[1]


def try_picture(planes: np.ndarray, reference: np.ndarray | None, *, crf: int) -> tuple[int, np.ndarray]:
    """About what `encode_picture` would make of the same: bytes, and the picture; in a fraction of the time."""
    units = _encoded(planes, reference, crf=crf, speed=TRIAL_SPEED)
    height, width = planes.shape[1:]
    *_, shown = decode_sequence(units, width=width, height=height)
    return len(units[-1]), shown


def decode_picture(payload: bytes, reference: np.ndarray | None, *, width: int, height: int) -> np.ndarray:
    """The planes of what `encode_picture` returned, given the same reference: uint16 [3, height, width].

    Raises:
        ArchiveError: it does not decode to a picture of that size.
        MvcError: there is no ffmpeg, or none whose key frames can be referred to.
    """
    if reference is None:
        return next(decode_sequence([payload], width=width, height=height))
    check_encoder()
    planes = _decoded_after(_anchored(reference), payload, usage=_usage())
    if planes is None:
        # Either the string is damaged, or this ffmpeg codes key frames that its sequence header does not fit.
        raise ArchiveError(
            "an AV1 picture does not decode with the picture it refers to: the archive is damaged, or this ffmpeg's "
            f"{ENCODER} is too different from the one that wrote it ({INSTALL_HINT})"
        )
    return planes


def _decoded_after(anchored: np.ndarray, payload: bytes, *, usage: Sequence[str]) -> np.ndarray | None:
    """What an inter frame shows after a key frame of `anchored`; None where that key frame does not decode to it."""
    height, width = anchored.shape[1:]
    header = _sequence_header(payload)
    (own,) = _units([anchored], (height, width), [*_PAIR, *usage, *_LOSSLESS, *threading()])
    key = header + own[len(_sequence_header(own)) :]
    try:
        shown, planes = decode_sequence([key, payload[len(header) :]], width=width, height=height)
    except ArchiveError:
        return None
    return planes if np.array_equal(shown, anchored) else None


@cache
def _usage() -> tuple[str, ...]:
    """How this ffmpeg is to code key frames: fast, where those fit the sequence headers of its slow ones. Those of
    ffmpeg 7.0 (libaom 3.9) do not: they leave out what says whether there are tools for screen content."""
    # Sides are no multiples of 64: those may decode by chance.
    anything = _anchored((np.arange(3 * 90 * 150) % 900).astype(np.uint16).reshape(3, 90, 150))
    key, inter = _encoded(anything, anything, crf=30, speed=TRIAL_SPEED)
    fits = _decoded_after(anything, _sequence_header(key) + inter, usage=_FAST) is not None
    return _FAST if fits else _SLOW


def _encoded(planes: np.ndarray, reference: np.ndarray | None, *, crf: int, speed: int) -> list[bytes]:
    """The unit of a key frame; with a reference those of a key frame of that and of the inter frame."""
    check_encoder()
    options = ["-crf", str(crf), "-cpu-used", str(speed), *threading()]
    if reference is None:
        return _units([planes], planes.shape[1:], options)
    explained = _explained(planes[0], reference[0])
    tools = _CHEAP_KEY if (explained > 0.5).mean() > _MOST else ""
    key = EarlyUnit()
    pair = _pair(planes, _anchored(reference), explained, key)
    return _units(pair, planes.shape[1:], [*options, *_PAIR, "-aom-params", _SUPERBLOCK + tools], count=2, early=key)


def _pair(planes: np.ndarray, reference: np.ndarray, explained: np.ndarray, key: EarlyUnit) -> Iterator[np.ndarray]:
    """The two pictures as the encoder is to be given them, the second when it has coded the first."""
    yield reference
    height, width = planes.shape[1:]
    unit = key.wait(_KEY_SECONDS + _KEY_SECONDS_PER_MEGAPIXEL * height * width / 1e6)
    # Without it, an encoder that looks ahead, the picture is coded as it is.
    coded = reference if unit is None else next(decode_sequence([unit], width=width, height=height))
    yield _compensated(planes, reference, coded, explained)


def _compensated(planes: np.ndarray, reference: np.ndarray, coded: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """The picture less what the decoder's reference will add to it where it is predicted; uint16 [3, H, W] all.

    Args:
        coded: what the encoder predicts from in the place of `reference`.
        explained: see `_explained`; how likely a block is to be predicted.
    """
    rows, columns = planes.shape[1:]
    share = explained.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[:rows, :columns]
    added = (reference.astype(np.float32) - coded) * share
    return np.clip(np.rint(planes - added), 0, MAX_LEVELS).astype(np.uint16)


def _explained(luma: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How much of the variance of each block the reference takes away, 0..1. uint16 [H, W] both -> float32 [h, w]"""
    own, rest = (_block_variance(values) for values in (luma, luma.astype(np.float32) - reference))
    return np.clip(1 - rest / (own + _NOISE_VARIANCE), 0, 1)


def _block_variance(values: np.ndarray) -> np.ndarray:
    """Within blocks; the last ones repeat the last row and column. [H, W] -> float32 [h, w]"""
    rows, columns = values.shape
    padded = np.pad(values.astype(np.float32), ((0, -rows % _BLOCK), (0, -columns % _BLOCK)), mode="edge")
    rows, columns = padded.shape
    return padded.reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK).var((1, 3))


def _units(
    pictures: Iterable[np.ndarray],
    size: tuple[int, int],
    options: list[str],
    *,
    count: int = 1,
    early: EarlyUnit | None = None,
) -> list[bytes]:
    height, width = size
    on_bytes = None if early is None else early.feed
    return encode_units(pictures, count=count, width=width, height=height, options=options, on_bytes=on_bytes)


def _anchored(reference: np.ndarray) -> np.ndarray:
    """The reference with its first two samples fixed: libaom makes the number of a key frame of them, and an inter
    frame names that number. Another machine may have rounded a sample of the reference differently."""
    anchored = reference.copy()
    anchored[0, 0, :2] = MIDDLE
    return anchored


def _sequence_header(unit: bytes) -> bytes:
    """The first OBU of a unit, which must be a sequence header with a size of one byte.

    Raises:
        ArchiveError: it is not.
    """
    if len(unit) < 2 or unit[0] != _SEQUENCE_HEADER << 3 | 2 or unit[1] > 127 or len(unit) < 2 + unit[1]:
        raise ArchiveError("an AV1 picture does not begin with a sequence header: the archive is damaged")
    return unit[: 2 + unit[1]]
