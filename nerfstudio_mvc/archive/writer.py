"""Writing an `.mvc` file: groups one at a time into a hidden work folder, then one ZIP, verified and renamed.

What goes into the groups is the codec's business, which files are carried along is `attachments.py`'s.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from colmap_io.regular_files import read_regular
from nerfstudio_mvc import __version__
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.archived_paths import check_path
from nerfstudio_mvc.archive.attachments import AttachmentPlan, open_attached
from nerfstudio_mvc.archive.camera_table import decode_cameras, encode_cameras, views_of_table
from nerfstudio_mvc.archive.coded_groups import CodedGroups, kept_name
from nerfstudio_mvc.archive.container import new_entry
from nerfstudio_mvc.archive.image_metadata import metadata_items
from nerfstudio_mvc.archive.integrity import VerifyReport, verify
from nerfstudio_mvc.archive.large_files import write_large_file
from nerfstudio_mvc.archive.manifest import Manifest, ViewEntry, encode_manifest, pixel_problem
from nerfstudio_mvc.archive.packing import KIND_BLOB, KIND_FILE, KIND_LARGE_BLOB, Item, pack
from nerfstudio_mvc.archive.work_folder import WorkFolder, writing
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ArchiveError, CaptureError, OutputError, ShapeError

if TYPE_CHECKING:
    from nerfstudio_mvc.capture.image_files import ImageMetadata

ASSEMBLED_NAME = "assembled.zip"
MEASURED_NAME = "measured.zip"


@dataclass(frozen=True)
class CodingSettings:
    """How the views were coded; everything a decoder must know besides the groups.

    Attributes:
        codec: name in `codecs.catalog`, e.g. ``"lmvic"``.
        fingerprint: of the weights, as the codec gives it; "" for a codec without weights.
        quality: 1 to 8; None when it is found on the way (`ArchiveWriter.choose_quality`) for what `parameters` say.
        parameters: whatever else shapes the strings, JSON values only (group size, depth prior, versions).
    """

    codec: str
    fingerprint: str
    quality: float | None
    parameters: Mapping[str, Any] = field(default_factory=dict)


class PhotographFile(NamedTuple):
    """Length and SHA-256 of a photograph's file; 0 and "" of a view that has none on this machine."""

    bytes: int
    sha256: str


