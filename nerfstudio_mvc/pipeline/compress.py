"""Capture -> archive: the order of the work, one group of views in memory at a time.

What a codec does with a group, how the file is laid out and how depth is found is the business of `codecs`, `archive`
and `splatting`; printing is the command line's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from nerfstudio_mvc.archive.attachments import LeftOut, plan_attachments
from nerfstudio_mvc.archive.integrity import pixel_check
from nerfstudio_mvc.archive.summary import ArchiveSummary, summarize
from nerfstudio_mvc.archive.writer import ArchiveWriter, CodingSettings
from nerfstudio_mvc.capture.grouping import split_into_groups
from nerfstudio_mvc.capture.image_files import ImageMetadata, read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import coding_order
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.codecs.interface import MultiViewCodec, SourceView
from nerfstudio_mvc.errors import MvcError, OutputError
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.progress import (
    GroupReused,
    OnEvent,
    Planned,
    StepProgress,
    ViewDone,
    Warned,
    ignore_event,
)
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.prior import DepthPrior, estimate_depth
from nerfstudio_mvc.weights.store import open_codec

DEFAULT_QUALITY = 5.0
DEFAULT_GROUP_SIZE = 16
DepthChoice = Literal["auto", "gaussians", "sparse", "none"]
EffortChoice = Literal["fast", "default", "high"]
AttachmentChoice = Literal["lean", "all", "none"]


@dataclass(frozen=True)
class CompressReport:
    """What became of a capture.

    Attributes:
        archive: the file.
        codec, fingerprint, quality, device: how it was coded.
        views, groups, groups_reused: in all; `groups_reused` were finished by the run this one resumed.
        pixels: of all views together.
        source_bytes: the photographs on disk.
        file_bytes: the archive; the next four are its parts.
        image_bytes, depth_bytes, attachment_bytes, overhead_bytes: strings of the photographs, strings of their depth,
            attached files, and the rest (cameras, manifest, ZIP records).
        bpp: 8 x (all bytes but the attachments) / pixels.
        psnr_db: mean over the views of PSNR against the photographs, dB; None when groups were reused.
        depth: how depth was found, in one line.
        left_out: what the archive does not carry, with reasons.
        warnings: what `on_event` was warned of.
        elapsed_s: seconds.
    """

    archive: Path
    codec: str
    fingerprint: str
    quality: float
    device: str
    views: int
    groups: int
    groups_reused: int
    pixels: int
    source_bytes: int
    file_bytes: int
    image_bytes: int
    depth_bytes: int
    attachment_bytes: int
    overhead_bytes: int
    bpp: float
    psnr_db: float | None
    depth: str
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    elapsed_s: float


def compress_capture(
    data: str | Path,
    output: str | Path,
    *,
    codec: str | MultiViewCodec = "lmvic",
    quality: float = DEFAULT_QUALITY,
    group_size: int = DEFAULT_GROUP_SIZE,
    depth: DepthChoice = "auto",
    depth_effort: EffortChoice = "default",
    gaussians: Path | None = None,
    attachments: AttachmentChoice = "lean",
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    weights: Path | None = None,
    on_event: OnEvent | None = None,
) -> CompressReport:
    """Compress a capture folder into one `.mvc` file.

    Args:
        data: a nerfstudio folder, a COLMAP folder, or a folder of photographs (their cameras are then estimated).
        output: the file to make; it appears only when it is complete and verified.
        codec: name from `codecs.catalog`, or a codec of your own.
        quality: 1 (smallest) to 8 (best).
        group_size: about how many views are coded together; a group decodes without the others.
        depth: how the depth of the views is found; see `splatting.prior.estimate_depth`.
        depth_effort: how long fitting Gaussians may take: "fast", "default" or "high".
        gaussians: trained 3D Gaussians to take the depth from.
        attachments: "lean" carries every other file but those that can be made again, "all" everything, "none" nothing.
        device: "auto", "cpu" or "cuda".
        resume: go on with what a stopped run with the same inputs and settings has left.
        force: replace `output` when it exists.
        weights: a weights file to use instead of those that ship with the package.
        on_event: receives the events of `progress`.

    Raises:
        CaptureError: the folder does not hold a usable capture.
        OutputError: `output` exists, cannot be written, or the disk is full.
        WeightsError: the codec's weights are missing or damaged.
        MvcError: a setting is out of range.
    """
    start_s = time.monotonic()
    output = Path(output)
    _check_settings(quality, group_size)
    if output.exists() and not force:
        # Found out again by the writer; here it saves estimating cameras first.
        raise OutputError(f"{output} exists already: choose another --output, or replace it with --force")
    run = _Run(on_event or ignore_event)
    device = resolve_device(device)
    capture = load_capture(Path(data), on_progress=run.step)
    active_codec = open_codec(codec, device=device, weights=weights) if isinstance(codec, str) else codec
    groups = split_into_groups(coding_order(capture.views), group_size)
    plan = _plan(capture, groups, active_codec, quality, device)
    run.report(plan)
    attachment_plan = plan_attachments(capture.root, view_names=[view.name for view in capture.views], mode=attachments)
    settings = CodingSettings(
        codec=active_codec.name,
        fingerprint=active_codec.fingerprint,
        quality=quality,
        parameters={
            "group_size": group_size,
            "depth": depth,
            "depth_effort": depth_effort,
            "gaussians": None if gaussians is None else Path(gaussians).name,
        },
    )
    with (
        ArchiveWriter(
            output,
            views=capture.views,
            kind=capture.kind,
            groups=groups,
            settings=settings,
            resume=resume,
            force=force,
        ) as writer,
        _kept_groups_told(writer, len(groups), run),
    ):
        # From here on the cameras are those the decoder will read.
        capture = _with_stored_cameras(capture, writer.views)
        todo = [group_idx for group_idx in range(len(groups)) if not writer.has_group(group_idx)]
        prior = estimate_depth(
            capture,
            method=depth if todo else "none",
            gaussians=gaussians,
            effort=depth_effort,
            device=device,
            on_progress=lambda stage, done, total: run.step(f"depth prior: {stage}", done, total),
        )
        for group_idx, group in enumerate(groups):
            views = [capture.views[view_idx] for view_idx in group]
            if group_idx in todo:
                _code_group(writer, active_codec, group_idx, views, quality=quality, prior=prior, run=run)
            else:
                _take_over_group(writer, group_idx, views, run)
        run.step("packing and verifying", 0, 1)
        writer.finish(attachment_plan, image_metadata=run.metadata)
        run.step("packing and verifying", 1, 1)
    return _report(
        summarize(output),
        plan,
        run,
        archive=output,
        groups_reused=len(groups) - len(todo),
        depth=prior.note if todo else "as in the run that was resumed",
        left_out=attachment_plan.left_out,
        elapsed_s=time.monotonic() - start_s,
    )


class _Run:
    """What one compression gathers on its way."""

    def __init__(self, on_event: OnEvent) -> None:
        self.report = on_event
        self.metadata: dict[int, ImageMetadata] = {}
        self.view_psnr_db: list[float] = []
        self.warnings: list[str] = []

    def step(self, step: str, done: int, total: int) -> None:
        self.report(StepProgress(step, done, total))

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.report(Warned(message))

    def read_pixels(self, view: View) -> np.ndarray:
        image = read_image(_image_path(view))
        self.metadata[view.view_idx] = image.metadata
        for warning in image.warnings:
            self.warn(warning)
        return image.pixels


def _check_settings(quality: float, group_size: int) -> None:
    if not 1 <= quality <= 8:
        raise MvcError(f"quality {quality:g} is out of range: give a number from 1 (smallest) to 8 (best)")
    if group_size < 1:
        raise MvcError(f"group size {group_size} is out of range: give 1 or more views")


def _plan(
    capture: Capture, groups: Sequence[Sequence[int]], codec: MultiViewCodec, quality: float, device: str
) -> Planned:
    return Planned(
        codec=codec.name,
        fingerprint=codec.fingerprint,
        quality=quality,
        device=device,
        views=len(capture.views),
        groups=len(groups),
        sizes=tuple(dict.fromkeys((view.width, view.height) for view in capture.views)),
    )


@contextmanager
def _kept_groups_told(writer: ArchiveWriter, groups: int, run: _Run) -> Iterator[None]:
    """Say on the way out of a stopped run what `resume` will find."""
    try:
        yield
    except BaseException:
        kept = sum(writer.has_group(group_idx) for group_idx in range(groups))
        if kept:
            run.warn(f"{kept} of {groups} groups are coded and kept: the same command with --resume goes on from there")
        raise


def _report(
    summary: ArchiveSummary,
    plan: Planned,
    run: _Run,
    *,
    archive: Path,
    groups_reused: int,
    depth: str,
    left_out: tuple[LeftOut, ...],
    elapsed_s: float,
) -> CompressReport:
    return CompressReport(
        archive=archive,
        codec=plan.codec,
        fingerprint=plan.fingerprint,
        quality=plan.quality,
        device=plan.device,
        views=plan.views,
        groups=plan.groups,
        groups_reused=groups_reused,
        pixels=summary.pixels,
        source_bytes=summary.source_bytes,
        file_bytes=summary.file_bytes,
        image_bytes=summary.image_bytes,
        depth_bytes=summary.depth_bytes,
        attachment_bytes=summary.attachment_bytes,
        overhead_bytes=summary.camera_bytes + summary.container_bytes,
        bpp=summary.bpp,
        psnr_db=float(np.mean(run.view_psnr_db)) if len(run.view_psnr_db) == plan.views else None,
        depth=depth,
        left_out=left_out,
        warnings=tuple(run.warnings),
        elapsed_s=elapsed_s,
    )


def _with_stored_cameras(capture: Capture, stored: Sequence[View]) -> Capture:
    views = tuple(
        replace(view, camera=stored_view.camera, cam_from_world=stored_view.cam_from_world)
        for view, stored_view in zip(capture.views, stored, strict=True)
    )
    return replace(capture, views=views)


def _code_group(
    writer: ArchiveWriter,
    codec: MultiViewCodec,
    group_idx: int,
    views: Sequence[View],
    *,
    quality: float,
    prior: DepthPrior,
    run: _Run,
) -> None:
    sources = [_source_view(run, view, prior.maps[view.view_idx]) for view in views]
    by_idx = {view.view_idx: view for view in views}
    encoded = codec.encode_group(
        group_idx,
        sources,
        quality=quality,
        on_view=lambda view_idx, payload_bytes: run.report(_view_done(by_idx[view_idx], payload_bytes)),
    )
    checks = {view_idx: pixel_check(pixels) for view_idx, pixels in encoded.reconstructions.items()}
    writer.add_group(encoded.coded, pixel_checks=checks)
    for source in sources:
        run.view_psnr_db.append(psnr_db(source.pixels, encoded.reconstructions[source.view.view_idx]))


def _source_view(run: _Run, view: View, depth_map: DepthMap | None) -> SourceView:
    pixels = run.read_pixels(view)
    if depth_map is None:
        return SourceView(view=view, pixels=pixels)
    return SourceView(view=view, pixels=pixels, depth=depth_map.depth, depth_valid=depth_map.valid)


def _take_over_group(writer: ArchiveWriter, group_idx: int, views: Sequence[View], run: _Run) -> None:
    # The strings are there already; EXIF, profiles and alpha are packed at the end and have to be read again.
    for view in views:
        run.read_pixels(view)
    run.report(
        GroupReused(
            group_idx=group_idx,
            views=len(views),
            payload_bytes=writer.finished_payload_bytes(group_idx),
            source_bytes=sum(_image_path(view).stat().st_size for view in views),
        )
    )


def _view_done(view: View, payload_bytes: int) -> ViewDone:
    return ViewDone(
        view_idx=view.view_idx,
        name=view.name,
        payload_bytes=payload_bytes,
        source_bytes=_image_path(view).stat().st_size,
    )


def _image_path(view: View) -> Path:
    assert view.image_path is not None, "a capture to compress has its photographs on this machine"
    return view.image_path
