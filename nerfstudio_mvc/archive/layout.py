"""Entry names, versions and limits of an `.mvc` file: the only place that spells them (FORMAT.md explains them).

Nothing here reads or writes; every other module of `archive/` takes its constants from this one.
"""

from __future__ import annotations

FORMAT_NAME = "mvc"
FORMAT_VERSION = 2

CODEC_PARAHYDRA = "parahydra"

MANIFEST_ENTRY = "manifest.json"
CAMERAS_ENTRY = "cameras.bin"
ATTACHMENTS_PREFIX = "attachments/"
ATTACHMENTS_ENTRY = "attachments/pack.bin"
GROUP_ENTRY_PATTERN = "groups/{:05d}.mvg"
LARGE_FILE_ENTRY_PATTERN = "attachments/{:05d}.xz"

CAMERAS_MAGIC = b"MVCC\x02"
GROUP_MAGIC = b"MVCG\x01"
PACK_MAGIC = b"MVCA\x01"

ATTACHMENT_MODES = ("lean", "all", "points", "none")

DEPTH_PREFIX = "depth"
"""Substreams whose name starts so are depth; all others are photographs."""

FILE_STRING = "file"
"""Substream with bytes of a photograph's file that are no picture."""

CELLS_STRING = "cells"
"""Substream with the coarse means of a decoded view."""

MAX_VIEWS = 100_000
MAX_GROUPS = 100_000
MAX_IMAGE_SIDE = 65_535
MAX_VIEW_PIXELS = 1 << 28
MAX_GROUP_PIXELS = 1 << 32
MAX_PIXELS = 1 << 43
BELIEVED_PIXELS = 1 << 25
"""A group of more pixels is believed where the file has a byte for every `PIXELS_PER_BYTE` of them."""
PIXELS_PER_BYTE = 1 << 14
MAX_NAME_BYTES = 4096
MAX_SUBSTREAMS_PER_VIEW = 4096
MAX_CAMERA_PARAMETERS = 64
MAX_MANIFEST_BYTES = 64 << 20
MAX_CAMERAS_BYTES = 64 << 20
MAX_ATTACHMENT_FILES = 200_000
MAX_PACK_BYTES = 256 << 20
"""Unpacked size of everything in the solid pack together."""
MAX_PLANE_BYTES = 320 << 20
"""Bytes of all its planes together; a little more than the files they make."""
FILLED_PACK_BYTES = 192 << 20
"""Once the solid pack holds this much, further files are stored one by one."""
LARGE_FILE_BYTES = 32 << 20
"""So are files from this size on."""
MAX_LARGE_FILE_BYTES = 4 << 30
MAX_BLOBS_PER_VIEW = 6
"""Of image metadata."""
MAX_CARRIED_BYTES = 1 << 30
"""Of one photograph's file, besides its picture."""


def group_entry(group_idx: int) -> str:
    """Name of the ZIP entry that holds group `group_idx`."""
    return GROUP_ENTRY_PATTERN.format(group_idx)


def large_file_entry(file_idx: int) -> str:
    """Name of the ZIP entry that holds the large attachment `file_idx`."""
    return LARGE_FILE_ENTRY_PATTERN.format(file_idx)
