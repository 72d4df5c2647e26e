"""Quaternions (wxyz), rotation matrices and 4x4 poses, float64; nothing here knows about files or lenses."""

from __future__ import annotations

import numpy as np


def matrix_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrices of quaternions, which need not have unit length but must not be zero.

    Args:
        quaternion: wxyz. [..., 4]

    Returns:
        float64 [..., 3, 3]
    """
    quaternion = np.asarray(quaternion, np.float64)
    w, x, y, z = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternions, wxyz with w >= 0, of rotation matrices.

    Args:
        rotation: [..., 3, 3]

    Returns:
        float64 [..., 4]
    """
    r = np.asarray(rotation, np.float64)
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    # The matrix whose dominant eigenvector is the quaternion, here as four multiples of it: row i is 4 q_i q.
    wx, wy, wz = r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]
    xy, xz, yz = r[..., 0, 1] + r[..., 1, 0], r[..., 0, 2] + r[..., 2, 0], r[..., 1, 2] + r[..., 2, 1]
    multiples = np.stack(
        [
            np.stack([1 + xx + yy + zz, wx, wy, wz], axis=-1),
            np.stack([wx, 1 + xx - yy - zz, xy, xz], axis=-1),
            np.stack([wy, xy, 1 - xx + yy - zz, yz], axis=-1),
            np.stack([wz, xz, yz, 1 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )
    # The largest diagonal entry is the best conditioned multiple.
    best = np.argmax(np.diagonal(multiples, axis1=-2, axis2=-1), axis=-1)
    quaternion = np.take_along_axis(multiples, best[..., None, None], axis=-2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.where(quaternion[..., :1] < 0, np.negative(quaternion), quaternion)


def pose_matrix(quaternion: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """The 4x4 matrix of a rotation (wxyz) followed by a translation. float64 [4, 4]"""
    pose = np.eye(4)
    pose[:3, :3] = matrix_from_quaternion(quaternion)
    pose[:3, 3] = translation
    return pose


def invert_pose(pose: np.ndarray) -> np.ndarray:
    """Inverse of rigid 4x4 transforms, without losing that their rotation is one. float64 [..., 4, 4]"""
    pose = np.asarray(pose, np.float64)
    inverse = np.zeros_like(pose)
    transposed = np.swapaxes(pose[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = transposed
    inverse[..., :3, 3] = -(transposed @ pose[..., :3, 3, None])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation closest to `matrix` in the least-squares sense. float64 [3, 3]"""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    sign = np.sign(np.linalg.det(left @ right))
    return left @ np.diag([1.0, 1.0, sign]) @ right
