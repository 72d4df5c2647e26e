"""The numbers behind `ns-mvc-info`: where the bytes of an archive are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerfstudio_mvc.archive.manifest import Manifest


@dataclass(frozen=True)
class ArchiveSummary:
    """Sizes in bytes unless the name says otherwise.

    Attributes:
        image_bytes: strings of the photographs.
        depth_bytes: strings of their depth.
        camera_bytes: cameras, as stored.
        attachment_bytes: attached files and image metadata, as stored, with their ZIP records.
        container_bytes: everything else: manifest, group headers, ZIP records.
        attached_bytes: the attached files as they were on disk.
        source_bytes: the photographs as they were on disk; 0 when unknown.
        pixels: of all views together.
        bpp: 8 x (everything but `attachment_bytes`) / pixels.
        substream_bytes: name -> bytes over all views.
        group_sizes: views per group.
    """

    archive: str
    manifest: Manifest
    file_bytes: int
    image_bytes: int
    depth_bytes: int
    camera_bytes: int
    attachment_bytes: int
    container_bytes: int
    attached_bytes: int
    source_bytes: int
    pixels: int
    bpp: float
    substream_bytes: dict[str, int]
    group_sizes: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        raise NotImplementedError


def summarize(path: Path) -> ArchiveSummary:
    """Read manifest and group headers of an archive; no payload is touched.

    Raises:
        ArchiveError: see `reader.ArchiveReader`.
    """
    raise NotImplementedError
