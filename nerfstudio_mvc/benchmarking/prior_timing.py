"""Seconds that the depth prior of a capture takes, beside those that estimating its cameras takes on this machine.

How good the depth is, is `alignment`'s business.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colmap_io.camera_estimation import estimate_cameras
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import load_photographs
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.splatting.prior import DepthMethod, Effort, estimate_depth


@dataclass(frozen=True)
class PriorTiming:
    """One capture.

    Attributes:
        capture: name of its folder.
        views: how many.
        note: how depth was found.
        prior_s, prior_cpu_s: seconds of the prior, photographs read included; all threads together.
        cameras_s, cameras_cpu_s: seconds of estimating the cameras from the photographs alone; None where not asked.
        cameras_note: "" when all cameras were found, else what went wrong after that time.
        ratio: prior_s / cameras_s.
    """

    capture: str
    views: int
    note: str
    prior_s: float
    prior_cpu_s: float
    cameras_s: float | None
    cameras_cpu_s: float | None
    cameras_note: str
    ratio: float | None


def time_prior(
    data: Path,
    *,
    method: DepthMethod = "auto",
    effort: Effort = "default",
    threads: int | None = None,
    with_cameras: bool = True,
    on_event: OnEvent = ignore_event,
) -> PriorTiming:
    """Time the prior of a capture that has cameras, and estimating them once more.

    Kernels that were never compiled on this machine are compiled first, and counted: run it twice.

    Raises:
        CaptureError: the capture cannot be read or has no photographs on this machine.
    """
    capture = load_capture(data)

    def step(name: str) -> Callable[[str, int, int], None]:
        return lambda stage, done, total: on_event(StepProgress(f"{data.name}: {name} {stage}", done, total))

    prior, prior_s, prior_cpu_s = _timed(
        lambda: estimate_depth(capture, method=method, effort=effort, threads=threads, on_progress=step("prior"))
    )
    cameras_s = cameras_cpu_s = None
    cameras_note = ""
    if with_cameras:
        found, cameras_s, cameras_cpu_s = _timed(lambda: _estimate_cameras(data, step("cameras")))
        cameras_note = found
    return PriorTiming(
        capture=data.resolve().name,
        views=len(capture.views),
        note=prior.note,
        prior_s=prior_s,
        prior_cpu_s=prior_cpu_s,
        cameras_s=cameras_s,
        cameras_cpu_s=cameras_cpu_s,
        cameras_note=cameras_note,
        ratio=None if cameras_s is None else prior_s / cameras_s,
    )


def _estimate_cameras(data: Path, on_progress: Callable[[str, int, int], None]) -> str:
    try:
        load_photographs(PhotographFiles(data), estimate_cameras=estimate_cameras, on_progress=on_progress)
    except CaptureError as error:
        return str(error)
    return ""


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, seconds, and CPU seconds of this process and those it waited for."""
    started, cpu_started = time.monotonic(), _cpu_s()
    result = work()
    return result, time.monotonic() - started, _cpu_s() - cpu_started


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
