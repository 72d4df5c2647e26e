"""Files carried along unread: which of a capture folder's files go into the archive, and their way in and out.

The photographs are the codec's business; how known kinds of files become small is `packing.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not in the archive, and why. `path` is POSIX, relative to the capture folder."""

    path: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class DownscaledFolder:
    """Smaller copies of photographs that were there and are remade on restore.

    Attributes:
        path: of the folder, e.g. ``"images_2"``.
        source: folder of the photographs they are copies of, e.g. ``"images"``.
        factor: 2, 4, 8, ...
        suffix: of its files, e.g. ``".jpg"``; "" where each has the suffix of its photograph.
        view_idxs: the views with a copy here; None for all views of `source`.
        bytes: of the folder's copies on disk.
    """

    path: str
    source: str
    factor: int
    suffix: str
    view_idxs: tuple[int, ...] | None
    bytes: int


@dataclass(frozen=True)
class AttachmentPlan:
    """What will be attached and what not.

    Attributes:
        mode: "lean", "all" or "none".
        root: the capture folder; None for a capture without files.
        files: POSIX paths relative to `root`, sorted.
        left_out: what is not attached, with reasons.
        downscaled: folders to remake on restore.
    """

    mode: str
    root: Path | None
    files: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    downscaled: tuple[DownscaledFolder, ...]


def plan_attachments(root: Path | None, *, view_names: Collection[str], mode: str = "lean") -> AttachmentPlan:
    """Look through the capture folder and decide file by file; reads names and sizes only."""
    raise NotImplementedError
