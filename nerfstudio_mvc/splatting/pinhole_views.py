"""The pinhole views Gaussians are fitted and drawn in, and the way back to the photograph's own pixels.

A splat can only be drawn through a pinhole. So each photograph, made small, is undistorted into a pinhole view that
covers all it shows, and depth is carried back onto its pixel grid: both cameras share one frame, so z-depth is the same
number in both. Lens models are the business of `colmap_io.camera_models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from colmap_io.camera_models import intrinsics, project, unproject
from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.splatting.depth_map import grid_size, pixel_centers
from nerfstudio_mvc.splatting.projection import PinholeCamera

MAX_SLOPE = 2.75  # 70 degrees off axis: further out a pinhole view would be mostly stretched border
MAX_GROWTH = 1.6  # longest side of the pinhole view over that of the grid; a strong fisheye gets a lower focal length
SUPERSAMPLING = 2
SAME_SURFACE = 0.1  # relative depth range within which neighbouring depths are blended rather than chosen from


@dataclass(frozen=True)
class SceneFrame:
    """The frame Gaussians are fitted in: ``(world - offset) * scale``, cameras within about 1 of the origin."""

    offset: np.ndarray
    scale: float

    def camera_pose(self, cam_from_world: np.ndarray) -> np.ndarray:
        """Camera pose in this frame; z-depths come out multiplied by `scale`. float64 [4, 4]"""
        pose = np.array(cam_from_world, np.float64)
        pose[:3, 3] = (pose[:3, :3] @ self.offset + pose[:3, 3]) * self.scale
        return pose


@dataclass(frozen=True, eq=False)
class PinholeView:
    """A pinhole camera over a view, and where each pixel of the view's depth grid lies in it.

    Attributes:
        camera: in the scene frame.
        grid_positions: (x, y) in pixels of `camera`, for each pixel centre of the depth grid. float64 [h, w, 2]
        grid_covered: False where the pinhole does not reach. bool [h, w]
    """

    camera: PinholeCamera
    grid_positions: np.ndarray
    grid_covered: np.ndarray


def pinhole_view(view: View, frame: SceneFrame, *, long_side: int) -> PinholeView:
    """The pinhole view over `view` whose pixels are about as large as those of its depth grid."""
    height, width = grid_size(view, long_side)
    intrinsic, positions, covered = _pinhole_over(view.camera, (view.height, view.width), (height, width))
    return PinholeView(PinholeCamera(frame.camera_pose(view.cam_from_world), *intrinsic), positions, covered)


@lru_cache(maxsize=8)  # views of one capture mostly share one camera
def _pinhole_over(camera: Camera, photo_size: tuple[int, int], grid: tuple[int, int]):
    """Intrinsics and size of the pinhole camera, and the depth grid's positions in it."""
    rays, covered = unproject(camera, pixel_centers(photo_size, grid))
    rays, covered = rays.reshape(*grid, 2), covered.reshape(grid)
    covered &= (np.abs(rays) <= MAX_SLOPE).all(-1)
    reach = rays[covered] if covered.any() else np.array([[-1.0, -1.0], [1.0, 1.0]])
    low, high = reach.min(0), reach.max(0)
    fx, fy, _, _ = intrinsics(camera)
    focal = np.array([fx * grid[1] / photo_size[1], fy * grid[0] / photo_size[0]])
    focal *= min(1.0, MAX_GROWTH * max(grid) / ((high - low) * focal).max())
    # Rays belong to pixel centres: half a pixel more on every side covers the pixels themselves.
    columns, rows = (int(n) for n in np.ceil((high - low) * focal - 1e-6) + 1)
    center = 0.5 - low * focal
    positions = rays * focal + center
    return (focal[0], focal[1], center[0], center[1], columns, rows), positions, covered


def undistort(pixels: np.ndarray, view: View, pinhole: PinholeView) -> tuple[np.ndarray, np.ndarray]:
    """The photograph as the pinhole camera would have taken it.

    Args:
        pixels: the photograph. uint8 [H, W, 3]

    Returns:
        image: 0 where the photograph shows nothing. uint8 [h, w, 3]
        mask: 1 where the photograph covers the pixel, else 0. float32 [h, w]
    """
    camera = pinhole.camera
    grid_height, grid_width = pinhole.grid_covered.shape
    source_height = min(pixels.shape[0], grid_height * SUPERSAMPLING)
    source_width = min(pixels.shape[1], grid_width * SUPERSAMPLING)
    source = np.asarray(Image.fromarray(pixels).resize((source_width, source_height), Image.Resampling.BICUBIC))
    positions, inside = _photograph_positions(
        view.camera, (camera.fx, camera.fy, camera.cx, camera.cy), camera.width, camera.height
    )
    rows = positions[:, 1] * (source_height / view.height) - 0.5
    columns = positions[:, 0] * (source_width / view.width) - 0.5
    fine = np.stack([map_coordinates(source[..., k], (rows, columns), order=1, mode="nearest") for k in range(3)], -1)
    shape = (camera.height, SUPERSAMPLING, camera.width, SUPERSAMPLING)
    image = fine.reshape(*shape, 3).mean((1, 3))
    mask = inside.reshape(shape).all((1, 3))
    return np.where(mask[..., None], np.round(image), 0).astype(np.uint8), mask.astype(np.float32)


@lru_cache(maxsize=8)
def _photograph_positions(camera: Camera, intrinsic: tuple[float, float, float, float], width: int, height: int):
    """Where the samples of a pinhole view, `SUPERSAMPLING` squared to a pixel, lie in the photograph."""
    fx, fy, cx, cy = intrinsic
    x = ((np.arange(width * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - cx) / fx
    y = ((np.arange(height * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - cy) / fy
    rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), axis=-1).reshape(-1, 3)
    positions, inside = project(camera, rays)
    inside &= ((positions >= 0) & (positions <= (camera.width, camera.height))).all(1)
    return positions, inside


def depth_on_grid(depth: np.ndarray, valid: np.ndarray, pinhole: PinholeView) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a pinhole view on the pixel grid of the photograph.

    Where the four pixels around a position are one surface they are blended; at an edge the nearest one is taken, so
    that no depth between foreground and background appears.

    Args:
        depth, valid: on the pixels of `pinhole.camera`. [H, W]

    Returns:
        The same on the depth grid; `valid` is False where the pinhole does not reach. float32, bool [h, w]
    """
    height, width = depth.shape
    x = np.clip(pinhole.grid_positions[..., 0] - 0.5, 0, width - 1)
    y = np.clip(pinhole.grid_positions[..., 1] - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(np.int64), max(width - 2, 0)), np.minimum(y.astype(np.int64), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    share_x, share_y = x - left, y - top
    corners = np.stack([depth[top, left], depth[top, right], depth[bottom, left], depth[bottom, right]])
    weights = np.stack(
        [(1 - share_x) * (1 - share_y), share_x * (1 - share_y), (1 - share_x) * share_y, share_x * share_y]
    )
    smooth = corners.max(0) <= corners.min(0) * (1 + SAME_SURFACE)
    nearest_row, nearest_column = np.where(share_y > 0.5, bottom, top), np.where(share_x > 0.5, right, left)
    blended = np.where(smooth, (corners * weights).sum(0), depth[nearest_row, nearest_column])
    return blended.astype(np.float32), valid[nearest_row, nearest_column] & pinhole.grid_covered
