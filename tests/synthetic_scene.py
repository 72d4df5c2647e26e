"""A textured wall and a sphere before it: exact colour, depth and flow for any camera, made in memory.

Written with NumPy from the equations of rays, planes and spheres; of ours it uses only the records and the lens models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from colmap_io.camera_models import project, unproject
from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import Capture, View

WALL_Z = 6.0
SPHERE_CENTER, SPHERE_RADIUS = np.array([0.3, -0.1, 4.2]), 0.9


@dataclass(frozen=True, eq=False)
class Picture:
    """What a camera sees: colour 0..1 [h, w, 3], z-depth [h, w], and the surface points [h, w, 3]."""

    color: np.ndarray
    depth: np.ndarray
    points: np.ndarray


def look_at(
    view_idx: int,
    center: tuple[float, float, float],
    *,
    target: tuple[float, float, float] = (0.0, 0.0, 5.0),
    size: tuple[int, int] = (96, 72),
    model: str = "PINHOLE",
    lens: tuple[float, ...] = (),
) -> View:
    """A view from `center` towards `target`; `size` is (width, height), `lens` what `model` has after the centre."""
    forward = np.subtract(target, center) / np.linalg.norm(np.subtract(target, center))
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ center
    width, height = size
    params = (0.9 * width, 0.92 * width, width / 2 + 0.4, height / 2 - 0.3, *lens)
    camera = Camera(view_idx + 1, model, width, height, params)
    return View(view_idx, f"images/{view_idx:03d}.png", None, width, height, camera, pose)


def picture(view: View, *, height: int | None = None, width: int | None = None) -> Picture:
    """What `view` shows on a grid of `height` x `width` pixel centres (those of the photograph when left out)."""
    height, width = height or view.height, width or view.width
    return _picture_at(view, _centers(view, height, width)).reshaped(height, width)


def colors_at(view: View, positions: np.ndarray) -> np.ndarray:
    """Exact colours at (x, y) positions of the photograph. [N, 2] -> [N, 3]"""
    return _picture_at(view, positions).color


def exact_flow(current: View, reference: View, *, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Flow (dx, dy) [h, w, 2] between grids of this size, and where the reference sees the same point [h, w]."""
    seen = _picture_at(current, _centers(current, height, width))
    in_reference = seen.points @ reference.cam_from_world[:3, :3].T + reference.cam_from_world[:3, 3]
    landed, visible = project(reference.camera, in_reference)
    visible &= ((landed >= 0) & (landed <= (reference.width, reference.height))).all(1)
    there = _picture_at(reference, landed)
    visible &= np.abs(there.depth - in_reference[:, 2]) < 1e-6 * in_reference[:, 2]
    scale = np.array([width / current.width, height / current.height])
    flow = landed * (width / reference.width, height / reference.height) - _centers(current, height, width) * scale
    return flow.reshape(height, width, 2), visible.reshape(height, width)


def capture(views: list[View], folder: Path | None = None, *, point_count: int = 600, seed: int = 0) -> Capture:
    """A capture of the scene; with `folder`, its photographs are written there (PNG, 4 samples per pixel)."""
    rng = np.random.default_rng(seed)
    seeds, colors = [], []
    for view in views:
        at = rng.uniform(0, 1, (point_count // len(views) + 1, 2)) * (view.width, view.height)
        seen = _picture_at(view, at)
        seeds.append(seen.points)
        colors.append(seen.color)
    points = np.concatenate(seeds)[:point_count]
    kept = []
    for view in views:
        in_camera = points @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        landed, inside = project(view.camera, in_camera)
        inside &= ((landed >= 0) & (landed <= (view.width, view.height))).all(1)
        inside &= np.abs(_picture_at(view, landed).depth - in_camera[:, 2]) < 1e-6
        path = None if folder is None else folder / view.name
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fine = picture(view, height=2 * view.height, width=2 * view.width).color
            mean = fine.reshape(view.height, 2, view.width, 2, 3).mean((1, 3))
            Image.fromarray(np.round(mean * 255).astype(np.uint8)).save(path)
        kept.append(replace(view, point_idxs=np.flatnonzero(inside), image_path=path))
    point_colors = np.round(np.concatenate(colors)[:point_count] * 255).astype(np.uint8)
    return Capture(folder, "synthetic", tuple(kept), points, point_colors)


@dataclass(frozen=True, eq=False)
class _Seen:
    color: np.ndarray
    depth: np.ndarray
    points: np.ndarray

    def reshaped(self, height: int, width: int) -> Picture:
        return Picture(
            self.color.reshape(height, width, 3),
            self.depth.reshape(height, width),
            self.points.reshape(height, width, 3),
        )


def _centers(view: View, height: int, width: int) -> np.ndarray:
    x, y = (np.arange(width) + 0.5) * view.width / width, (np.arange(height) + 0.5) * view.height / height
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _picture_at(view: View, positions: np.ndarray) -> _Seen:
    slopes, _ = unproject(view.camera, positions)
    rotation = view.cam_from_world[:3, :3]
    rays = np.concatenate([slopes, np.ones((len(slopes), 1))], axis=1) @ rotation  # of camera z 1, in the world
    center = view.center
    wall = (WALL_Z - center[2]) / rays[:, 2]
    # |center + t ray - sphere|^2 = radius^2
    offset = center - SPHERE_CENTER
    a, b, c = (rays**2).sum(1), rays @ offset, offset @ offset - SPHERE_RADIUS**2
    discriminant = b * b - a * c
    sphere = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
    on_sphere = (discriminant > 0) & (sphere > 0) & (sphere < wall)
    depth = np.where(on_sphere, sphere, wall)
    points = center + depth[:, None] * rays
    return _Seen(np.where(on_sphere[:, None], _sphere_color(points), _wall_color(points)), depth, points)


def _waves(u: np.ndarray, v: np.ndarray, frequencies: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    waves = [np.sin(a * u + b * v + phase) for a, b, phase in frequencies]
    return 0.5 + 0.16 * np.sum(waves, axis=0)


def _wall_color(points: np.ndarray) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    red = _waves(x, y, ((2.1, 0.7, 0.0), (5.3, -4.1, 1.0), (-1.3, 8.2, 2.0)))
    green = _waves(x, y, ((1.2, 2.9, 0.5), (6.1, 5.2, 0.1), (9.0, -1.1, 1.3)))
    blue = _waves(x, y, ((-2.4, 1.8, 0.9), (3.3, 7.7, 2.2), (7.4, -6.0, 0.4)))
    return np.stack([red, green, blue], axis=-1)


def _sphere_color(points: np.ndarray) -> np.ndarray:
    x, y, z = ((points - SPHERE_CENTER) / SPHERE_RADIUS).T
    red = _waves(x, z, ((7.0, 2.0, 0.3), (3.0, 9.0, 1.0), (11.0, -5.0, 0.0)))
    green = _waves(y, x, ((6.0, 4.0, 0.0), (12.0, 1.0, 2.0), (2.0, -8.0, 0.7)))
    blue = _waves(z, y, ((5.0, 7.0, 1.1), (10.0, -3.0, 0.2), (1.0, 13.0, 0.0)))
    return 0.3 + 0.6 * np.stack([red, green, blue], axis=-1)