class ArchiveWriter(CodedGroups):
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
        photographs: files of the views as they were when the run began.
        quality: of the groups; None until it is chosen, by this run or the one being resumed.
        key: of inputs and settings: a work folder with the same one may be resumed.

    Raises:
        OutputError: the target exists, another run is writing it, the work folder belongs to other inputs or
            settings (with `resume`), or the disk is full.
        CaptureError: a pose or camera cannot be stored, or a photograph cannot be read.
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
        self.path = Path(path)
        self._force = force
        self._check_target()
        if sorted(view_idx for group in groups for view_idx in group) != list(range(len(views))) or not all(groups):
            raise ShapeError(f"{len(groups)} groups do not hold each of {len(views)} views exactly once")
        _check_names(views)
        problem = pixel_problem([(view.width, view.height) for view in views], groups)
        if problem:
            raise CaptureError(f"{problem}: scale the photographs down, or choose a smaller --group-size.")
        self._kind, self._settings = kind, settings
        self._cameras = encode_cameras(views)
        self.photographs = tuple(map(_photograph, views))
        self._entries = tuple(
            ViewEntry(view.name, view.width, view.height, file.bytes)
            for view, file in zip(views, self.photographs, strict=True)
        )
        table = decode_cameras(self._cameras, view_count=len(views), what=str(self.path))
        self.views: tuple[View, ...] = views_of_table(table, self._entries)
        self.key = self._key([file.sha256 for file in self.photographs], groups)
        super().__init__(WorkFolder(self.path, key=self.key, resume=resume), groups, settings.quality)

    def has_kept(self, name: str) -> bool:
        """Whether it is there, from this run or the one being resumed."""
        return (self._work.path / name).is_file()

    def rest_bytes(self, plan: AttachmentPlan, *, image_metadata: Mapping[int, ImageMetadata]) -> int:
        """Bytes in the file of everything but the groups; errors as in `finish`.

        Arguments as of `finish`. Attached files are packed for it, and packed again in the end.
        """
        measured = self._work.path / MEASURED_NAME
        small, large = _split(plan)
        try:
            with writing(self.path):
                with zipfile.ZipFile(measured, "w") as archive:
                    manifest = self._manifest(plan, small, large, view_psnr_db=_any_psnr_db(len(self.views)))
                    self._write_entries(archive, manifest, plan, small, large, image_metadata, groups=())
                return measured.stat().st_size
        finally:
            measured.unlink(missing_ok=True)

    def finish(
        self,
        plan: AttachmentPlan,
        *,
        image_metadata: Mapping[int, ImageMetadata],
        view_psnr_db: Sequence[tuple[float, float]] = (),
    ) -> VerifyReport:
        """Assemble, verify and rename; the work folder goes away.

        Args:
            plan: from `attachments.plan_attachments`.
            image_metadata: view_idx -> `capture.image_files.ImageMetadata`; left out with mode "none".
            view_psnr_db: of each view against its photograph: as decoded, and of the file it is restored to.

        Raises:
            ShapeError: a group is missing.
            CaptureError: an attached file cannot be read.
            OutputError: the target appeared meanwhile, cannot be written, or did not read back as written.
        """
        missing = [group_idx for group_idx in range(len(self._groups)) if not self.has_group(group_idx)]
        if missing:
            raise ShapeError(f"groups {missing} were not added")
        if self.quality is None:
            raise ShapeError("the quality of the groups was not chosen")
        assembled = self._work.path / ASSEMBLED_NAME
        small, large = _split(plan)
        needed_bytes = sum(self._finished.values()) + sum(size for _, size in [*small, *large])
        try:
            with writing(self.path, needed_bytes=needed_bytes):
                with zipfile.ZipFile(assembled, "w") as archive:
                    manifest = self._manifest(plan, small, large, view_psnr_db=view_psnr_db)
                    groups = range(len(self._groups))
                    self._write_entries(archive, manifest, plan, small, large, image_metadata, groups=groups)
                with assembled.open("r+b") as stream:
                    os.fsync(stream.fileno())
                report = self._verified(assembled)
                self._check_target()
                os.replace(assembled, self.path)
                _sync_folder(self.path.parent)
        finally:
            assembled.unlink(missing_ok=True)
        self._close(remove=True)
        return report

    def _check_target(self) -> None:
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a folder: give the name of a file as --output.")
        if self.path.exists() and not self.path.is_file():
            # Renaming over it would put a file in place of a device or pipe.
            raise OutputError(f"{self.path} is a device or a pipe: give the name of a file as --output.")
        if self.path.exists() and not self._force:
            raise OutputError(f"{self.path} exists already: choose another --output, or replace it with --force.")

    def _key(self, photographs: Sequence[str], groups: Sequence[Sequence[int]]) -> str:
        inputs = {
            "format": layout.FORMAT_VERSION,
            "settings": [self._settings.codec, self._settings.fingerprint, self._settings.quality],
            "parameters": dict(self._settings.parameters),
            "kind": self._kind,
            "views": [[view.name, view.width, view.height] for view in self._entries],
            "photographs": photographs,
            "cameras": sha256(self._cameras).hexdigest(),
            "groups": [list(group) for group in groups],
        }
        return sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    def _write_entries(
        self,
        archive: zipfile.ZipFile,
        manifest: Manifest,
        plan: AttachmentPlan,
        small: Sequence[tuple[str, int]],
        large: Sequence[tuple[str, int]],
        image_metadata: Mapping[int, ImageMetadata],
        *,
        groups: Iterable[int],
    ) -> None:
        archive.writestr(new_entry(layout.MANIFEST_ENTRY, packed=True), encode_manifest(manifest), compresslevel=9)
        archive.writestr(new_entry(layout.CAMERAS_ENTRY, packed=False), self._cameras)
        for group_idx in groups:
            data = self._work.read(kept_name(group_idx))
            if data is None:
                raise OutputError(f"{self._work.path}: group {group_idx} is gone from the work folder; run again.")
            archive.writestr(new_entry(layout.group_entry(group_idx), packed=False), data)
        items = [] if plan.mode == "none" else metadata_items(image_metadata)
        if plan.root is not None:
            lines = []
            for idx, (path, size) in enumerate(large):
                with open_attached(plan.places[path], size=size) as file:
                    lines.append(write_large_file(archive, file, path, file_idx=idx))
            for path, size in small:
                with open_attached(plan.places[path], size=size) as file:
                    items.append(Item(KIND_FILE, path, file.read(size)))
            if plan.points is not None:
                items.append(Item(KIND_FILE, *plan.points))
            items, spilled = _fitting(items)
            for idx, item in enumerate(spilled, start=len(large)):
                source = io.BytesIO(item.data)
                lines.append(write_large_file(archive, source, item.path, file_idx=idx, kind=KIND_LARGE_BLOB))
            if items or lines:
                archive.writestr(new_entry(layout.ATTACHMENTS_ENTRY, packed=False), pack(items, large=lines))

    def _manifest(
        self,
        plan: AttachmentPlan,
        small: Sequence[tuple[str, int]],
        large: Sequence[tuple[str, int]],
        *,
        view_psnr_db: Sequence[tuple[float, float]],
    ) -> Manifest:
        made = [] if plan.points is None else [plan.points[1]]
        return Manifest(
            version=layout.FORMAT_VERSION,
            writer=f"nerfstudio_mvc {__version__}",
            codec=self._settings.codec,
            fingerprint=self._settings.fingerprint,
            quality=0.0 if self.quality is None else self.quality,
            parameters=self._settings.parameters,
            kind=self._kind,
            views=self._entries,
            groups=self._groups,
            without_geometry=tuple(view.view_idx for view in self.views if not view.has_geometry),
            attachments=plan.mode,
            attached_files=len(small) + len(large) + len(made),
            attached_bytes=sum([*(size for _, size in [*small, *large]), *map(len, made)]),
            left_out=plan.left_out,
            downscaled=plan.downscaled,
            written_paths=plan.written_paths,
            points_file=None if plan.points is None else plan.points[0],
            view_psnr_db=tuple(view_psnr_db),
        )

    def _verified(self, assembled: Path) -> VerifyReport:
        try:
            report = verify(assembled, unpack=True)
        except ArchiveError as error:
            raise OutputError(f"{self.path}: what was written does not read back ({error})") from error
        if not report.ok:
            raise OutputError(f"{self.path}: what was written does not read back ({report.problems[0]})")
        return replace(report, archive=str(self.path))


