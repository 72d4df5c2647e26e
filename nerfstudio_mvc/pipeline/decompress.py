"""Archive -> folder: photographs decoded, every attached file byte for byte, smaller copies made again.

Decoding is `open_archive`'s business, the folder's safe appearance `output_folder`'s.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from nerfstudio_mvc.archive.attachments import DownscaledFolder
from nerfstudio_mvc.capture.image_files import ImageMetadata, write_image
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.errors import ArchiveError, OutputError
from nerfstudio_mvc.pipeline.downscaled import downscaled_name, shrink, shrink_metadata
from nerfstudio_mvc.pipeline.open_archive import OpenArchive
from nerfstudio_mvc.pipeline.options import check_jobs
from nerfstudio_mvc.pipeline.output_folder import check_output_folder, output_folder, tells_case_apart
from nerfstudio_mvc.pipeline.progress import OnEvent, Planned, StepProgress, ViewDone, Warned, ignore_event, in_turn
from nerfstudio_mvc.pipeline.reports import DecompressReport
from nerfstudio_mvc.pipeline.restored_transforms import TRANSFORMS_NAME, renamed_transforms, transforms_of_views

ImageFormat = Literal["keep", "png", "jpg"]


def decompress_archive(
    archive: str | Path,
    output_dir: str | Path,
    *,
    views: Sequence[str] | None = None,
    image_format: ImageFormat = "keep",
    add_transforms: bool = False,
    device: str = "auto",
    jobs: int | None = None,
    skip_damaged: bool = False,
    force: bool = False,
    weights: Path | None = None,
    codec: MultiViewCodec | None = None,
    on_event: OnEvent | None = None,
) -> DecompressReport:
    """Restore a capture folder from an archive.

    Args:
        archive: the `.mvc` file.
        output_dir: the folder to make; it appears only when it is complete.
        views: names of the only photographs to restore, whole or last part; no attached file is restored then.
        image_format: "keep" writes each photograph under its own name; "png" and "jpg" change the names' endings,
            and those in transforms.json with them.
        add_transforms: write a transforms.json even where the capture had its cameras in a COLMAP model alone.
        device: "auto", "cpu" or "cuda".
        jobs: groups that are decoded at once, in threads; as many as cores and memory allow when None.
        skip_damaged: restore what is whole instead of giving up at the first damage.
        force: write into an existing folder, replacing files of the same name.
        weights: a weights file to use instead of those that ship with the package.
        codec: a codec to decode with, instead of the one the archive names.
        on_event: receives the events of `progress`.

    Raises:
        ArchiveError: not an archive, damaged, of another version, or without a view asked for.
        WeightsError: the weights it was written with are not here.
        OutputError: `output_dir` exists, cannot be written, or the disk is full.
        OptionError: `jobs` is out of range.
    """
    check_jobs(jobs)
    start_s = time.monotonic()
    output_dir = Path(output_dir)
    check_output_folder(output_dir, force=force)
    with OpenArchive(Path(archive), device=device, weights=weights, codec=codec) as source:
        wanted = None if views is None else {source.find_view(name) for name in views}
        with output_folder(output_dir, force=force) as folder:
            restore = _Restore(
                source, folder, image_format, add_transforms, skip_damaged, in_turn(on_event or ignore_event)
            )
            if wanted is None and not tells_case_apart(folder):
                _refuse_collisions(source, output_dir)
            restore.photographs(wanted, jobs=jobs)
            if wanted is None:
                restore.attachments()
                restore.cameras()
    return DecompressReport(
        archive=Path(archive),
        output_dir=output_dir,
        views=tuple(restore.names[view_idx] for view_idx in sorted(restore.written)),
        lost_views=tuple(restore.lost),
        differing_views=tuple(restore.differing),
        attachments=restore.attached,
        remade=restore.remade,
        warnings=tuple(restore.warnings),
        elapsed_s=time.monotonic() - start_s,
    )


def _refuse_collisions(source: OpenArchive, output_dir: Path) -> None:
    collisions = source.reader.case_collisions
    if collisions:
        raise OutputError(
            f"{output_dir}: its file system cannot hold files whose names differ only in case: {_some(collisions)}; "
            "choose a place that can, or restore single photographs with --views"
        )


@dataclass
class _Restore:
    """One restoration under way: writes into `folder` and gathers what the report says."""

    source: OpenArchive
    folder: Path
    image_format: ImageFormat
    add_transforms: bool
    skip_damaged: bool
    report: OnEvent
    written: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    attached: int = 0
    remade: int = 0
    has_cameras: bool = False
    has_transforms: bool = False
    names: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = restored_names(self.source.views, self.image_format)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.report(Warned(message))

    def photographs(self, wanted: Collection[int] | None, *, jobs: int | None) -> None:
        """Decode and write the wanted views, and with them their smaller copies."""
        manifest = self.source.reader.manifest
        groups = [group for group in manifest.groups if wanted is None or not set(group).isdisjoint(wanted)]
        sizes = {(view.width, view.height): None for view in self.source.views}
        count = len(self.source.views) if wanted is None else len(wanted)
        self.report(
            Planned(
                codec=manifest.codec,
                fingerprint=manifest.fingerprint,
                quality=manifest.quality,
                device=self.source.device,
                views=count,
                groups=len(groups),
                sizes=tuple(sizes),
            )
        )
        metadata = self._image_metadata()
        copies = manifest.downscaled if wanted is None else ()
        group_of = {view_idx: group_idx for group_idx, group in enumerate(manifest.groups) for view_idx in group}
        decoded_groups = self.source.decode_groups(
            wanted,
            skip_damaged=self.skip_damaged,
            jobs=jobs,
            on_view=lambda view_idx, _: self._report_view(view_idx, group_of[view_idx], wanted),
        )
        with closing(decoded_groups):
            for decoded in decoded_groups:
                for view_idx in sorted(decoded.pixels):
                    view = self.source.views[view_idx]
                    self._write_view(view, decoded.pixels[view_idx], metadata.get(view_idx), copies)
                self.lost += [self.source.views[view_idx].name for view_idx in decoded.lost]
                self.differing += [self.source.views[view_idx].name for view_idx in decoded.differing]
                if decoded.problem:
                    self.warn(decoded.problem)
        if self.differing:
            self.warn(
                f"{len(self.differing)} of {count} views decode to slightly other pixels than on the machine that "
                f"wrote the archive: {_some(self.differing)}"
            )

    def attachments(self) -> None:
        """Write the attached files."""
        total = self.source.reader.manifest.attached_files
        if not total:
            return
        try:
            for path, content in self.source.reader.read_attachments():
                self._write_attachment(path, content)
                self.report(StepProgress("restoring attached files", self.attached, total))
        except ArchiveError as error:
            if not self.skip_damaged:
                raise
            self.warn(str(error))

    def cameras(self) -> None:
        """Write a transforms.json from the stored cameras where no attached file holds cameras, or it is asked for."""
        if self.has_transforms or (self.has_cameras and not self.add_transforms):
            return
        transforms, problem = transforms_of_views(self.source.views, names=self.names)
        if problem:
            self.warn(problem)
            return
        self._write_file(TRANSFORMS_NAME, json.dumps(transforms, indent=2).encode())
        self.remade += 1

    def _report_view(self, view_idx: int, group_idx: int, wanted: Collection[int] | None) -> None:
        if wanted is None or view_idx in wanted:
            name = self.source.views[view_idx].name
            self.report(ViewDone(view_idx, name, payload_bytes=0, source_bytes=0, group_idx=group_idx))

    def _image_metadata(self) -> dict[int, Any]:
        try:
            return self.source.reader.read_image_metadata()
        except ArchiveError as error:
            if not self.skip_damaged:
                raise
            self.warn(str(error))
            return {}

    def _write_view(
        self, view: View, pixels: np.ndarray, metadata: ImageMetadata | None, copies: Sequence[DownscaledFolder]
    ) -> None:
        name = self.names[view.view_idx]
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for warning in write_image(path, pixels, metadata):
            self.warn(warning)
        self.written.append(view.view_idx)
        for copy in copies:
            copy_name = downscaled_name(copy, view, restored=name)
            if copy_name is not None:
                copy_path = self.folder / copy_name
                copy_path.parent.mkdir(parents=True, exist_ok=True)
                smaller = shrink(pixels, copy.factor)
                write_image(copy_path, smaller, metadata and shrink_metadata(metadata, smaller))
                self.remade += 1

    def _write_attachment(self, path: str, content: bytes) -> None:
        self.attached += 1
        if PurePosixPath(path).name in (TRANSFORMS_NAME, "images.bin", "images.txt"):
            self.has_cameras = True
        if path == TRANSFORMS_NAME:
            self.has_transforms = True
        views = self.source.views
        renamed = {view.name: name for view in views if (name := self.names[view.view_idx]) != view.name}
        if path == TRANSFORMS_NAME and renamed:
            content = renamed_transforms(content, renamed)
            self.warn(f"{path} now names the .{self.image_format} files; a COLMAP model keeps the original names")
        self._write_file(path, content)

    def _write_file(self, path: str, content: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def restored_names(views: Sequence[View], image_format: ImageFormat) -> dict[int, str]:
    """view_idx -> the name of its photograph when it is written in `image_format`.

    A name that says so already stays; where two would become one (a.jpg, a.tif), the new ending is added to the old.
    """
    suffixes = {"keep": (), "png": (".png",), "jpg": (".jpg", ".jpeg")}[image_format]
    if not suffixes:
        return {view.view_idx: view.name for view in views}
    names = {}
    for view in views:
        path = PurePosixPath(view.name)
        names[view.view_idx] = str(path if path.suffix.lower() in suffixes else path.with_suffix(suffixes[0]))
    taken = Counter(names.values())
    return {
        view.view_idx: names[view.view_idx]
        if taken[names[view.view_idx]] == 1 or names[view.view_idx] == view.name
        else f"{view.name}{suffixes[0]}"
        for view in views
    }


def _some(names: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
