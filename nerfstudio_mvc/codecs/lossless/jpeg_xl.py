"""JPEG files as JPEG XL, which keeps the coefficients they are made of, and back to the very bytes: libjxl.

What is kept of a file that it cannot take (CMYK, arithmetic coding, a cut end) is `codec`'s business.
"""

from __future__ import annotations

import imagecodecs

from nerfstudio_mvc.cores import granted_cores
from nerfstudio_mvc.errors import ArchiveError

_CODESTREAM = b"\xff\x0a"
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, where the size is told so: ISO/IEC 18181-1, SizeHeader."""


def jxl_of_jpeg(data: bytes) -> bytes | None:
    """A JPEG XL file from which `jpeg_of_jxl` makes these bytes again; None where there is none."""
    threads = granted_cores()
    try:
        packed = bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=threads))
        same = bytes(imagecodecs.jpegxl_decode_jpeg(packed, numthreads=threads)) == data
    except RuntimeError:  # imagecodecs.JpegxlError: not a JPEG file, or not one of the kinds that JPEG XL has
        return None
    return packed if same else None


def jpeg_of_jxl(packed: bytes, *, width: int, height: int, what: str) -> bytes:
    """The JPEG file; its picture must have this size, so that no more memory is taken than it needs.

    Raises:
        ArchiveError: no JPEG XL file, of another picture, or not made from JPEG; names `what`.
    """
    if _size(packed) != (width, height):
        raise ArchiveError(f"{what} is damaged: its JPEG XL file does not start as one of {width}x{height} pixels")
    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(packed, numthreads=granted_cores()))
    except (RuntimeError, MemoryError) as error:
        raise ArchiveError(f"{what} is damaged: its JPEG XL file cannot be read ({error})") from error


def _size(packed: bytes) -> tuple[int, int] | None:
    """Width and height in the header of the first picture; None where there is no header."""
    stream = _codestream(packed)
    if stream is None:
        return None
    bits, position = int.from_bytes(stream[:12], "little"), 0

    def take(count: int) -> int:
        nonlocal position
        position += count
        return bits >> (position - count) & ((1 << count) - 1)

    def side(small: int) -> int:
        return 8 * (take(5) + 1) if small else take(_SIDE_BITS[take(2)]) + 1

    small = take(1)
    height = side(small)
    ratio = take(3)
    if not ratio:
        return side(small), height
    numerator, denominator = _RATIOS[ratio - 1]
    return height * numerator // denominator, height


def _codestream(packed: bytes) -> bytes | None:
    """What follows the codestream's first two bytes, in a file with boxes or without."""
    position = 0
    while not packed.startswith(_CODESTREAM, position):
        length, kind = int.from_bytes(packed[position : position + 4], "big"), packed[position + 4 : position + 8]
        if kind in (b"jxlc", b"jxlp"):
            position += 8 if kind == b"jxlc" else 12
            if not packed.startswith(_CODESTREAM, position):
                return None
        elif length < 8 or position + length >= len(packed):
            return None
        else:
            position += length
    return packed[position + 2 : position + 16]
