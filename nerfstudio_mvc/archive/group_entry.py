"""One group of views as bytes: a header that names and measures every string, then the strings themselves.

Nothing is known here of what the strings mean. FORMAT.md has the table of fields.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, text_field, varint
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError

PREFIX = struct.Struct("<5sII")  # magic, bytes of the fields that follow, their CRC-32
CHECK = struct.Struct("<H")  # low half of a string's CRC-32; the ZIP keeps 32 bits for the whole entry
PIXEL_CHECK = struct.Struct("<I")
MAX_PAYLOAD_BYTES = 1 << 40


@dataclass(frozen=True)
class StringHeader:
    """Name, length and check of one string."""

    name: str
    payload_bytes: int
    check: int


@dataclass(frozen=True)
class ViewHeader:
    """One view of a group: which, what its pixels must add up to, and its strings."""

    view_idx: int
    pixel_check: int
    strings: tuple[StringHeader, ...]


@dataclass(frozen=True)
class GroupHeader:
    """Everything of a group but its strings; `header_bytes` is where they start."""

    group_idx: int
    views: tuple[ViewHeader, ...]
    header_bytes: int

    @property
    def payload_bytes(self) -> int:
        return sum(string.payload_bytes for view in self.views for string in view.strings)


def string_check(payload: bytes) -> int:
    """The 16-bit check stored for a string."""
    return crc32(payload) & 0xFFFF


def encode_group(group: CodedGroup, *, pixel_checks: Mapping[int, int]) -> bytes:
    """A group as the bytes of its ZIP entry."""
    names: dict[str, int] = {}
    rows = bytearray()
    for view in group.views:
        rows += varint(view.view_idx) + PIXEL_CHECK.pack(pixel_checks[view.view_idx]) + varint(len(view.substreams))
        for substream in view.substreams:
            name_idx = names.setdefault(substream.name, len(names))
            rows += varint(name_idx) + varint(len(substream.payload)) + CHECK.pack(string_check(substream.payload))
    name_fields = b"".join(text_field(name) for name in names)
    fields = varint(group.group_idx) + varint(len(names)) + name_fields + varint(len(group.views)) + bytes(rows)
    prefix = PREFIX.pack(layout.GROUP_MAGIC, len(fields), crc32(fields))
    return b"".join([prefix, fields, *(string.payload for view in group.views for string in view.substreams)])


def header_length(prefix: bytes, *, what: str) -> int:
    """Bytes of prefix and fields together, from the first `PREFIX.size` bytes of an entry."""
    if len(prefix) < PREFIX.size or prefix[: len(layout.GROUP_MAGIC)] != layout.GROUP_MAGIC:
        raise ArchiveError(f"{what} is damaged: it does not start as a group. Fetch or make the archive again.")
    return PREFIX.size + PREFIX.unpack(prefix[: PREFIX.size])[1]


def decode_header(data: bytes, *, what: str) -> GroupHeader:
    """The header at the front of an entry; `what` names the entry in messages.

    Raises:
        ArchiveError: the header is damaged: nothing of the group can be found without it.
    """
    length = header_length(data, what=what)
    reader = FieldReader(data[PREFIX.size : length], what=what)
    if length > len(data):
        raise reader.damaged(f"its header claims {length} bytes, {len(data)} are there")
    stored = PREFIX.unpack(data[: PREFIX.size])[2]
    computed = crc32(data[PREFIX.size : length])
    if stored != computed:
        raise reader.damaged(f"checksum of its header mismatches (stored {stored:08x}, computed {computed:08x})")
    group_idx = reader.varint(limit=layout.MAX_GROUPS)
    names = [reader.text(limit=layout.MAX_NAME_BYTES) for _ in range(reader.varint(limit=reader.remaining))]
    views = tuple(_view_header(reader, names) for _ in range(reader.varint(limit=reader.remaining)))
    reader.finish()
    if len({view.view_idx for view in views}) != len(views):
        raise reader.damaged("it holds a view twice")
    return GroupHeader(group_idx, views, length)


def _view_header(reader: FieldReader, names: list[str]) -> ViewHeader:
    view_idx = reader.varint(limit=layout.MAX_VIEWS)
    (pixel_check,) = PIXEL_CHECK.unpack(reader.take(PIXEL_CHECK.size))
    strings = []
    for _ in range(reader.varint(limit=min(layout.MAX_SUBSTREAMS_PER_VIEW, reader.remaining))):
        if not names:
            raise reader.damaged("a string without a name")
        name = names[reader.varint(limit=len(names) - 1)]
        payload_bytes = reader.varint(limit=MAX_PAYLOAD_BYTES)
        strings.append(StringHeader(name, payload_bytes, CHECK.unpack(reader.take(CHECK.size))[0]))
    return ViewHeader(view_idx, pixel_check, tuple(strings))


@dataclass(frozen=True)
class StringDamage:
    """A string of a group that is not what was written; `computed` is None where bytes are missing."""

    view_position: int
    name: str
    stored: int
    computed: int | None


def cut_strings(data: bytes, header: GroupHeader) -> tuple[CodedGroup, tuple[StringDamage, ...]]:
    """All views of a group, in coding order, and what is damaged of them.

    A view with a damaged string has none but, where that is whole, the one with bytes of the photograph's file.
    """
    position = header.header_bytes
    views: list[CodedView] = []
    damages: list[StringDamage] = []
    for view_position, view in enumerate(header.views):
        substreams, lost = [], False
        for string in view.strings:
            payload = data[position : position + string.payload_bytes]
            position += string.payload_bytes
            computed = string_check(payload) if len(payload) == string.payload_bytes else None
            if computed == string.check:
                substreams.append(Substream(string.name, payload))
            else:
                damages.append(StringDamage(view_position, string.name, string.check, computed))
                lost |= string.name != layout.FILE_STRING
        if lost:
            substreams = [substream for substream in substreams if substream.name == layout.FILE_STRING]
        views.append(CodedView(view.view_idx, tuple(substreams)))
    return CodedGroup(header.group_idx, tuple(views)), tuple(damages)
