"""Is every byte still what was written: checks of decoded pixels, and a verification that decodes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np


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
    return crc32(np.ascontiguousarray(pixels, dtype=np.uint8))


def verify(path: Path) -> VerifyReport:
    """Read every byte of an archive and hold it against its checksums; decodes no photograph.

    Raises:
        ArchiveError: not an archive at all, of another version, or its manifest is unreadable.
    """
    raise NotImplementedError
