"""A tilted, smoothly coloured plane seen through COLMAP's OPENCV lens: exact depth and colour. NumPy only."""

from __future__ import annotations

import numpy as np
from reference.flow_loop import undistort

NORMAL, OFFSET = np.array([0.15, -0.1, 1.0]), 4.0


def pose(yaw, pitch, translation):
    """World-to-camera from two angles (radians) and a translation."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    matrix[:3, 3] = translation
    return matrix


def render(params, width, height, cam_from_world, rows=None, columns=None):
    """z-depth [rows, columns] and colour [3, rows, columns], 0..1, at the cell centres of a grid over it."""
    rows, columns = rows or height, columns or width
    v, u = np.meshgrid(
        (np.arange(rows) + 0.5) * height / rows, (np.arange(columns) + 0.5) * width / columns, indexing="ij"
    )
    x, y = undistort(params, u, v)
    world_from_cam = np.linalg.inv(cam_from_world)
    rays = np.einsum("ij,jhw->ihw", world_from_cam[:3, :3], np.stack([x, y, np.ones_like(x)]))
    center = world_from_cam[:3, 3]
    depth = (OFFSET - NORMAL @ center) / np.einsum("i,ihw->hw", NORMAL, rays)
    point = center[:, None, None] + rays * depth
    phase = np.array([[1.9, 0.7], [-1.1, 2.3], [2.8, 1.3]])
    color = 0.5 + 0.4 * np.sin(np.einsum("cj,jhw->chw", phase, point[:2]))
    return depth, color
