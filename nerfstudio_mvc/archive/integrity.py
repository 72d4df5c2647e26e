"""Is every byte still what was written: checks of decoded pixels, and a verification that decodes no photograph.

Checksums of the stored bytes are the question here; that they unpack and decode to what was put in was true when the
writer accepted the file, and is asked again with `unpack` and by `pipeline.decode_check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.reader import ArchiveReader, DamagedGroupError
from nerfstudio_mvc.errors import ArchiveError


@dataclass(frozen=True)
class VerifyReport:
    """What a verification read.

    Attributes:
        archive: the file.
        file_bytes: its size.
        views, groups, attachments: how many were read and found whole.
        problems: one line for each thing that is damaged; empty when all is well.
        damaged_views: names of the views that cannot be decoded.
    """

    archive: str
    file_bytes: int
    views: int
    groups: int
    attachments: int
    problems: tuple[str, ...]
    damaged_views: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def pixel_check(pixels: np.ndarray) -> int:
    """CRC-32 of decoded pixels, row by row: two decoders agree when this number agrees. uint8 [H, W, 3]"""
    return crc32(np.ascontiguousarray(pixels, dtype=np.uint8).data)


def verify(path: Path, *, unpack: bool = False) -> VerifyReport:
    """Read every byte of an archive and hold it against its checksums; decodes no photograph.

    Args:
        path: the file.
        unpack: also unpack every attached file and hold it against its SHA-256, as the writer does; slower by seconds
            where there are many.

    Raises:
        ArchiveError: not an archive at all, of another version, or its manifest is unreadable.
    """
    problems: list[str] = []
    lost: set[int] = set()
    whole_groups = attachments = 0
    with ArchiveReader(path) as reader:
        try:
            reader.views()
        except ArchiveError as error:
            problems.append(str(error))
            lost.update(range(len(reader.manifest.views)))
        for group_idx in range(len(reader.manifest.groups)):
            damage = _group_damage(reader, group_idx)
            if damage is None:
                whole_groups += 1
            else:
                problems.append(str(damage))
                lost.update(damage.lost_view_idxs)
        try:
            if unpack:
                for _ in reader.read_attachments():
                    attachments += 1
            else:
                attachments = reader.check_attachments()
        except ArchiveError as error:
            problems.append(str(error))
        problems += _unknown_entries(reader)
        return VerifyReport(
            archive=str(path),
            file_bytes=reader.container.file_bytes,
            views=len(reader.manifest.views) - len(lost),
            groups=whole_groups,
            attachments=attachments,
            problems=tuple(problems),
            damaged_views=tuple(reader.manifest.views[view_idx].name for view_idx in sorted(lost)),
        )


def _group_damage(reader: ArchiveReader, group_idx: int) -> DamagedGroupError | None:
    try:
        reader.read_group(group_idx)
    except DamagedGroupError as error:
        return error
    return None


def _unknown_entries(reader: ArchiveReader) -> list[str]:
    """Every byte must be accounted for: no entry that this format does not read."""
    known = {layout.MANIFEST_ENTRY, layout.CAMERAS_ENTRY, layout.ATTACHMENTS_ENTRY}
    known.update(map(layout.group_entry, range(len(reader.manifest.groups))))
    entries = reader.manifest.attached_files + layout.MAX_BLOBS_PER_VIEW * len(reader.manifest.views)
    known.update(map(layout.large_file_entry, range(entries)))
    strange = [name for name in reader.container.names if name not in known]
    return [f'{reader.path}: entry "{name!r:.80}" is none of this format.' for name in strange]
