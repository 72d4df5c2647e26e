"""What the tasks of `capture_tasks` hand each other. Loads nothing heavy, since it passes through a scheduler too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.archive.writer import PhotographFile
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.pipeline.archive_record import Source
from nerfstudio_mvc.pipeline.options import CompressOptions


@dataclass(frozen=True)
class GroupTask:
    """A group to code; small enough to be sent around.

    Attributes:
        output: the archive to be.
        key: of its work folder.
        groups: view_idx of all groups of the capture.
        group_idx: of this one.
        views: of this one in coding order, cameras as the decoder will read them.
        photographs: files of these views as they were when the capture was prepared.
        options: of the compression.
    """

    output: Path
    key: str
    groups: tuple[tuple[int, ...], ...]
    group_idx: int
    views: tuple[View, ...]
    photographs: tuple[PhotographFile, ...]
    options: CompressOptions


@dataclass(frozen=True)
class PreparedCapture:
    """What came of preparing a capture.

    Attributes:
        groups: those that are to be coded.
        source: what the capture was read from.
        depth: how it was found, in one line.
        warnings: what could not be used for it.
    """

    groups: tuple[GroupTask, ...]
    source: Source
    depth: str
    warnings: tuple[str, ...]
