"""What an AV1 temporal unit of an archive may be, read before a decoder sees a byte of it.

A unit is a few OBUs (open bitstream units; AV1 specification, section 5.3): a sequence header that fixes the size of
every frame, and frames. Anything else, and a size other than that of the view, is refused: what a decoder allocates and
how long it takes follows from the size of the view alone.
"""

from __future__ import annotations

from nerfstudio_mvc.errors import ArchiveError

TEMPORAL_DELIMITER = b"\x12\x00"
_SEQUENCE_HEADER, _DELIMITER, _FRAME_HEADER, _TILE_GROUP, _FRAME = 1, 2, 3, 4, 6
_HAS_EXTENSION, _HAS_SIZE = 4, 2
_HIGH_PROFILE = 1  # 4:4:4


def without_delimiter(unit: bytes) -> bytes:
    """A temporal unit as archives keep it."""
    return unit.removeprefix(TEMPORAL_DELIMITER)


def check_unit(unit: bytes, *, width: int, height: int, first: bool, most_frames: int = 1) -> None:
    """Raise an ArchiveError unless this is a unit, without its delimiter, of a stream of frames of this size.

    Args:
        first: it begins a stream: a sequence header stands before its frame; no other unit has one.
        most_frames: that it may hold.
    """
    position, headers, frames = 0, 0, 0
    while position < len(unit):
        kind, start, end = _obu(unit, position)
        if kind == _SEQUENCE_HEADER:
            headers += 1
            if frames or _frame_size(unit[start:end]) != (width, height):
                raise ArchiveError(f"an AV1 stream is not of {width}x{height}, 4:4:4: the archive is damaged")
        elif kind in (_FRAME_HEADER, _FRAME, _TILE_GROUP):
            frames += kind != _TILE_GROUP
        else:
            raise ArchiveError("an AV1 unit holds what none of ours does: the archive is damaged")
        position = end
    if not 1 <= frames <= most_frames or headers != first:
        raise ArchiveError("an AV1 unit does not hold the frames that it should: the archive is damaged")


def _obu(unit: bytes, position: int) -> tuple[int, int, int]:
    """Type of the OBU at `position`, and where its payload starts and ends."""
    head = unit[position]
    if head & 0x80 or head & _HAS_EXTENSION or not head & _HAS_SIZE:
        raise ArchiveError("an AV1 unit is damaged: no OBU of ours begins like that")
    size, start = 0, position + 1
    for shift in range(0, 35, 7):
        if start >= len(unit):
            raise ArchiveError("an AV1 unit is cut off: the archive is damaged")
        byte = unit[start]
        start += 1
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    if start + size > len(unit):
        raise ArchiveError("an AV1 unit is cut off: the archive is damaged")
    return head >> 3 & 15, start, start + size


def _frame_size(header: bytes) -> tuple[int, int] | None:
    """Width and height that a sequence header fixes; None where it is not written as libaom writes ours: profile 1,
    not a still picture, one operating point without timing."""
    bits = _Bits(header)
    profile, still, reduced = bits.take(3), bits.take(1), bits.take(1)
    timing, delay, points = bits.take(1), bits.take(1), bits.take(5)
    if profile != _HIGH_PROFILE or still or reduced or timing or delay or points:
        return None
    bits.take(12)  # operating point
    if bits.take(5) > 7:  # level
        bits.take(1)  # tier
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    return None if bits.exhausted else (width, height)


class _Bits:
    """Reads a string bit by bit, zeros behind its end."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content[:32], "big"), 8 * len(content[:32])
        self.exhausted = False

    def take(self, count: int) -> int:
        if count > self._left:
            self.exhausted = True
            return 0
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)
