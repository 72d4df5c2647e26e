"""COLMAP camera axes (x right, y down, z forward) <-> nerfstudio's (x right, y up, z backward).

The only place that flips signs. Which world a pose refers to is the business of `nerfstudio_source`.
"""

from __future__ import annotations

import numpy as np

from colmap_io.rotation import invert_pose

_FLIP = np.array([1.0, -1.0, -1.0])


def colmap_from_nerfstudio(transform_matrix: np.ndarray) -> np.ndarray:
    """World-to-camera in COLMAP's axes from nerfstudio's camera-to-world.

    Args:
        transform_matrix: rigid. [4, 4]

    Returns:
        cam_from_world, in the same world. float64 [4, 4]
    """
    world_from_cam = np.array(transform_matrix, np.float64)
    world_from_cam[:3, :3] *= _FLIP
    return invert_pose(world_from_cam)


def nerfstudio_from_colmap(cam_from_world: np.ndarray) -> np.ndarray:
    """Inverse of `colmap_from_nerfstudio`. float64 [4, 4]"""
    world_from_cam = invert_pose(cam_from_world)
    world_from_cam[:3, :3] *= _FLIP
    return world_from_cam
