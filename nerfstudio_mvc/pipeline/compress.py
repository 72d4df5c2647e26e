"""Capture -> archive: the order of the work.

What a codec does with a group, how the file is laid out and how depth is found is the business of `codecs`, `archive`
and `splatting`, which groups are worked on at once that of `group_coding`; printing is the command line's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from nerfstudio_mvc.archive.attachments import AttachmentPlan, LeftOut, plan_attachments
from nerfstudio_mvc.archive.summary import ArchiveSummary, summarize
from nerfstudio_mvc.archive.writer import ArchiveWriter, CodingSettings
from nerfstudio_mvc.capture.grouping import split_into_groups
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import Order, order_views
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.codecs.interface import MultiViewCodec, wants_depth
from nerfstudio_mvc.errors import MvcError, OutputError
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.group_coding import Job, Run, plan_of
from nerfstudio_mvc.pipeline.parallel_work import check_jobs
from nerfstudio_mvc.pipeline.progress import Noted, OnEvent, Planned, ignore_event
from nerfstudio_mvc.pipeline.quality_search import (
    QualityTarget,
    Sample,
    outcome,
    quality_target,
    sample_groups,
    search_on_sample,
)
from nerfstudio_mvc.splatting.prior import DepthPrior, estimate_depth
from nerfstudio_mvc.weights.store import open_codec

DEFAULT_CODEC = "lmvic"
DEFAULT_QUALITY = 5.0
DEFAULT_GROUP_SIZE = 16
DEFAULT_ORDER: Order = "distance"
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
        target: what was wanted and what was reached, in one line; None where the quality was given.
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
    target: str | None
    depth: str
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    elapsed_s: float


def compress_capture(
    data: str | Path | Capture,
    output: str | Path,
    *,
    codec: str | MultiViewCodec = "auto",
    quality: float | None = None,
    target_bpp: float | None = None,
    target_psnr_db: float | None = None,
    target_size_bytes: float | None = None,
    group_size: int = DEFAULT_GROUP_SIZE,
    order: Order = DEFAULT_ORDER,
    depth: DepthChoice = "auto",
    depth_effort: EffortChoice = "default",
    effort: EffortChoice = "default",
    gaussians: Path | None = None,
    attachments: AttachmentChoice = "lean",
    device: str = "auto",
    jobs: int | None = None,
    resume: bool = False,
    force: bool = False,
    weights: Path | None = None,
    on_event: OnEvent | None = None,
) -> CompressReport:
    """Compress a capture folder into one `.mvc` file.

    Args:
        data: a nerfstudio folder, a COLMAP folder, or a folder of photographs (their cameras are then estimated);
            or what `load_capture` made of one.
        output: the file to make; it appears only when it is complete and verified.
        codec: name from `codecs.catalog`, or a codec of your own; "auto" is LMVIC.
        quality: 1 (smallest) to 8 (best); `DEFAULT_QUALITY` when neither this nor a target is given.
        target_bpp, target_psnr_db, target_size_bytes: find the quality for this rate (everything but the attached files
            counted), this mean PSNR of the views, or this size of the whole file; within about 2 %, 0.1 dB, and at most
            3 % below. A few views are coded at several qualities, and all of them again where the first try misses.
        group_size: about how many views are coded together; a group decodes without the others.
        order: which view follows which; see `capture.view_order.order_views`.
        depth: how the depth of the views is found; see `splatting.prior.estimate_depth`.
        depth_effort: how long fitting Gaussians may take: "fast", "default" or "high".
        effort: how long encoding the pictures may take, likewise; it says nothing to a codec of your own.
        gaussians: trained 3D Gaussians to take the depth from.
        attachments: "lean" carries every other file but those that can be made again, "all" everything, "none" nothing.
        device: "auto", "cpu" or "cuda".
        jobs: groups that are coded at once, in threads; as many as cores and memory allow when None.
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
    target = quality_target(bpp=target_bpp, psnr_db=target_psnr_db, size_bytes=target_size_bytes)
    if quality is None and target is None:
        quality = DEFAULT_QUALITY
    _check_settings(quality, target, group_size, jobs)
    if output.exists() and not force:
        # Found out again by the writer; here it saves estimating cameras first.
        raise OutputError(f"{output} exists already: choose another --output, or replace it with --force")
    if codec == "auto":
        codec = DEFAULT_CODEC
    run = Run(on_event or ignore_event)
    device = resolve_device(device)
    capture = data if isinstance(data, Capture) else load_capture(Path(data), on_progress=run.step)
    active_codec = open_codec(codec, device=device, weights=weights, effort=effort) if isinstance(codec, str) else codec
    groups = split_into_groups(order_views(capture, order, group_size=group_size), group_size)
    if quality is not None:
        run.report(plan_of(capture, groups, active_codec, quality, device))
    names = [view.name for view in capture.views]
    attachment_plan = plan_attachments(capture.root, view_names=names, mode=attachments, exclude=[output])
    settings = CodingSettings(
        codec=active_codec.name,
        fingerprint=active_codec.fingerprint,
        quality=quality,
        parameters={
            "group_size": group_size,
            "order": order,
            "depth": depth,
            "depth_effort": depth_effort,
            "effort": effort,
            "gaussians": None if gaussians is None else Path(gaussians).name,
            **({} if target is None else {f"target_{target.kind}": target.value}),
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
            method=depth if todo and wants_depth(active_codec) else "none",
            gaussians=gaussians,
            effort=depth_effort,
            device=device,
            on_progress=lambda stage, done, total: run.step(f"depth prior: {stage}", done, total),
        )
        job = Job(capture, groups, active_codec, device, prior, writer, run, jobs)
        if target is None:
            job.code_groups()
            target_line = None
        else:
            target_line = _code_for_target(job, target, attachment_plan)
        run.warn_of_others()
        run.step("packing and verifying", 0, 1)
        writer.finish(attachment_plan, image_metadata=run.metadata)
        run.step("packing and verifying", 1, 1)
    return _report(
        summarize(output),
        plan_of(capture, groups, active_codec, writer.quality, device),
        run,
        archive=output,
        groups_reused=len(groups) - len(todo),
        target=target_line,
        depth=_depth_note(prior, active_codec) if todo else "as in the run that was resumed",
        left_out=attachment_plan.left_out,
        elapsed_s=time.monotonic() - start_s,
    )


def _code_for_target(job: Job, target: QualityTarget, plan: AttachmentPlan) -> str:
    """Code all groups at the quality that comes to the target; says what was reached."""
    writer, run = job.writer, job.run
    rest_bytes = 0
    if target.kind == "size":
        for view in job.capture.views:
            run.read_pixels(view)  # EXIF, profiles and alpha are part of the file
        rest_bytes = writer.rest_bytes(plan, image_metadata=run.metadata)
    elif target.kind == "bpp":
        rest_bytes = writer.rest_bytes(replace(plan, files=()), image_metadata={})
    search = None
    if writer.quality is None:
        view_pixels = [view.width * view.height for view in job.capture.views]
        pixels = [[view_pixels[view_idx] for view_idx in group] for group in job.groups]
        sample = Sample([job.sources(group) for group in sample_groups(job.groups)], pixels, rest_bytes)
        search = search_on_sample(
            target, sample, job.codec, on_trial=lambda done, total: run.step("finding the quality", done, total)
        )
        writer.choose_quality(search.best())
    while True:
        job.report_plan()
        job.code_groups()
        reached = _reached(job, target, rest_bytes)
        if reached is None:
            return f"{target.text(target.value)} wanted; quality {writer.quality:g} as in the run that was resumed"
        line, shortfall = outcome(target, writer.quality, reached)
        better = search.correction(writer.quality, reached) if search is not None else None
        if better is None:
            if shortfall:
                line = f"{line}: {shortfall}"
                run.warn(line)
            return line
        run.report(Noted(f"{line}: all again with quality {better:g}"))
        writer.choose_quality(better)


def _reached(job: Job, target: QualityTarget, rest_bytes: int) -> float | None:
    """What all views came to, in the target's unit; None where a resumed run does not know."""
    if target.kind == "psnr":
        known = len(job.run.view_psnr_db) == len(job.capture.views)
        return float(np.mean(job.run.view_psnr_db)) if known else None
    total = job.writer.groups_bytes + rest_bytes
    return total if target.kind == "size" else 8 * total / sum(view.width * view.height for view in job.capture.views)


def _check_settings(quality: float | None, target: QualityTarget | None, group_size: int, jobs: int | None) -> None:
    if quality is not None and target is not None:
        raise MvcError("quality and target exclude each other: give one of them")
    if quality is not None and not 1 <= quality <= 8:
        raise MvcError(f"quality {quality:g} is out of range: give a number from 1 (smallest) to 8 (best)")
    if group_size < 1:
        raise MvcError(f"group size {group_size} is out of range: give 1 or more views")
    check_jobs(jobs)


@contextmanager
def _kept_groups_told(writer: ArchiveWriter, groups: int, run: Run) -> Iterator[None]:
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
    run: Run,
    *,
    archive: Path,
    groups_reused: int,
    target: str | None,
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
        target=target,
        depth=depth,
        left_out=left_out,
        warnings=tuple(run.warnings),
        elapsed_s=elapsed_s,
    )


def _depth_note(prior: DepthPrior, codec: MultiViewCodec) -> str:
    return prior.note if wants_depth(codec) else f"none: codec {codec.name} uses no depth"


def _with_stored_cameras(capture: Capture, stored: Sequence[View]) -> Capture:
    views = tuple(
        replace(view, camera=stored_view.camera, cam_from_world=stored_view.cam_from_world)
        for view, stored_view in zip(capture.views, stored, strict=True)
    )
    return replace(capture, views=views)
