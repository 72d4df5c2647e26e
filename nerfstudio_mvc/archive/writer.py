"""Writing an `.mvc` file: groups one at a time into a hidden work folder, then one ZIP, verified and renamed.

What goes into the groups is the codec's business, which files are carried along is `attachments.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerfstudio_mvc.archive.attachments import AttachmentPlan
from nerfstudio_mvc.archive.integrity import VerifyReport
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.coded import CodedGroup


@dataclass(frozen=True)
class CodingSettings:
    """How the views were coded; everything a decoder must know besides the groups.

    Attributes:
        codec: name in `codecs.catalog`, e.g. ``"lmvic"``.
        fingerprint: of the weights, as the codec gives it; "" for a codec without weights.
        quality: 1 to 8.
        parameters: whatever else shapes the strings, JSON values only (group size, depth prior, versions).
    """

    codec: str
    fingerprint: str
    quality: float
    parameters: Mapping[str, Any] = field(default_factory=dict)


class ArchiveWriter:
    """Collects coded groups and turns them into one file; a context manager.

        with ArchiveWriter(path, views=capture.views, kind=capture.kind, groups=groups, settings=settings) as writer:
            for group_idx, order in enumerate(groups):
                if not writer.has_group(group_idx):
                    encoded = codec.encode_group(group_idx, ...)       # cameras from writer.views
                    writer.add_group(encoded.coded, pixel_checks=...)  # view_idx -> integrity.pixel_check(pixels)
            report = writer.finish(plan, image_metadata=metadata)

    Leaving the block without `finish` keeps finished groups in the work folder, so that `resume=True` continues
    (nothing is kept when no group was finished); `discard` removes it.

    Args:
        path: the file to make.
        views: of the capture, in capture order, with `image_path` (their bytes are hashed: the key of a resumed run).
        kind: `Capture.kind`.
        groups: view_idx of each group in coding order; every view exactly once.
        settings: how they are coded.
        resume: continue a work folder left by a stopped run with the same inputs and settings.
        force: replace an existing file (only once the new one is complete).

    Attributes:
        views: the views as a reader will give them back: cameras through their stored form, `image_path` None.

    Raises:
        OutputError: the target exists, another run is writing it, the work folder belongs to other inputs or
            settings (with `resume`), or the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        views: Sequence[View],
        kind: str,
        groups: Sequence[Sequence[int]],
        settings: CodingSettings,
        resume: bool = False,
        force: bool = False,
    ) -> None:
        self.views: tuple[View, ...] = tuple(views)
        raise NotImplementedError

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, *error: object) -> None:
        raise NotImplementedError

    def has_group(self, group_idx: int) -> bool:
        """Whether the group is finished, in this run or in the one being resumed."""
        raise NotImplementedError

    def finished_payload_bytes(self, group_idx: int) -> int:
        """Bytes of the strings of a finished group."""
        raise NotImplementedError

    def add_group(self, group: CodedGroup, *, pixel_checks: Mapping[int, int]) -> None:
        """Keep a coded group; `pixel_checks` maps view_idx to `integrity.pixel_check` of what the decoder will show."""
        raise NotImplementedError

    def finish(self, plan: AttachmentPlan, *, image_metadata: Mapping[int, Any]) -> VerifyReport:
        """Assemble, verify and rename; the work folder goes away.

        Args:
            plan: from `attachments.plan_attachments`.
            image_metadata: view_idx -> `capture.image_files.ImageMetadata`; left out with mode "none".
        """
        raise NotImplementedError

    def discard(self) -> None:
        """Forget everything: removes the work folder, finished groups too."""
        raise NotImplementedError
