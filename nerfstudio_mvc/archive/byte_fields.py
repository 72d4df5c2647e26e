"""Fields of our binary entries: variable-length integers, strings and byte runs, every read bounds-checked.

What the fields mean is said where they are used (`camera_table.py`, `group_entry.py`, `packing.py`).
"""

from __future__ import annotations

from nerfstudio_mvc.errors import ArchiveError


def varint(value: int) -> bytes:
    """Unsigned integer, seven bits a byte, lowest first; the top bit says that more follow."""
    if value < 0:
        raise ValueError(f"varint holds no negative number, got {value}")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """Signed to unsigned with small magnitudes staying small: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return value * 2 if value >= 0 else -value * 2 - 1


def unzigzag(value: int) -> int:
    """Inverse of `zigzag`."""
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def text_field(text: str) -> bytes:
    """UTF-8 with its length in front."""
    raw = text.encode("utf-8", "surrogateescape")
    return varint(len(raw)) + raw


class FieldReader:
    """Reads fields from the front of `data`; anything that runs past its end is an `ArchiveError` naming `what`."""

    def __init__(self, data: bytes, *, what: str) -> None:
        self._data = memoryview(data)
        self._position = 0
        self.what = what

    @property
    def remaining(self) -> int:
        return len(self._data) - self._position

    def damaged(self, detail: str) -> ArchiveError:
        """The error to raise when a field makes no sense."""
        return ArchiveError(f"{self.what} is damaged: {detail}. Fetch or make the archive again.")

    def take(self, count: int) -> bytes:
        if count > self.remaining:
            raise self.damaged(f"{count} bytes wanted at offset {self._position}, {self.remaining} are left")
        start = self._position
        self._position += count
        return bytes(self._data[start : self._position])

    def varint(self, *, limit: int) -> int:
        """An unsigned integer of at most `limit`."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 70:
                raise self.damaged("an integer of more than ten bytes")
        if value > limit:
            raise self.damaged(f"a count or length of {value} where at most {limit} is possible")
        return value

    def text(self, *, limit: int) -> str:
        raw = self.take(self.varint(limit=limit))
        try:
            return raw.decode("utf-8", "surrogateescape")
        except UnicodeDecodeError as error:
            raise self.damaged("a name that is not UTF-8") from error

    def finish(self) -> None:
        """All bytes must have been read."""
        if self.remaining:
            raise self.damaged(f"{self.remaining} bytes too many")
