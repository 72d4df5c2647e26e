"""What image files hold besides pixels (EXIF, colour profile, alpha), on its way into and out of the attachments.

What is kept of an image file is decided by `capture.image_files`; equal profiles are stored once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from nerfstudio_mvc.archive.packing import KIND_BLOB, KIND_METADATA, Item
from nerfstudio_mvc.errors import ArchiveError

if TYPE_CHECKING:
    from nerfstudio_mvc.capture.image_files import ImageMetadata

BLOB_FIELD = "blob"


def metadata_items(metadata: Mapping[int, ImageMetadata]) -> list[Item]:
    """Image metadata by view_idx as items of the attachments' pack: one JSON text, and the bytes it refers to."""
    blobs: dict[bytes, int] = {}

    def plain(value: Any) -> Any:
        return {BLOB_FIELD: blobs.setdefault(value, len(blobs))} if isinstance(value, bytes) else value

    lines = [
        [view_idx, {name: plain(value) for name, value in _told(line)}] for view_idx, line in sorted(metadata.items())
    ]
    if not lines:
        return []
    text = json.dumps(lines, separators=(",", ":")).encode()
    # Blobs are packed in the order of their names.
    return [Item(KIND_METADATA, "", text), *(Item(KIND_BLOB, f"{idx:08d}", blob) for blob, idx in blobs.items())]


def _told(line: ImageMetadata) -> list[tuple[str, Any]]:
    """Fields that are not what they are anyway."""
    return [(field.name, value) for field in fields(line) if (value := getattr(line, field.name)) != field.default]


def read_metadata(items: Sequence[Item], *, view_count: int, what: str) -> dict[int, ImageMetadata]:
    """Inverse of `metadata_items`; `what` names the archive in messages.

    Raises:
        ArchiveError: the text is no list of views and fields, or names bytes that are not there.
    """
    texts = [item.data for item in items if item.kind == KIND_METADATA]
    blobs = {
        int(item.path): item.data
        for item in items
        if item.kind == KIND_BLOB and item.path.isascii() and item.path.isdigit()
    }
    if not texts:
        return {}
    # Pillow, which image_files needs, is not loaded by those who only look at an archive's numbers.
    from nerfstudio_mvc.capture.image_files import ImageMetadata

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return blobs[value[BLOB_FIELD]]
        return tuple(value) if isinstance(value, list) else value

    try:
        lines = {
            view_idx: ImageMetadata(**{name: whole(value) for name, value in line.items()})
            for view_idx, line in json.loads(texts[0])
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(
            f"{what} is damaged: its image metadata makes no sense ({error}). Fetch or make it again."
        ) from error
    if not all(isinstance(view_idx, int) and 0 <= view_idx < view_count for view_idx in lines):
        raise ArchiveError(f"{what} is damaged: it has metadata of a view that is not there. Fetch or make it again.")
    return lines
