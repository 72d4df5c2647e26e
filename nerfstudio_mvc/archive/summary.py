"""The numbers behind `ns-mvc-info`: where the bytes of an archive are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.manifest import Manifest
from nerfstudio_mvc.archive.reader import ArchiveReader


@dataclass(frozen=True)
class ArchiveSummary:
    """Sizes in bytes unless the name says otherwise.

    Attributes:
        image_bytes: strings of the photographs.
        depth_bytes: strings of their depth.
        camera_bytes: cameras, as stored.
        attachment_bytes: attached files, image metadata and other bytes of the photographs' files, as stored.
        metadata_bytes: of `attachment_bytes`, what is not attached files: EXIF and the like.
        container_bytes: everything else: manifest, group headers, ZIP records.
        attached_bytes: the attached files as they were on disk.
        source_bytes: the photographs as they were on disk; 0 when unknown.
        pixels: of all views together.
        bpp: 8 x (everything but `attachment_bytes`) / pixels.
        substream_bytes: name -> bytes over all views.
        group_sizes: views per group.
        psnr_db, file_psnr_db: mean over the views against the photographs, dB, as decoded and of the restored files;
            None where it is not known.
    """

    archive: str
    manifest: Manifest
    file_bytes: int
    image_bytes: int
    depth_bytes: int
    camera_bytes: int
    attachment_bytes: int
    metadata_bytes: int
    container_bytes: int
    attached_bytes: int
    source_bytes: int
    pixels: int
    bpp: float
    substream_bytes: dict[str, int]
    group_sizes: tuple[int, ...]
    psnr_db: float | None
    file_psnr_db: float | None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def summarize(path: Path) -> ArchiveSummary:
    """Read manifest and group headers of an archive; no payload is touched.

    Raises:
        ArchiveError: see `reader.ArchiveReader`.
    """
    substream_bytes: Counter[str] = Counter()
    with ArchiveReader(path) as reader:
        manifest, container = reader.manifest, reader.container
        for group_idx in range(len(manifest.groups)):
            for view in reader.group_header(group_idx).views:
                for string in view.strings:
                    substream_bytes[string.name] += string.payload_bytes
        attached = [name for name in container.names if name.startswith(layout.ATTACHMENTS_PREFIX)]
        attachment_bytes = sum(container.stored_bytes(name) + container.record_bytes(name) for name in attached)
        metadata_bytes = reader.metadata_bytes()
        camera_bytes = container.stored_bytes(layout.CAMERAS_ENTRY)
        file_bytes = container.file_bytes
    depth_bytes = sum(size for name, size in substream_bytes.items() if name.startswith(layout.DEPTH_PREFIX))
    file_strings = substream_bytes[layout.FILE_STRING]
    image_bytes = substream_bytes.total() - depth_bytes - file_strings
    attachment_bytes += file_strings
    return ArchiveSummary(
        archive=str(path),
        manifest=manifest,
        file_bytes=file_bytes,
        image_bytes=image_bytes,
        depth_bytes=depth_bytes,
        camera_bytes=camera_bytes,
        attachment_bytes=attachment_bytes,
        metadata_bytes=metadata_bytes + file_strings,
        container_bytes=file_bytes - image_bytes - depth_bytes - camera_bytes - attachment_bytes,
        attached_bytes=manifest.attached_bytes,
        source_bytes=manifest.source_bytes,
        pixels=manifest.pixels,
        bpp=8 * (file_bytes - attachment_bytes) / manifest.pixels,
        substream_bytes=dict(sorted(substream_bytes.items())),
        group_sizes=tuple(len(group) for group in manifest.groups),
        psnr_db=_mean([decoded for decoded, _ in manifest.view_psnr_db]),
        file_psnr_db=_mean([file for _, file in manifest.view_psnr_db]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
