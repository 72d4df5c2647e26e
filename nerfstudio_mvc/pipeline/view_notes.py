"""What is found out about a view while it is coded, when its photograph is at hand: how good it is, and how its file is
best written on restore. Kept beside its group, for runs that go on with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from nerfstudio_mvc.capture.image_files import ImageMetadata, JpegLikeness, shown_pixels, with_jpeg_likeness
from nerfstudio_mvc.quality.psnr import psnr_db

COST_DB = 0.1
"""PSNR that a file may lose by being written more like the original's, and smaller."""


@dataclass(frozen=True)
class ViewNote:
    """PSNR of a view and of the file restored of it against the photograph, dB; how that file is to be written."""

    psnr_db: float
    file_psnr_db: float
    jpeg: JpegLikeness


def note_of_view(name: str, original: np.ndarray, decoded: np.ndarray, metadata: ImageMetadata | None) -> ViewNote:
    """The note of a view.

    Args:
        name: of its photograph.
        original, decoded: uint8 [H, W, 3]
        metadata: that its file will be written with; None where none is carried.
    """
    psnr = psnr_db(original, decoded)
    if math.isinf(psnr):
        return ViewNote(psnr, psnr, "coding")

    def file_psnr(jpeg: JpegLikeness) -> float:
        carried = None if metadata is None else with_jpeg_likeness(metadata, jpeg)
        return psnr_db(original, shown_pixels(Path(name), decoded, carried))

    plain = file_psnr("none")
    likeness: tuple[JpegLikeness, ...] = ("coding", "subsampling") if metadata and metadata.jpeg_tables else ()
    for jpeg in likeness:
        found = file_psnr(jpeg)
        if found >= plain - COST_DB:
            return ViewNote(psnr, found, jpeg)
    return ViewNote(psnr, plain, "none")


def pack_notes(notes: Mapping[int, ViewNote]) -> bytes:
    """Notes by view_idx as the bytes of a file."""
    return json.dumps([[view_idx, *astuple(note)] for view_idx, note in notes.items()]).encode()


def unpack_notes(data: bytes | None) -> dict[int, ViewNote]:
    """Inverse of `pack_notes`; nothing where there is no such file, or one of another version."""
    try:
        return {view_idx: ViewNote(*note) for view_idx, *note in json.loads(data or b"[]")}
    except (ValueError, TypeError):
        return {}
