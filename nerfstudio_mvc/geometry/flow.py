"""z-depth and two cameras -> where every pixel lands in the reference view, and whether it is seen there.

Whole photographs are landed and read by `warping`, in compiled loops of the same formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.cameras import Lens, lens_of, longest_ray, pixels_from_rays
from nerfstudio_mvc.geometry.projection import NEAREST_RATIO, relative_pose
from nerfstudio_mvc.geometry.ray_grids import RayGrid, ray_rows
from nerfstudio_mvc.geometry.resampling import linear_rows, linear_taps

OCCLUSION_SLACK = 1.05  # relative depth; 5 % as in the released code of 3D-GP-LMVIC
BAND_PIXELS = 1 << 16  # rows are taken together up to this many cells: temporaries of 256 kB stay in the cache


@dataclass(frozen=True)
class FlowField:
    """Flow of a whole grid.

    Attributes:
        flow: (dx, dy) in cells of the grid; the reference grid has `reference_size` cells. float32 [2, H, W]
        valid: see `flow_to_reference`. bool [H, W]
        z_reference: z-depth of the pixel's content in the reference camera's frame, 0 where not valid. float32 [H, W]
        reference_size: (rows, columns) of the reference grid that `p + flow` points into.
    """

    flow: Tensor
    valid: Tensor
    z_reference: Tensor
    reference_size: tuple[int, int]


@dataclass(frozen=True)
class Landing:
    """Some rows of a grid, seen in the reference: position in its frame (-1..1, not clamped), z-depth there."""

    x: Tensor
    y: Tensor
    z: Tensor
    valid: Tensor


@dataclass(frozen=True)
class ViewPair:
    """Everything about two views and their depth that does not depend on the row; built by `view_pair`."""

    height: int
    width: int
    rays: RayGrid
    inverse_depth: Tensor
    coverage: Tensor | None
    row_taps: tuple
    column_taps: tuple
    rotation: list[list[float]]
    translation: list[float]
    reference: Lens
    reference_width: int
    reference_height: int
    longest_ray: float
    reference_inverse_depth: Tensor | None


def flow_to_reference(
    depth: Tensor,
    *,
    current: View,
    reference: View,
    reference_depth: Tensor | None = None,
    height: int | None = None,
    width: int | None = None,
) -> FlowField:
    """Where every cell of a grid over the current view lands in the reference view.

    3D-GP-LMVIC, Eq. 3-4 (called "disparity" there; two components, so a flow here), with the lens distortion of both
    cameras. Differs from the authors' released code, which divides by |z + 1e-4|: a point behind the reference is
    not valid.

    Args:
        depth: z-depth of the current view on a grid of any resolution; cells <= 0 or not finite have none. The
            result lies on its device. [h, w]
        current, reference: views of any sizes and lenses.
        reference_depth: z-depth of the reference view on any grid; where given, hidden content is not valid. [hr, wr]
        height, width: grid of the result, that of `depth` when left out; inverse depth is interpolated bilinearly.

    Returns:
        The flow field; its reference grid is scaled from the reference photograph as this grid from the current one.
        valid is False where depth is missing, the point is behind the reference, leaves its frame, or is hidden:
        not nearer than `OCCLUSION_SLACK` times what the reference sees there. flow and z_reference are 0 there.

    Raises:
        ShapeError: depth that is not [h, w], an empty grid.
        CaptureError: a camera this geometry cannot follow.
    """
    pair = view_pair(
        depth, current=current, reference=reference, reference_depth=reference_depth, height=height, width=width
    )
    rows, columns = pair.height, pair.width
    reference_size = (
        max(1, round(reference.height * rows / current.height)),
        max(1, round(reference.width * columns / current.width)),
    )
    device = depth.device
    flow = torch.empty(2, rows, columns, device=device)
    valid = torch.empty(rows, columns, dtype=torch.bool, device=device)
    z_reference = torch.empty(rows, columns, device=device)
    column_centers = torch.arange(columns, device=device) + 0.5
    for band in bands(rows, columns):
        landing = land(pair, band)
        row_centers = torch.arange(band.start, band.stop, device=device)[:, None] + 0.5
        valid[band] = landing.valid
        z_reference[band] = landing.z
        flow[0, band] = torch.where(landing.valid, (landing.x + 1) * (reference_size[1] / 2) - column_centers, 0.0)
        flow[1, band] = torch.where(landing.valid, (landing.y + 1) * (reference_size[0] / 2) - row_centers, 0.0)
    return FlowField(flow, valid, z_reference, reference_size)


def view_pair(
    depth: Tensor,
    *,
    current: View,
    reference: View,
    reference_depth: Tensor | None,
    height: int | None = None,
    width: int | None = None,
) -> ViewPair:
    """Prepare `land`; arguments and errors as in `flow_to_reference`."""
    for view in (current, reference):
        if (view.width, view.height) != (view.camera.width, view.camera.height):
            raise ShapeError(
                f"view {view.name!r} has {view.width}x{view.height} pixels, its camera "
                f"{view.camera.width}x{view.camera.height}; scale the camera first, see resize_view"
            )
    inverse_depth, coverage = _inverse(depth, "depth")
    height, width = height or depth.shape[0], width or depth.shape[1]
    pose = relative_pose(current=current, reference=reference)
    return ViewPair(
        height=height,
        width=width,
        rays=ray_rows(current.camera, height, width).to(depth.device),
        inverse_depth=inverse_depth,
        coverage=None if bool(coverage.all()) else coverage.to(torch.float32),
        row_taps=linear_taps(height, depth.shape[0], depth.device),
        column_taps=linear_taps(width, depth.shape[1], depth.device),
        rotation=pose[:3, :3].tolist(),
        translation=pose[:3, 3].tolist(),
        reference=lens_of(reference.camera),
        reference_width=reference.width,
        reference_height=reference.height,
        longest_ray=longest_ray(reference.camera),
        reference_inverse_depth=None if reference_depth is None else _inverse(reference_depth, "reference depth")[0],
    )


def bands(rows: int, columns: int, band_pixels: int = BAND_PIXELS) -> Iterator[slice]:
    """Row ranges that cover a grid, about `band_pixels` cells each."""
    step = max(1, band_pixels // max(1, columns))
    for top in range(0, rows, step):
        yield slice(top, min(top + step, rows))


def land(pair: ViewPair, rows: slice) -> Landing:
    """Project the cells of some rows into the reference; every row is computed alone."""
    x, y = pair.rays.rows(rows)
    inverse = linear_rows(pair.inverse_depth, rows=rows, row_taps=pair.row_taps, column_taps=pair.column_taps)
    valid = inverse > 0
    if pair.coverage is not None:
        coverage = linear_rows(pair.coverage, rows=rows, row_taps=pair.row_taps, column_taps=pair.column_taps)
        valid &= coverage >= 0.5  # the nearest depth sample exists, or most of the neighbours do
        inverse = inverse / coverage.clamp_min(0.5)
    # Everything is divided by the current depth: R ray + t / z needs no division and holds for far points as well.
    # `ratio` is then reference depth over current depth.
    across, down, ratio = (
        x * r[0] + y * r[1] + inverse * t + r[2] for r, t in zip(pair.rotation, pair.translation, strict=True)
    )
    valid &= ratio > NEAREST_RATIO
    scale = 1.0 / ratio.clamp_min(NEAREST_RATIO)
    across, down = across * scale, down * scale
    if pair.longest_ray != float("inf"):
        valid &= across * across + down * down <= pair.longest_ray**2
    u, v = pixels_from_rays(pair.reference, across, down)
    landing_x = u * (2.0 / pair.reference_width) - 1.0
    landing_y = v * (2.0 / pair.reference_height) - 1.0
    valid &= (landing_x.abs() <= 1.0) & (landing_y.abs() <= 1.0)
    z = torch.where(valid, ratio / inverse, 0.0)
    if pair.reference_inverse_depth is not None:
        seen = _read(pair.reference_inverse_depth, landing_x, landing_y)
        # No depth in the reference reads as 0, infinitely far: nothing hides the point.
        valid = valid & (z * seen < OCCLUSION_SLACK)
        z = torch.where(valid, z, 0.0)
    return Landing(landing_x, landing_y, z, valid)


def _read(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`image` [H, W] at positions -1..1 across its frame, bilinearly. [R, W]"""
    # Side by side as the parts of a complex number: stacking along the last axis is many times slower.
    position = torch.view_as_real(torch.complex(x, y))
    # Every row as a picture of its own: only pictures of a batch are shared out among threads.
    pictures = image.expand(len(x), 1, *image.shape)
    return F.grid_sample(pictures, position[:, None], padding_mode="border", align_corners=False)[:, 0, 0]


def _inverse(depth: Tensor, what: str) -> tuple[Tensor, Tensor]:
    if depth.ndim != 2 or 0 in depth.shape:
        raise ShapeError(f"{what} has shape {tuple(depth.shape)}, expected [h, w] with at least one cell")
    depth = depth.to(torch.float32)
    inverse = 1.0 / depth
    # An inverse of 0 or infinity is a depth outside the range of float32.
    present = (inverse > 0) & torch.isfinite(inverse)
    return torch.where(present, inverse, 0.0), present
