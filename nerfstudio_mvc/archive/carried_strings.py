"""Bytes of photographs' files that are no picture, beside the strings of their pictures: no codec sees them.

Which bytes these are is said by `capture.jpeg_segments`. They stand in the groups, so that they are read with their
view and never all together: a film behind every photograph comes to gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.xz import packed, unpacked


def with_carried(group: CodedGroup, carried: Mapping[int, CarriedBytes]) -> CodedGroup:
    """The group with a string more for each view that `carried` (by view_idx) has bytes of."""
    return replace(
        group,
        views=tuple(
            replace(view, substreams=(*view.substreams, Substream(layout.FILE_STRING, _packed(own)))) if own else view
            for view in group.views
            for own in (carried.get(view.view_idx),)
        ),
    )


def packed_size(carried: CarriedBytes) -> int:
    """Bytes of the string that holds `carried`; none where there is nothing."""
    return len(_packed(carried)) if carried else 0


def without_carried(group: CodedGroup) -> tuple[CodedGroup, dict[int, CarriedBytes]]:
    """Inverse of `with_carried`.

    Raises:
        ArchiveError: a string does not hold what it should.
    """
    carried = {}
    views = []
    for view in group.views:
        for substream in view.substreams:
            if substream.name == layout.FILE_STRING:
                carried[view.view_idx] = _unpacked(substream.payload, view)
        own = tuple(substream for substream in view.substreams if substream.name != layout.FILE_STRING)
        views.append(replace(view, substreams=own))
    return replace(group, views=tuple(views)), carried


def _packed(carried: CarriedBytes) -> bytes:
    method, content = packed(carried.segments + carried.trailer)
    return bytes([method]) + varint(len(carried.segments)) + varint(len(carried.trailer)) + content


def _unpacked(payload: bytes, view: CodedView) -> CarriedBytes:
    reader = FieldReader(payload, what=f"the file of view {view.view_idx}")
    method = reader.take(1)[0]
    segments, trailer = (reader.varint(limit=layout.MAX_CARRIED_BYTES) for _ in range(2))
    content = reader.take(reader.remaining)
    content = unpacked(method, content, size=segments + trailer, what=reader.what)
    return CarriedBytes(content[:segments], content[segments:])
