"""What a JPEG file holds besides its picture, its EXIF, XMP, profile and comment: bytes that are carried unread.

Thermal cameras keep temperatures in APP3, editors captions in APP13 (IPTC), phones gain maps in APP2 and a film behind
the end. Nothing of it is interpreted; it is taken out, and put into the file that stands for the old one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SOI = b"\xff\xd8"
_SOS = 0xDA
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In coded data, a 0xFF that neither stands for itself nor restarts the decoder."""

_UNDERSTOOD = (
    (0xE0, b"JFIF\0"),
    (0xE1, b"Exif\0\0"),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    (0xE2, b"ICC_PROFILE\0"),
    (0xEE, b"Adobe"),  # says which colours the coded picture has: the new picture's own
)
"""Segments that Pillow reads and writes; the first comment is another."""


@dataclass(frozen=True)
class CarriedBytes:
    """Bytes of a photograph's file that are put back as they were.

    Attributes:
        segments: whole JPEG segments, one after the other.
        trailer: what follows the end of the picture.
    """

    segments: bytes = b""
    trailer: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.segments or self.trailer)

    @property
    def size(self) -> int:
        return len(self.segments) + len(self.trailer)


def carried_bytes(data: bytes) -> CarriedBytes:
    """What of a JPEG file nobody else carries; nothing for other files, and nothing behind damage."""
    if not data.startswith(SOI):
        return CarriedBytes()
    segments: list[bytes] = []
    comments: list[bytes] = []
    position, end = 2, None
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        elif marker == 0xD9:
            end = position + 2
            break
        else:
            length = int.from_bytes(data[position + 2 : position + 4], "big")
            segment = data[position : position + 2 + length]
            if length < 2 or len(segment) < 2 + length:
                break
            if marker == 0xFE:
                comments.append(segment)
            elif 0xE0 <= marker <= 0xEF and not _is_understood(marker, segment[4:]):
                segments.append(segment)
            position += 2 + length
            if marker == _SOS:
                found = _MARKER_IN_SCAN.search(data, position)
                if found is None:
                    break
                position = found.start()
    trailer = b"" if end is None else data[end:]
    # Pillow keeps the last comment.
    return CarriedBytes(b"".join([*segments, *comments[:-1]]), trailer)


def with_carried_bytes(data: bytes, carried: CarriedBytes) -> bytes:
    """A JPEG file with `carried` in it: segments behind those that it begins with, the rest behind its end."""
    position = 2
    while data[position] == 0xFF and (0xE0 <= data[position + 1] <= 0xEF or data[position + 1] == 0xFE):
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data[:position] + carried.segments + data[position:] + carried.trailer


def _is_understood(marker: int, body: bytes) -> bool:
    return any(marker == known and body.startswith(head) for known, head in _UNDERSTOOD)
