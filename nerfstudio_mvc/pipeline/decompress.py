"""Archive -> folder: photographs decoded, every attached file byte for byte, smaller copies made again.

Decoding is `open_archive`'s business, the folder's safe appearance `output_folder`'s.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mvc.archive.attachments import DownscaledFolder
from nerfstudio_mvc.capture.image_files import ImageMetadata, ImagePixels, carried_bytes_of, decode_image, write_image
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.capture.nerfstudio_source import TRANSFORMS_FILE
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.cores import available_cores
from nerfstudio_mvc.errors import ArchiveError, CaptureError, OutputError
from nerfstudio_mvc.pipeline.downscaled import downscaled_name, shrink, shrink_metadata
from nerfstudio_mvc.pipeline.open_archive import DecodedGroup, OpenArchive
from nerfstudio_mvc.pipeline.options import check_jobs
from nerfstudio_mvc.pipeline.output_folder import check_output_folder, output_folder, tells_case_apart
from nerfstudio_mvc.pipeline.progress import OnEvent, Planned, StepProgress, ViewDone, Warned, ignore_event, in_turn
from nerfstudio_mvc.pipeline.reports import DecompressReport
from nerfstudio_mvc.pipeline.restored_names import ImageFormat, restored_names
from nerfstudio_mvc.pipeline.restored_transforms import (
    TRANSFORMS_NAME,
    leads_elsewhere,
    transforms_of_views,
    with_restored_paths,
)


def decompress_archive(
    archive: str | Path,
    output_dir: str | Path,
    *,
    views: Sequence[str] | None = None,
    image_format: ImageFormat = "keep",
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
            and those in transforms.json with them. A folder that had no transforms.json gets one.
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
            restore = _Restore(source, folder, image_format, skip_damaged, in_turn(on_event or ignore_event))
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
    skip_damaged: bool
    report: OnEvent
    written: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    attached: int = 0
    remade: int = 0
    names: dict[int, str] = field(init=False)
    attachment_names: frozenset[str] = field(init=False)
    paths_written: set[str] = field(default_factory=set)
    placing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        try:
            self.attachment_names = frozenset(self.source.reader.attachment_sizes())
        except ArchiveError as error:
            if not self.skip_damaged:
                raise
            self.attachment_names = frozenset()
            self.warn(str(error))
        self.names = restored_names(self.source.views, self.image_format, taken=self.attachment_names)

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
            files=True,
            skip_damaged=self.skip_damaged,
            jobs=jobs,
            on_view=lambda view_idx, _: self._report_view(view_idx, group_of[view_idx], wanted),
        )
        with closing(decoded_groups):
            for decoded in decoded_groups:
                self._write_group(decoded, metadata, copies)
                self.lost += [self.source.views[view_idx].name for view_idx in decoded.lost]
                self.differing += [self.source.views[view_idx].name for view_idx in decoded.differing]
                if decoded.problem:
                    self.warn(decoded.problem)
        if self.differing:
            self.warn(
                f"{len(self.differing)} of {count} views differ by single grey levels from what the writer's machine "
                f"saw, as this one rounds otherwise; nothing is damaged: {_some(self.differing)}"
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
        """Write a transforms.json from the stored cameras where no attached file is one."""
        if any(map(TRANSFORMS_FILE.fullmatch, self.attachment_names)) or all(
            view.camera is None for view in self.source.views
        ):
            return
        points = self.source.reader.manifest.points_file
        transforms, problem = transforms_of_views(
            self.source.views, names=self.names, ply_file_path=points if points in self.attachment_names else None
        )
        if problem:
            self.warn(problem)
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

    def _write_group(self, decoded: DecodedGroup, metadata: dict[int, Any], copies: Sequence[DownscaledFolder]) -> None:
        views = self.source.views
        with ThreadPoolExecutor(available_cores()) as writers:
            writing = [
                writers.submit(
                    self._write_view, views[idx], pixels, metadata.get(idx), decoded.carried.get(idx), copies
                )
                for idx, pixels in sorted(decoded.pixels.items())
            ]
            writing += [
                writers.submit(self._write_file_of_view, views[idx], content, copies)
                for idx, content in decoded.files.items()
            ]
        self.remade += sum(written.result() for written in writing)

    def _write_view(
        self,
        view: View,
        pixels: np.ndarray,
        metadata: ImageMetadata | None,
        carried: CarriedBytes | None,
        copies: Sequence[DownscaledFolder],
    ) -> int:
        """A photograph and its smaller copies; how many of those."""
        name = self.names[view.view_idx]
        for warning in write_image(self._place(name), pixels, metadata, carried):
            self.warn(warning)
        self.written.append(view.view_idx)
        return self._write_copies(view, pixels, metadata, copies)

    def _write_file_of_view(self, view: View, content: bytes, copies: Sequence[DownscaledFolder]) -> int:
        """The photograph as it was, or decoded under another name, and its smaller copies; how many of those."""
        if self.names[view.view_idx] != view.name:
            image = _image_of_file(view, content)
            return self._write_view(view, image.pixels, image.metadata, carried_bytes_of(content), copies)
        self._write_file(view.name, content)
        self.written.append(view.view_idx)
        if not any(view.view_idx in copy.view_idxs for copy in copies):
            return 0
        image = _image_of_file(view, content)
        return self._write_copies(view, image.pixels, image.metadata, copies)

    def _write_copies(
        self, view: View, pixels: np.ndarray, metadata: ImageMetadata | None, copies: Sequence[DownscaledFolder]
    ) -> int:
        name, written = self.names[view.view_idx], 0
        for copy in copies:
            sizes = dict(zip(copy.view_idxs, copy.sizes, strict=True))
            copy_name = downscaled_name(copy, view, restored=name)
            if view.view_idx in sizes and copy_name is not None:
                smaller = shrink(pixels, sizes[view.view_idx])
                write_image(self._place(copy_name), smaller, metadata and shrink_metadata(metadata, smaller))
                written += 1
        return written

    def _write_attachment(self, path: str, content: bytes) -> None:
        self.attached += 1
        if TRANSFORMS_FILE.fullmatch(path):
            content = self._with_restored_paths(path, content)
        self._write_file(path, content)

    def _with_restored_paths(self, path: str, content: bytes) -> bytes:
        """A transforms.json as it was, or as it has to be where files lie elsewhere or are called otherwise now."""
        renamed = {view.name: name for view in self.source.views if (name := self.names[view.view_idx]) != view.name}
        written = self.source.reader.manifest.written_paths
        elsewhere = any(map(leads_elsewhere, written))
        if not renamed and not elsewhere:
            return content
        if renamed:
            self.warn(f"{path} now names the .{self.image_format} files; a COLMAP model keeps the original names")
        if elsewhere:
            self.warn(f"{path} had absolute paths, or some out of its folder; they now lead to the restored files")
        return with_restored_paths(content, written_paths=written, renamed=renamed, what=path)

    def _write_file(self, path: str, content: bytes) -> None:
        self._place(path).write_bytes(content)

    def _place(self, path: str) -> Path:
        """Where the file `path` is to be written: nowhere twice."""
        with self.placing:
            if path in self.paths_written:
                raise ArchiveError(
                    f'{self.source.archive} is damaged: it holds "{path}" twice. Fetch or make it again.'
                )
            self.paths_written.add(path)
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _image_of_file(view: View, content: bytes) -> ImagePixels:
    try:
        return decode_image(content, Path(view.name))
    except CaptureError as error:
        raise ArchiveError(str(error)) from error


def _some(names: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
