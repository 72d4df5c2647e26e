"""The manifest: what an archive says about itself, as JSON, validated field by field.

Cameras have an entry of their own (`camera_table.py`); the table of attached files stands in their pack (`packing.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nerfstudio_mvc.archive.attachments import DownscaledFolder, LeftOut
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.errors import ArchiveError


@dataclass(frozen=True)
class ViewEntry:
    """One line of the view table: its name, the size of its pixels, and the photograph's bytes on disk (0: unknown)."""

    name: str
    width: int
    height: int
    source_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an archive says about itself.

    Attributes:
        version: of the format.
        writer: program and version that wrote it.
        codec, fingerprint, quality, parameters: see `writer.CodingSettings`.
        kind: of the capture ("nerfstudio", "colmap", "photographs", ...).
        views: in capture order.
        groups: view_idx of each group, in coding order.
        attachments: mode, "lean", "all" or "none".
        attached_files, attached_bytes: how many files are attached, and their bytes as they were on disk.
        left_out: what was not attached, with reasons.
        downscaled: folders of smaller copies to remake on restore.
    """

    version: int
    writer: str
    codec: str
    fingerprint: str
    quality: float
    parameters: Mapping[str, Any]
    kind: str
    views: tuple[ViewEntry, ...]
    groups: tuple[tuple[int, ...], ...]
    attachments: str
    attached_files: int
    attached_bytes: int
    left_out: tuple[LeftOut, ...]
    downscaled: tuple[DownscaledFolder, ...]

    def view_idx(self, name: str) -> int:
        """Index of the view called `name`; ArchiveError naming some that exist otherwise."""
        raise NotImplementedError

    def group_of(self, view_idx: int) -> int:
        """Index of the group that holds a view."""
        raise NotImplementedError
