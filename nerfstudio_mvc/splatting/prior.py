"""Depth priors: one z-depth map per view of a capture, from whatever the capture and the machine allow.

This module owns the choice of a method and its result; the methods live in `sparse_depth`, `fitting` and
`median_depth`. Encoder side only: the decoder reads coded depth and never needs a Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.depth_map import DepthMap

DepthMethod = Literal["auto", "gaussians", "sparse", "none"]
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); stages are "fit" (iterations) and "depth" (views)."""

MIN_VIEWS_FOR_GAUSSIANS = 3
MIN_POINTS_FOR_GAUSSIANS = 100
LONG_SIDE = 320


@dataclass(frozen=True)
class DepthPrior:
    """Depth maps by view_idx (None: this view has no prior), the method that made them, and why, in one line."""

    maps: tuple[DepthMap | None, ...]
    method: str
    note: str


def estimate_depth(
    capture: Capture,
    *,
    method: DepthMethod = "auto",
    gaussians: Path | None = None,
    effort: Effort = "default",
    device: str = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> DepthPrior:
    """z-depth of every view of `capture`.

    Args:
        capture: views with photographs on this machine (only read by "gaussians" when they must be fitted); those
            without geometry get no depth.
        method: "gaussians" fits 3D Gaussians (or reads `gaussians`) and takes their median depth; "sparse"
            interpolates the inverse depth of the sparse points; "none" gives no depth; "auto" takes
            "gaussians" from 3 views and 100 points on, else "sparse". Gaussians that training with these cameras left
            in the capture (`left_prior`) are taken before any are fitted.
        gaussians: a 3DGS `.ply`, a splatfacto `config.yml` or its output folder, to use instead of fitting.
        effort: how long fitting may take; see `fitting.EFFORTS`.
        device: "cpu", or "cuda" to fit with gsplat, where it is installed, rather than on the CPU.
        threads: CPU threads; None takes all. Their number does not change the result.
        on_progress: called with (stage, done, total).
        on_warning: told in a line when what training left in the capture cannot be taken.

    Raises:
        CaptureError: a photograph is missing or unreadable, or `gaussians` cannot be used.
    """
    report = on_progress or (lambda stage, done, total: None)
    if method == "none":
        return DepthPrior((None,) * len(capture.views), "none", "no depth, as asked")
    placed = [view for view in capture.views if view.has_geometry]
    if not placed:
        return DepthPrior((None,) * len(capture.views), "none", "no depth: no view has a camera")
    if len(placed) < len(capture.views):
        prior = estimate_depth(
            replace(capture, views=tuple(placed)),
            method=method,
            gaussians=gaussians,
            effort=effort,
            device=device,
            threads=threads,
            on_progress=on_progress,
            on_warning=on_warning,
        )
        maps = dict(zip((view.view_idx for view in placed), prior.maps, strict=True))
        return replace(prior, maps=tuple(maps.get(view.view_idx) for view in capture.views))
    if method == "sparse":
        return _sparse_prior(capture, "as asked", report)
    if gaussians is None and (found := _left_prior(capture, threads, report, on_warning or (lambda line: None))):
        return found
    if method == "auto" and gaussians is None:
        if len(capture.views) < MIN_VIEWS_FOR_GAUSSIANS:
            return _sparse_prior(capture, f"{len(capture.views)} views are too few for Gaussians", report)
        if len(capture.points) < MIN_POINTS_FOR_GAUSSIANS:
            return _sparse_prior(capture, f"{len(capture.points)} points are too few for Gaussians", report)
    return _gaussian_prior(capture, gaussians, effort, device, threads, report)


def _sparse_prior(capture: Capture, why: str, report: Progress) -> DepthPrior:
    # scipy is imported here so that method "none" stays light.
    from nerfstudio_mvc.splatting.sparse_depth import interpolate_sparse_depth

    maps = []
    for view in capture.views:
        maps.append(interpolate_sparse_depth(view, capture.points, long_side=LONG_SIDE))
        report("depth", len(maps), len(capture.views))
    missing = sum(depth_map is None for depth_map in maps)
    note = f"inverse depth of {len(capture.points)} sparse points, interpolated ({why})"
    return DepthPrior(tuple(maps), "sparse", note + (f"; {missing} views see no point" if missing else ""))


def _left_prior(
    capture: Capture, threads: int | None, report: Progress, warn: Callable[[str], None]
) -> DepthPrior | None:
    """The prior that training left in the capture; None where there is none that can be taken."""
    from nerfstudio_mvc.splatting.left_prior import find_left_prior

    try:
        left = find_left_prior(capture)
        if left is None:
            return None
        if left.fits:
            return _gaussian_prior(
                capture, left.gaussians, "default", "cpu", threads, report, f"left by {left.made_by}"
            )
        warn(f"{left.gaussians.parent}: left by {left.made_by} with other cameras, and not used")
    except CaptureError as error:
        warn(f"not used: {error}")
    return None


def _gaussian_prior(
    capture: Capture,
    path: Path | None,
    effort: Effort,
    device: str,
    threads: int | None,
    report: Progress,
    origin: str | None = None,
) -> DepthPrior:
    # numba is imported here: it takes seconds that the other methods need not spend.
    from nerfstudio_mvc.splatting.capture_gaussians import fitted_gaussians, trained_gaussians
    from nerfstudio_mvc.splatting.gaussian_depth import depth_of_views
    from nerfstudio_mvc.splatting.workers import Workers

    with Workers(threads) as workers:
        if path is not None:
            found = trained_gaussians(capture, path, long_side=LONG_SIDE, workers=workers)
        else:
            found = fitted_gaussians(
                capture,
                effort=effort,
                long_side=LONG_SIDE,
                device=device,
                workers=workers,
                on_iteration=lambda done, total: report("fit", done, total),
            )
        maps = depth_of_views(
            found,
            capture.points,
            long_side=LONG_SIDE,
            workers=workers,
            on_view=lambda done, total: report("depth", done, total),
        )
    note = f"median depth of {len(found.gaussians)} Gaussians, {origin or found.note}"
    if found.photographs:
        note += "; interpolated sparse points where they predict the neighbours better"
    return DepthPrior(tuple(maps), "gaussians", note)
