"""`compress_capture` cut into tasks that may run in other processes, on any machine that sees the same files.

    prepare_capture --> code_group, code_group, ..  -->  finish_capture
    cameras, depth      each on its own                  packing, verifying

Tasks hand each other what is small; cameras that were estimated, depth and coded groups lie in the work folder beside
the archive, where `ns-mvc-compress --resume` looks as well. Who runs the tasks is the business of `cluster`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from colmap_io.camera_estimation import estimate_cameras
from colmap_io.errors import ModelError
from colmap_io.model_folder import read_model, write_model
from colmap_io.records import Model
from nerfstudio_mvc.archive.attachments import refuse_too_large
from nerfstudio_mvc.archive.coded_groups import SharedGroups
from nerfstudio_mvc.archive.work_folder import OtherInputsError, work_path
from nerfstudio_mvc.archive.writer import ArchiveWriter
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import EstimateCameras, no_cameras
from nerfstudio_mvc.capture.view_order import coding_groups
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.cores import cores_granted
from nerfstudio_mvc.errors import CaptureError, OutputError
from nerfstudio_mvc.pipeline.archive_record import digest_of_folder, is_as_recorded, source_of, write_record
from nerfstudio_mvc.pipeline.capture_files import files_read, refuse_source
from nerfstudio_mvc.pipeline.capture_plan import GroupTask, PreparedCapture
from nerfstudio_mvc.pipeline.coded_views import CodedViews, coded_views_for
from nerfstudio_mvc.pipeline.compress import coding_settings, compress_capture, open_codec_of, with_stored_cameras
from nerfstudio_mvc.pipeline.compression_run import Run
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.group_encoder import GroupEncoder
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.progress import ignore_event
from nerfstudio_mvc.pipeline.reports import CompressReport
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.prior import estimate_depth

CORES = 1
"""That a task takes: workers have as many threads as they may take cores."""


def prepare_capture(data: Path, output: Path, options: CompressOptions) -> PreparedCapture | None:
    """All that comes before the groups; None where `output` is there already and was made of the same.

    What an earlier run with the same inputs and options has left is gone on with.

    Raises:
        as `compress_capture`.
    """
    assert options.given_quality is not None, "a target takes all groups at once"
    coded, options = coded_views_for(data, options)
    device = resolve_device(options.device, codec=options.codec_name)
    codec = _shared_codec(options, device)
    if output.exists():
        if is_as_recorded(output, data, _recorded_settings(options, codec)):
            return None
        if not options.force:
            raise OutputError(f"{output} exists already, of other files or options: replace it with --force")
    refuse_source(output, root=data)
    refuse_too_large(data, mode=options.attachments, exclude=[output, work_path(output)])
    folder = digest_of_folder(data)
    estimated: list[Model] = []

    def estimate(*arguments, **settings) -> Model:
        estimated.append(estimate_cameras(*arguments, **settings, num_threads=CORES))
        return estimated[-1]

    capture = _load(data, options, codec, estimate, coded)
    refuse_source(output, files=[*files_read(capture), *coded.files])
    groups = coding_groups(capture, options.order, group_size=options.views_per_group)
    open_writer = partial(
        ArchiveWriter,
        output,
        views=capture.views,
        kind=capture.kind,
        groups=groups,
        settings=coding_settings(options, codec),
        force=options.force,
    )
    try:
        writer = open_writer(resume=True)
    except OtherInputsError:
        writer = open_writer(resume=False)
    with writer:
        if estimated:
            write_model(estimated[0], work_path(output))
        stored = with_stored_cameras(capture, writer.views)
        todo = [group_idx for group_idx in range(len(groups)) if not writer.has_group(group_idx)]
        with cores_granted(CORES):
            note, warnings = _keep_depth(writer, stored, groups, todo, codec=codec, options=options, device=device)
        writer.leave()
    tasks = tuple(
        GroupTask(
            output=output,
            key=writer.key,
            groups=tuple(map(tuple, groups)),
            group_idx=group_idx,
            views=tuple(replace(stored.views[idx], point_idxs=np.zeros(0, np.int64)) for idx in groups[group_idx]),
            photographs=tuple(writer.photographs[idx] for idx in groups[group_idx]),
            options=options,
        )
        for group_idx in todo
    )
    return PreparedCapture(tasks, source_of(capture, folder), note, warnings)


def code_group(task: GroupTask) -> None:
    """Code a group into the work folder, unless it is there already.

    Raises:
        OtherInputsError: another run has taken the work folder.
        OutputError: it cannot be written.
        CaptureError: a photograph cannot be read, or has changed since.
    """
    options = task.options
    device = resolve_device(options.device, codec=options.codec_name)
    codec = _shared_codec(options, device)
    run = Run(ignore_event, options)
    run.photographs = {view.view_idx: file for view, file in zip(task.views, task.photographs, strict=True)}
    quality = options.given_quality
    assert quality is not None, "prepare_capture lets no other pass"
    with (
        SharedGroups(task.output, key=task.key, groups=task.groups, quality=quality, group_idx=task.group_idx) as coded,
        cores_granted(CORES),
    ):
        if coded.has_group(task.group_idx):
            return
        encoder = GroupEncoder(
            views={view.view_idx: view for view in task.views},
            groups=task.groups,
            codec=codec,
            device=device,
            depth=_kept_depth(coded, task),
            writer=coded,
            run=run,
            jobs=1,
            carry=options.carries,
        )
        encoder.encode_group(task.group_idx)


def finish_capture(
    data: Path,
    output: Path,
    options: CompressOptions,
    prepared: PreparedCapture,
) -> CompressReport:
    """The archive from its groups, once all are coded.

    Raises:
        as `compress_capture`; CaptureError where the capture has changed meanwhile.
    """
    coded, options = coded_views_for(data, options)
    codec = _shared_codec(options, resolve_device(options.device, codec=options.codec_name))
    folder = work_path(output)

    def kept_estimate(*arguments, **settings) -> Model:
        try:
            return read_model(folder)
        except ModelError as error:
            raise CaptureError(f"{data}: the cameras that were estimated are gone ({error}); run again.") from error

    capture = _load(data, options, codec, kept_estimate, coded)
    try:
        report = compress_capture(capture, output, options, codec=codec, resume=True, jobs=1)
    except OtherInputsError as error:
        raise CaptureError(f"{data}: it has changed while it was compressed; run again.") from error
    write_record(output, prepared.source, _recorded_settings(options, codec))
    return replace(report, depth=prepared.depth, warnings=(*prepared.warnings, *report.warnings))


def _recorded_settings(options: CompressOptions, codec: MultiViewCodec) -> dict[str, Any]:
    settings = asdict(coding_settings(options, codec))
    return settings | {"colmap_model": None if options.colmap_model is None else options.colmap_model.as_posix()}


def _load(
    data: Path, options: CompressOptions, codec: MultiViewCodec, estimate: EstimateCameras, coded: CodedViews
) -> Capture:
    return load_capture(
        data,
        colmap_model=options.colmap_model,
        coded=coded.found,
        estimate_cameras=estimate if codec.wants_cameras else no_cameras,
        whole_pictures=not options.whole_files,
    )


@lru_cache(maxsize=1)
def _shared_codec(options: CompressOptions, device: str) -> MultiViewCodec:
    """Loaded once in each process, since a process works on many groups."""
    return open_codec_of(options, device)


def _keep_depth(
    writer: ArchiveWriter,
    capture: Capture,
    groups: Sequence[Sequence[int]],
    todo: Sequence[int],
    *,
    codec: MultiViewCodec,
    options: CompressOptions,
    device: str,
) -> tuple[str, tuple[str, ...]]:
    """Find the depth of the groups that are to be coded, unless an earlier run has: how in one line, and warnings."""
    if not codec.wants_depth:
        return f"none: codec {codec.name} uses no depth", ()
    if all(writer.has_kept(_depth_name(group_idx)) for group_idx in todo):
        return "as in the run that was resumed", ()
    warnings: list[str] = []
    prior = estimate_depth(
        capture,
        method=options.depth,
        gaussians=options.gaussians,
        effort=options.depth_effort,
        device=device,
        threads=CORES,
        on_warning=warnings.append,
    )
    for group_idx in todo:
        arrays = {}
        for view_idx in groups[group_idx]:
            if (found := prior.maps[view_idx]) is not None:
                arrays |= {f"depth_{view_idx}": found.depth, f"valid_{view_idx}": found.valid}
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        writer.keep(_depth_name(group_idx), stream.getvalue())
    return prior.note, tuple(warnings)


def _kept_depth(coded: SharedGroups, task: GroupTask) -> dict[int, DepthMap]:
    data = coded.kept(_depth_name(task.group_idx))
    if data is None:
        return {}
    maps = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for view in task.views:
            with suppress(KeyError):
                maps[view.view_idx] = DepthMap(arrays[f"depth_{view.view_idx}"], arrays[f"valid_{view.view_idx}"])
    return maps


def _depth_name(group_idx: int) -> str:
    return f"depth_{group_idx}.npz"
