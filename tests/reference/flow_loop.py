"""Flow between two views, one pixel at a time, from the equations: rays, rigid motion, lens polynomial. NumPy only."""

from __future__ import annotations

import numpy as np


def distort(params, x, y):
    """COLMAP's OPENCV lens: ray -> pixel."""
    fx, fy, cx, cy, k1, k2, p1, p2 = params
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
    return fx * u + cx, fy * v + cy


def undistort(params, u, v):
    """Pixel -> ray: correct the guess by what the lens makes of it until nothing changes."""
    fx, fy, cx, cy = params[:4]
    x, y = (u - cx) / fx, (v - cy) / fy
    for _ in range(200):
        guess_u, guess_v = distort(params, x, y)
        x, y = x + (u - guess_u) / fx, y + (v - guess_v) / fy
    return x, y


def bilinear(image, row, column):
    """`image` [h, w] at fractional cell (0 is the centre of the first), the border kept outside."""
    h, w = image.shape
    row, column = min(max(row, 0), h - 1), min(max(column, 0), w - 1)
    i, j = int(row), int(column)
    i2, j2 = min(i + 1, h - 1), min(j + 1, w - 1)
    a, b = row - i, column - j
    return (1 - a) * ((1 - b) * image[i, j] + b * image[i, j2]) + a * ((1 - b) * image[i2, j] + b * image[i2, j2])


def landing_loop(depth, current, reference, height, width, reference_depth=None, slack=1.05):
    """(u, v) in pixels of the reference, z there, and whether it is visible; views are (params, w, h, pose)."""
    params, photo_width, photo_height, pose = current
    reference_params, reference_width, reference_height, reference_pose = reference
    motion = reference_pose @ np.linalg.inv(pose)
    uv, z, valid = np.zeros((height, width, 2)), np.zeros((height, width)), np.zeros((height, width), bool)
    for i in range(height):
        for j in range(width):
            down, across = (i + 0.5) / height, (j + 0.5) / width
            inverse = bilinear(1 / depth, down * depth.shape[0] - 0.5, across * depth.shape[1] - 0.5)
            x, y = undistort(params, across * photo_width, down * photo_height)
            point = motion @ np.array([x / inverse, y / inverse, 1 / inverse, 1])
            if point[2] <= 0:
                continue
            u, v = distort(reference_params, point[0] / point[2], point[1] / point[2])
            if not (0 <= u <= reference_width and 0 <= v <= reference_height):
                continue
            if reference_depth is not None:
                rows, columns = reference_depth.shape
                position = v / reference_height * rows - 0.5, u / reference_width * columns - 0.5
                if point[2] * bilinear(1 / reference_depth, *position) >= slack:
                    continue
            uv[i, j], z[i, j], valid[i, j] = (u, v), point[2], True
    return uv, z, valid
