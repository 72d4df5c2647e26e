"""Capture -> archive: the order of the work.

What a codec does with a group, how the file is laid out and how depth is found is the business of `codecs`, `archive`
and `splatting`, which groups are worked on at once that of `group_encoder`; printing is the command line's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from colmap_io.camera_estimation import estimate_cameras
from nerfstudio_mvc.archive.attachments import LeftOut, refuse_too_large
from nerfstudio_mvc.archive.summary import ArchiveSummary, summarize
from nerfstudio_mvc.archive.work_folder import work_path
from nerfstudio_mvc.archive.writer import ArchiveWriter, CodingSettings
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import no_cameras
from nerfstudio_mvc.capture.view_order import coding_groups
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.pipeline.capture_files import check_copied, files_of_capture, files_read, refuse_source
from nerfstudio_mvc.pipeline.coded_views import CodedViews, coded_views_for
from nerfstudio_mvc.pipeline.compression_run import Run
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.group_encoder import GroupEncoder, plan_of
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.progress import OnEvent, Planned, ignore_event
from nerfstudio_mvc.pipeline.quality_search import target_of
from nerfstudio_mvc.pipeline.reports import CompressReport
from nerfstudio_mvc.pipeline.target_encoding import encode_for_target
from nerfstudio_mvc.splatting.prior import DepthPrior, estimate_depth
from nerfstudio_mvc.weights.store import open_codec


def compress_capture(
    data: str | Path | Capture,
    output: str | Path,
    options: CompressOptions | None = None,
    *,
    on_event: OnEvent | None = None,
    **changes: Any,
) -> CompressReport:
    """Compress a capture folder into one `.mvc` file.

        compress_capture("garden", "garden.mvc", quality=6, depth="sparse")

    Args:
        data: a nerfstudio folder, a COLMAP folder, or a folder of photographs (their cameras are then estimated), for
            codec parahydra also with `.mvcv` files in the place of photographs; or what `load_capture` made of one.
        output: the file to make; it appears only when it is complete and verified.
        options: see `CompressOptions`; the defaults when None.
        on_event: receives the events of `progress`.
        changes: fields of `CompressOptions` by name, in place of those in `options`.

    Raises:
        CaptureError: the folder does not hold a usable capture.
        OutputError: `output` exists, is a file of the capture, cannot be written, or the disk is full.
        WeightsError: the codec's weights are missing or damaged.
        OptionError: an option is out of range.
        TypeError: there is no such option.
    """
    start_s = time.monotonic()
    output = Path(output)
    options = replace(options or CompressOptions(), **changes)
    if output.exists() and not options.force:
        # Found out again by the writer; here it saves estimating cameras first.
        raise OutputError(f"{output} exists already: choose another --output, or replace it with --force")
    root = data.root if isinstance(data, Capture) else Path(data)
    refuse_source(output, root=root)
    own = (output, work_path(output))
    if root is not None and root.is_dir():
        refuse_too_large(root, mode=options.attachments, exclude=own)
    run = Run(on_event or ignore_event, options)
    device = resolve_device(options.device, codec=options.codec_name)
    coded = CodedViews()
    if root is not None and (
        not isinstance(data, Capture) or any(view.source_bytes is not None for view in data.views)
    ):
        coded, options = coded_views_for(root, options)
    codec = open_codec_of(options, device)
    capture = data
    if not isinstance(data, Capture):
        capture = load_capture(
            Path(data),
            colmap_model=options.colmap_model,
            coded=coded.found,
            estimate_cameras=estimate_cameras if codec.wants_cameras else no_cameras,
            whole_pictures=not options.whole_files,
            on_progress=run.step,
        )
    refuse_source(output, files=[*files_read(capture), *coded.files])
    for note in capture.notes:
        run.warn(note)
    groups = coding_groups(capture, options.order, group_size=options.views_per_group)
    quality, target = options.given_quality, target_of(options)
    if quality is not None:
        run.report(plan_of(capture.views, groups, codec, quality, device))
    attachment_plan = files_of_capture(capture, mode=options.attachments, exclude=[*own, *coded.files])
    with (
        ArchiveWriter(
            output,
            views=capture.views,
            kind=capture.kind,
            groups=groups,
            settings=coding_settings(options, codec),
            resume=options.resume,
            force=options.force,
        ) as writer,
        _kept_groups_told(writer, len(groups), run),
    ):
        check_copied(capture, writer.photographs)
        run.photographs = dict(enumerate(writer.photographs))
        # From here on the cameras are those the decoder will read.
        capture = with_stored_cameras(capture, writer.views)
        todo = [group_idx for group_idx in range(len(groups)) if not writer.has_group(group_idx)]
        prior = estimate_depth(
            capture,
            method=options.depth if todo and codec.wants_depth else "none",
            gaussians=options.gaussians,
            effort=options.depth_effort,
            device=device,
            on_progress=lambda stage, done, total: run.step(f"depth prior: {stage}", done, total),
            on_warning=run.warn,
        )
        views, depth = dict(enumerate(capture.views)), dict(enumerate(prior.maps))
        encoder = GroupEncoder(views, groups, codec, device, depth, writer, run, options.jobs, carry=options.carries)
        if target is None:
            encoder.encode_groups()
            target_line = None
        else:
            target_line = encode_for_target(encoder, writer, target, attachment_plan)
        run.warn_of_others()
        run.step("packing and verifying", 0, 1)
        psnr_db = run.all_psnr_db(len(capture.views))
        writer.finish(
            attachment_plan, image_metadata=run.noted_metadata(), view_psnr_db=() if run.encoded_apart else psnr_db
        )
        run.step("packing and verifying", 1, 1)
    return _report(
        summarize(output),
        plan_of(capture.views, groups, codec, writer.quality, device),
        run,
        archive=output,
        groups_reused=len(groups) - len(todo),
        target=target_line,
        depth=_depth_note(prior, codec) if todo else "as in the run that was resumed",
        left_out=attachment_plan.left_out,
        psnr_db=psnr_db,
        elapsed_s=time.monotonic() - start_s,
    )


def open_codec_of(options: CompressOptions, device: str) -> MultiViewCodec:
    """The codec that the options name, its weights loaded, or that they bring along; errors as of `open_codec`."""
    if not isinstance(options.codec, str):
        return options.codec
    return open_codec(
        options.codec_name, device=device, weights=options.weights, effort=options.effort, pictures=options.pictures
    )


def coding_settings(options: CompressOptions, codec: MultiViewCodec) -> CodingSettings:
    """What an archive made with these options says about its coding."""
    return CodingSettings(codec.name, codec.fingerprint, options.given_quality, options.parameters())


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
    psnr_db: Sequence[tuple[float, float]],
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
        psnr_db=float(np.mean(psnr_db, axis=0)[0]) if psnr_db else None,
        file_psnr_db=float(np.mean(psnr_db, axis=0)[1]) if psnr_db else None,
        target=target,
        depth=depth,
        left_out=left_out,
        warnings=tuple(run.warnings),
        elapsed_s=elapsed_s,
    )


def _depth_note(prior: DepthPrior, codec: MultiViewCodec) -> str:
    return prior.note if codec.wants_depth else f"none: codec {codec.name} uses no depth"


def with_stored_cameras(capture: Capture, stored: Sequence[View]) -> Capture:
    """The capture with the cameras that a decoder will read."""
    views = tuple(
        replace(view, camera=stored_view.camera, cam_from_world=stored_view.cam_from_world)
        for view, stored_view in zip(capture.views, stored, strict=True)
    )
    return replace(capture, views=views)