def _check_names(views: Sequence[View]) -> None:
    names: set[str] = set()
    for view in views:
        problem = "that of two photographs" if view.name in names else check_path(view.name)
        if problem:
            raise CaptureError(f'the name "{view.name}" is {problem}, so it cannot be stored: rename this photograph.')
        names.add(view.name)


def _photograph(view: View) -> PhotographFile:
    if view.image_path is None:
        return PhotographFile(0, "")
    try:
        data = read_regular(view.image_path)
        size = len(data) if view.source_bytes is None else view.source_bytes
        return PhotographFile(size, sha256(data).hexdigest())
    except OSError as error:
        raise CaptureError(
            f"{view.image_path}: cannot be read ({error.strerror}); make it readable or remove it."
        ) from error


def _any_psnr_db(count: int) -> list[tuple[float, float]]:
    """Figures that take as many bytes as those to come."""
    return [(30 + idx * 7919 % 997 / 100, 30 + idx * 6101 % 991 / 100) for idx in range(count)]


def _split(plan: AttachmentPlan) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Attached files with their bytes: those for the solid pack, and those too large for it."""
    small: list[tuple[str, int]] = []
    large: list[tuple[str, int]] = []
    filled = 0
    for path in plan.files:
        try:
            size = plan.places[path].stat().st_size
        except OSError as error:
            raise CaptureError(
                f"{plan.places[path]}: cannot be read ({error.strerror}); start again without it."
            ) from error
        if size >= layout.LARGE_FILE_BYTES or filled + size > layout.FILLED_PACK_BYTES:
            large.append((path, size))
        else:
            small.append((path, size))
            filled += size
    return small, large


def _fitting(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """What goes into the solid pack; and bytes of the image metadata that find no room there."""
    room = layout.MAX_PACK_BYTES - sum(len(item.data) for item in items if item.kind != KIND_BLOB)
    fitting, spilled = [], []
    for item in items:
        if item.kind == KIND_BLOB:
            room -= len(item.data)
        (spilled if item.kind == KIND_BLOB and room < 0 else fitting).append(item)
    return fitting, spilled


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder; there the rename is left to the file system.
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
