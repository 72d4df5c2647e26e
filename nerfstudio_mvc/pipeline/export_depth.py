"""Capture -> folder of depth maps that nerfstudio reads, with previews and a transforms.json that names them.

How depth is found is the business of `splatting.prior`, what the files hold that of `splatting.depth_files`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path, PurePosixPath
from typing import Literal

from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.output_folder import check_output_folder, output_folder
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, Warned, ignore_event
from nerfstudio_mvc.pipeline.reports import DepthReport
from nerfstudio_mvc.pipeline.restored_transforms import TRANSFORMS_NAME, transforms_of_views
from nerfstudio_mvc.splatting.depth_files import DEFAULT_UNIT, unit_of, write_depth, write_preview
from nerfstudio_mvc.splatting.prior import DepthMethod, Effort, estimate_depth

_STEP_NAMES = {"fit": "fitting Gaussians", "depth": "depth maps"}


def export_depth(
    data: Path,
    output_dir: Path,
    *,
    method: DepthMethod = "auto",
    gaussians: Path | None = None,
    effort: Effort = "default",
    file_format: Literal["npy", "png"] = "npy",
    device: str = "auto",
    force: bool = False,
    on_event: OnEvent = ignore_event,
) -> DepthReport:
    """Write ``depths/NAME.npy`` (or .png), ``previews/NAME.png`` and a transforms.json into `output_dir`.

    The depth maps lie on the photographs' own pixel grid, lens distortion included, at 320 pixels for the longer side;
    nerfstudio enlarges them. transforms.json refers to the photographs where they are, in the world of the COLMAP
    model.

    Args:
        data: capture folder, as for `compress_capture`.
        method, gaussians, effort: as for `splatting.prior.estimate_depth`.
        file_format: "npy", float32 in nerfstudio's default unit of 0.001; "png", 16 bit in the unit the report names.
        force: write into a folder that is not empty.
        on_event: receives progress and warnings.

    Raises:
        CaptureError: the capture or `gaussians` cannot be used.
        OutputError: `output_dir` exists or cannot be written.
    """
    started = time.monotonic()
    check_output_folder(output_dir, force=force)
    device = resolve_device(device)
    capture = load_capture(data, on_progress=lambda *step: on_event(StepProgress(*step)))
    prior = estimate_depth(
        capture,
        method=method,
        gaussians=gaussians,
        effort=effort,
        device=device,
        on_progress=lambda stage, done, total: on_event(StepProgress(_STEP_NAMES[stage], done, total)),
        on_warning=lambda line: on_event(Warned(line)),
    )
    if not any(prior.maps):
        raise CaptureError(f"{data}: no view has a depth ({prior.note}); use --method gaussians or give --gaussians")
    unit = unit_of(prior.maps) if file_format == "png" else DEFAULT_UNIT
    # Relative to the folder as it will be, not to the hidden one it is filled as.
    photographs = {
        view.view_idx: PurePosixPath(os.path.relpath(view.image_path or data / view.name, output_dir)).as_posix()
        for view in capture.views
    }
    # nerfstudio wants depth for every frame or for none.
    with_depth = [view for view, depth_map in zip(capture.views, prior.maps, strict=True) if depth_map is not None]
    transforms, problem = transforms_of_views(with_depth, names=photographs)
    if problem:
        on_event(Warned(problem))
    names = {view.view_idx: _flat_name(view.name) for view in capture.views}
    with output_folder(output_dir, force=force) as folder:
        (folder / "depths").mkdir()
        (folder / "previews").mkdir()
        for view_idx, depth_map in enumerate(prior.maps):
            if depth_map is None:
                on_event(Warned(f"{capture.views[view_idx].name}: no depth; it is left out"))
                continue
            write_depth(folder / "depths" / f"{names[view_idx]}.{file_format}", depth_map, unit=unit)
            write_preview(folder / "previews" / f"{names[view_idx]}.png", depth_map)
        if not problem:
            for view, frame in zip(with_depth, transforms["frames"], strict=True):
                frame["depth_file_path"] = f"depths/{names[view.view_idx]}.{file_format}"
            (folder / TRANSFORMS_NAME).write_text(json.dumps(transforms, indent=4), encoding="utf-8")
    return DepthReport(
        output_dir,
        sum(depth_map is not None for depth_map in prior.maps),
        prior.method,
        prior.note,
        unit,
        None if problem else output_dir / TRANSFORMS_NAME,
        time.monotonic() - started,
    )


def _flat_name(name: str) -> str:
    """``images/left/a.jpg`` -> ``left_a.jpg``: unique in one folder as long as names are, ending kept for that."""
    parts = PurePosixPath(name).parts
    return "_".join(parts[1:] if len(parts) > 1 else parts)
