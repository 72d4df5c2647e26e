"""The head of a view's `frame` string: what a decoder does before and after it decodes the AV1 unit behind it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nerfstudio_mvc.codecs.lmvic.slots import MOST_NAMED
from nerfstudio_mvc.entropy.quality_points import QUALITIES, QUALITY_STEPS
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video.colour import PlaneFormat, pack_format, read_format
from nerfstudio_mvc.video.libaom import SLOTS

_HEAD = struct.Struct("<BBBBB")  # rank, quality, strengths, named slots
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class FrameHead:
    """See the module.

    Attributes:
        rank: when the view is decoded, counted within its group.
        quality: it was coded at, in whole sixteenths; the restoration network is told.
        strengths: of restoration, luma and colour; (0, 0): none.
        slots: the pictures the view may refer to are put into these; none: a key frame, which starts a stream.
        form: of a key frame: what the planes of its stream stand for.
        copy: of a key frame: the unit that follows it, a copy of itself in a slot of its own.
    """

    rank: int
    quality: float
    strengths: tuple[int, int]
    slots: tuple[int, ...] = ()
    form: PlaneFormat | None = None
    copy: bytes = b""

    def pack(self, unit: bytes) -> bytes:
        """The string: the head, then an AV1 unit."""
        head = _HEAD.pack(self.rank, round(self.quality * QUALITY_STEPS), *self.strengths, len(self.slots))
        if self.form is not None:
            return head + _LENGTH.pack(len(self.copy)) + pack_format(self.form) + self.copy + unit
        return head + bytes(self.slots) + unit


def read_frame(string: bytes, *, what: str) -> tuple[FrameHead, bytes]:
    """What `FrameHead.pack` wrote; `what` names the view in errors.

    Raises:
        ArchiveError: it is not that.
    """
    damaged = ArchiveError(f'{what}: its "frame" string is damaged')
    if len(string) < _HEAD.size:
        raise damaged
    rank, steps, luma, colour, count = _HEAD.unpack_from(string)
    rest = string[_HEAD.size :]
    if not QUALITY_STEPS <= steps <= QUALITIES * QUALITY_STEPS or count > MOST_NAMED:
        raise damaged
    quality, strengths = steps / QUALITY_STEPS, (luma, colour)
    if count:
        slots, unit = tuple(rest[:count]), rest[count:]
        if len(slots) < count or any(slot >= SLOTS for slot in slots) or len(set(slots)) < count:
            raise damaged
        return FrameHead(rank, quality, strengths, slots), unit
    if len(rest) < _LENGTH.size:
        raise damaged
    (length,) = _LENGTH.unpack_from(rest)
    found = read_format(rest[_LENGTH.size :])
    if found is None or found[1] or length > len(found[2]):
        raise damaged
    form, _, units = found
    return FrameHead(rank, quality, strengths, form=form, copy=units[:length]), units[length:]
