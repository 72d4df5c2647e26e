"""Quaternions, matrices, poses."""

from __future__ import annotations

import numpy as np

from colmap_io.rotation import (
    invert_pose,
    matrix_from_quaternion,
    nearest_rotation,
    pose_matrix,
    quaternion_from_matrix,
)


def test_quarter_turn_about_each_axis() -> None:
    half = np.sqrt(0.5)
    np.testing.assert_allclose(matrix_from_quaternion(np.array([half, half, 0, 0])) @ (0, 1, 0), (0, 0, 1), atol=1e-15)
    np.testing.assert_allclose(matrix_from_quaternion(np.array([half, 0, half, 0])) @ (0, 0, 1), (1, 0, 0), atol=1e-15)
    np.testing.assert_allclose(matrix_from_quaternion(np.array([half, 0, 0, half])) @ (1, 0, 0), (0, 1, 0), atol=1e-15)


def test_quaternions_survive_the_way_through_matrices() -> None:
    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(500, 4))
    # Half turns, where w = 0 and a formula that divides by w fails.
    quaternions[:3] = [(0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    back = quaternion_from_matrix(matrix_from_quaternion(quaternions))
    assert (back[:, 0] >= 0).all()
    np.testing.assert_allclose(np.abs((back * quaternions).sum(1)), 1, atol=1e-12)


def test_length_of_a_quaternion_does_not_matter() -> None:
    quaternion = np.array([0.3, -0.2, 0.5, 0.1])
    np.testing.assert_allclose(matrix_from_quaternion(7 * quaternion), matrix_from_quaternion(quaternion), atol=1e-15)


def test_pose_and_inverse() -> None:
    pose = pose_matrix(np.array([0.9, 0.1, -0.3, 0.2]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(invert_pose(pose) @ pose, np.eye(4), atol=1e-15)
    np.testing.assert_allclose(invert_pose(np.stack([pose, np.eye(4)]))[1], np.eye(4))


def test_nearest_rotation_is_a_rotation() -> None:
    rotation = matrix_from_quaternion(np.array([0.9, 0.1, -0.3, 0.2]))
    np.testing.assert_allclose(nearest_rotation(rotation * 1.001), rotation, atol=1e-14)
    assert np.linalg.det(nearest_rotation(np.diag([1.0, 1.0, -0.1]))) > 0
