"""Depth priors: one z-depth map per view of a capture, from whatever the capture and the machine allow.

This module owns the choice of a method and its result; the methods live in `sparse_depth`, `fitting` and
`median_depth`. Encoder side only: the decoder reads coded depth and never needs a Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.splatting.depth_map import DepthMap

DepthMethod = Literal["auto", "gaussians", "sparse", "none"]
Effort = Literal["fast", "default", "high"]
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total): stages are "fit" (iterations) and "depth" (views)."""

MIN_VIEWS_FOR_GAUSSIANS = 3
MIN_POINTS_FOR_GAUSSIANS = 100


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
) -> DepthPrior:
    """z-depth of every view of `capture`.

    Args:
        capture: views with photographs on this machine (only read by "gaussians" when they must be fitted).
        method: "gaussians" fits 3D Gaussians (or reads `gaussians`) and takes their median depth; "sparse"
            interpolates the inverse depth of the sparse points; "none" gives no depth; "auto" takes
            "gaussians" from 3 views and 100 points on, else "sparse".
        gaussians: a 3DGS `.ply`, a splatfacto `config.yml` or its output folder, to use instead of fitting.
        effort: how long fitting may take; see `fitting.EFFORTS`.
        device: "cpu", or "cuda" to fit with gsplat where it is installed.
        threads: CPU threads of the rasteriser; None takes all. Results are bit-identical for a fixed number.
        on_progress: called with (stage, done, total).

    Raises:
        CaptureError: a photograph is missing or unreadable, or `gaussians` cannot be used.
    """
    if method == "none":
        return DepthPrior((None,) * len(capture.views), "none", "no depth: asked for none")
    if method == "sparse":
        return _sparse_prior(capture, "asked for", on_progress)
    raise NotImplementedError(method)


def _sparse_prior(capture: Capture, why: str, on_progress: Progress | None) -> DepthPrior:
    # scipy is imported here so that method "none" stays light.
    from nerfstudio_mvc.splatting.sparse_depth import interpolate_sparse_depth

    maps = []
    for view in capture.views:
        maps.append(interpolate_sparse_depth(view, capture.points))
        if on_progress:
            on_progress("depth", len(maps), len(capture.views))
    missing = sum(depth_map is None for depth_map in maps)
    note = f"inverse depth of {len(capture.points)} sparse points, interpolated ({why})"
    return DepthPrior(tuple(maps), "sparse", note + (f"; {missing} views see no point" if missing else ""))
