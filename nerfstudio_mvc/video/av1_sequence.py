"""Planes of some pictures <-> one AV1 sequence, cut into one string per picture.

A string is what a decoder needs beyond the strings before it to show its picture: one AV1 temporal unit, without the
delimiter that begins each. Frames that are coded early and shown late stand in the unit of the picture before which
they are coded. Colour is `colour`'s business, the program that codes `video.ffmpeg_pipe`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from nerfstudio_mvc.cores import granted_cores
from nerfstudio_mvc.errors import ArchiveError, MvcError
from nerfstudio_mvc.video.ffmpeg_pipe import NoFfmpegError, decode_frames, encode_frames, ffmpeg_encoders

ENCODER = "libaom-av1"
IVF_HEADER = struct.Struct("<4sHH4sHHIIII")
IVF_FRAME = struct.Struct("<IQ")
TEMPORAL_DELIMITER = b"\x12\x00"
INSTALL_HINT = "pip install imageio-ffmpeg, or name an ffmpeg that has it in IMAGEIO_FFMPEG_EXE"
BYTES_PER_SEQUENCE_PIXEL = 35
"""Memory that encoding takes, of all frames: 1.3 GiB for twenty of 1920x1080."""
SECONDS_PER_PICTURE, SECONDS_PER_MEGAPIXEL = 10.0, 20.0  # dav1d takes a hundredth of that


def has_encoder() -> bool:
    """Whether there is an ffmpeg that codes AV1."""
    return ENCODER in ffmpeg_encoders()


def check_encoder() -> None:
    """Raise NoFfmpegError where there is no ffmpeg that codes AV1."""
    if not has_encoder():
        raise NoFfmpegError(f"codec av1 needs an ffmpeg with {ENCODER}, and finds none: {INSTALL_HINT}")


def encode_sequence(
    pictures: Iterable[np.ndarray],
    *,
    count: int,
    width: int,
    height: int,
    crf: int,
    speed: int,
    on_units: Callable[[int], None] | None = None,
) -> list[bytes]:
    """Code `count` pictures of one size, each predicted from those before it.

    Args:
        pictures: planes of 10 bits: uint16 [3, height, width]; taken one at a time.
        crf: the encoder's quantiser, 0 (finest) to 63.
        speed: libaom's cpu-used, see `av1_speed`.
        on_units: called with how many strings there are so far, in a thread of its own.

    Returns:
        One string per picture, in the same order.

    Raises:
        NoFfmpegError: there is no ffmpeg that codes AV1.
        MvcError: it failed.
    """
    check_encoder()
    options = ["-crf", str(crf), "-cpu-used", str(speed), "-g", "9999", *threading()]
    on_bytes = None if on_units is None else _UnitCount(on_units).feed
    return encode_units(pictures, count=count, width=width, height=height, options=options, on_bytes=on_bytes)


def threading() -> list[str]:
    """Options that let the encoder use the cores this thread may take."""
    return ["-threads", str(min(16, granted_cores())), "-row-mt", "1"]


def encode_units(
    pictures: Iterable[np.ndarray],
    *,
    count: int,
    width: int,
    height: int,
    options: Sequence[str],
    on_bytes: Callable[[bytes], None] | None = None,
) -> list[bytes]:
    """One string per picture, as of `encode_sequence`, coded with `options` of the encoder; `on_bytes` as of
    `encode_frames`."""
    encoder = ["-c:v", ENCODER, *options]
    stream = encode_frames(
        pictures, width=width, height=height, encoder=encoder, stream_format="ivf", on_bytes=on_bytes
    )
    units = list(_units(stream))
    if len(units) != count:
        raise MvcError(f"{ENCODER} made {len(units)} packets of {count} pictures: try another ffmpeg ({INSTALL_HINT})")
    return units


def decode_sequence(units: Sequence[bytes], *, width: int, height: int) -> Iterator[np.ndarray]:
    """The pictures of the first strings of a sequence; uint16 [3, height, width] each.

    Raises:
        ArchiveError: they do not decode to as many pictures of that size.
        NoFfmpegError: there is no ffmpeg.
    """
    header = IVF_HEADER.pack(b"DKIF", 0, IVF_HEADER.size, b"AV01", min(width, 65535), min(height, 65535), 25, 1, 0, 0)
    frames = (
        IVF_FRAME.pack(len(TEMPORAL_DELIMITER) + len(unit), position) + TEMPORAL_DELIMITER + unit
        for position, unit in enumerate(units)
    )
    limit_s = len(units) * (SECONDS_PER_PICTURE + SECONDS_PER_MEGAPIXEL * width * height / 1e6)
    # A damaged stream may claim frames of any size; the limit is on what is allocated for one.
    decoder = ("-max_pixels", str(_padded_pixels(width, height)))
    count = 0
    try:
        stream = header + b"".join(frames)
        for planes in decode_frames(
            stream, width=width, height=height, stream_format="ivf", decoder=decoder, limit_s=limit_s
        ):
            if count == len(units):
                raise ArchiveError(f"AV1 sequence of {len(units)} pictures holds more than that: damaged")
            count += 1
            yield planes
    except (ArchiveError, NoFfmpegError):
        raise
    except MvcError as error:
        raise ArchiveError(f"AV1 sequence of {len(units)} pictures does not decode ({error}): damaged") from error
    if count != len(units):
        raise ArchiveError(f"AV1 sequence holds {count} pictures of {width}x{height}, expected {len(units)}: damaged")


def first_unit(stream: bytes) -> bytes | None:
    """The first string in the beginning of an IVF stream; None where it is not whole yet."""
    if len(stream) < IVF_HEADER.size + IVF_FRAME.size:
        return None
    length, _ = IVF_FRAME.unpack_from(stream, IVF_HEADER.size)
    end = IVF_HEADER.size + IVF_FRAME.size + length
    return next(_units(stream[:end])) if len(stream) >= end else None


class _UnitCount:
    """Counts the packets of an IVF stream as its parts come in."""

    def __init__(self, on_units: Callable[[int], None]) -> None:
        self._on_units = on_units
        self._stream, self._position, self._count = bytearray(), IVF_HEADER.size, 0

    def feed(self, part: bytes) -> None:
        self._stream += part
        while (begin := self._position + IVF_FRAME.size) <= len(self._stream):
            length, _ = IVF_FRAME.unpack_from(self._stream, self._position)
            if begin + length > len(self._stream):
                return
            self._position = begin + length
            self._count += 1
            self._on_units(self._count)


def _units(stream: bytes) -> Iterator[bytes]:
    """The packets of an IVF stream that we have made ourselves a moment ago."""
    position = IVF_HEADER.unpack_from(stream)[2]
    while position < len(stream):
        length, _ = IVF_FRAME.unpack_from(stream, position)
        position += IVF_FRAME.size
        yield stream[position : position + length].removeprefix(TEMPORAL_DELIMITER)
        position += length


def _padded_pixels(width: int, height: int) -> int:
    return (width + 128) * (height + 128)
