"""Reading an `.mvc` file: the manifest first, then any group or attachment without touching the rest.

It returns named byte strings and views; decoding them is the codec's business, writing folders the pipeline's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nerfstudio_mvc.archive.manifest import Manifest
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import ArchiveError


class DamagedGroupError(ArchiveError):
    """A group with damaged strings; what stands before the damage still decodes.

    Attributes:
        intact: the group's views before the damage, in coding order (may be empty).
        lost_view_idxs: the views from the damage on, in coding order.
    """

    def __init__(self, message: str, *, intact: CodedGroup, lost_view_idxs: tuple[int, ...]) -> None:
        super().__init__(message)
        self.intact = intact
        self.lost_view_idxs = lost_view_idxs


class ArchiveReader:
    """An open archive; a context manager.

    Args:
        path: the file.

    Attributes:
        manifest: everything the file says about itself.

    Raises:
        ArchiveError: not an `.mvc`, truncated, of another version, or its manifest does not hold together.
    """

    manifest: Manifest

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def views(self) -> tuple[View, ...]:
        """The views in capture order; cameras bit for bit as written, `image_path` None."""
        raise NotImplementedError

    def read_group(self, group_idx: int) -> CodedGroup:
        """The strings of one group.

        Raises:
            DamagedGroupError: a checksum does not agree; says which views are lost and carries the others.
        """
        raise NotImplementedError

    def pixel_checks(self, group_idx: int) -> dict[int, int]:
        """view_idx -> `integrity.pixel_check` of the pixels the encoder saw its decoder make."""
        raise NotImplementedError

    def read_attachments(self) -> Iterator[tuple[str, bytes]]:
        """(POSIX path relative to the capture folder, bytes) of every attached file, checked against its SHA-256."""
        raise NotImplementedError

    def read_image_metadata(self) -> dict[int, Any]:
        """view_idx -> `capture.image_files.ImageMetadata`; empty when the archive carries none."""
        raise NotImplementedError
