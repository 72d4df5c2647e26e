"""Gaussians to splats: EWA projection into a pinhole view, and its gradient, one hand-written loop each.

Drawing the splats is the business of `rasterizer`. Conventions follow 3D Gaussian Splatting as gsplat has it: pixel
centres at +0.5, 0.3 px^2 added to the 2D covariance, splats fainter than 1/255 everywhere dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import float32 as f4

from nerfstudio_mvc.compiling import inlined, kernel
from nerfstudio_mvc.splatting.gaussians import SH_BAND_0, SH_BAND_1, Gaussians
from nerfstudio_mvc.splatting.workers import PARTS, Workers

# Columns of a splat: centre, z-depth, inverse covariance (xx, xy, yy), opacity, colour, half extents, ellipse level.
X, Y, Z, XX, XY, YY, OPACITY, RED, GREEN, BLUE, EXTENT_X, EXTENT_Y, LEVEL = range(13)
SPLAT_COLUMNS = 16  # one cache line

# Columns of a splat gradient; the last two are sums of absolute values over pixels (AbsGS), used by densification.
D_X, D_Y, D_XX, D_XY, D_YY, D_OPACITY, D_RED, D_GREEN, D_BLUE, ABS_X, ABS_Y = range(11)
GRADIENT_COLUMNS = 11

BLUR = 0.3  # px^2, keeps every splat about a pixel wide
MIN_ALPHA = 1 / 255
FRAME_MARGIN = 0.3  # of half the field of view: how far outside the frame the local affine map may be taken

_C0, _C1 = f4(SH_BAND_0), f4(SH_BAND_1)
_ONE, _TWO, _HALF, _ZERO = f4(1), f4(2), f4(0.5), f4(0)


@dataclass(frozen=True, eq=False)
class PinholeCamera:
    """A pinhole view: cam_from_world float64 [4, 4], focal lengths and centre in pixels, size in pixels."""

    cam_from_world: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def packed(self) -> np.ndarray:
        """What the kernels read: 3x4 pose, fx, fy, cx, cy, camera centre, limits of x/z and y/z. float32 [23]"""
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        margin_x, margin_y = FRAME_MARGIN * 0.5 * self.width / self.fx, FRAME_MARGIN * 0.5 * self.height / self.fy
        limits = [
            -self.cx / self.fx - margin_x,
            (self.width - self.cx) / self.fx + margin_x,
            -self.cy / self.fy - margin_y,
            (self.height - self.cy) / self.fy + margin_y,
        ]
        pose, center = self.cam_from_world[:3].reshape(-1), -rotation.T @ translation
        return np.concatenate([pose, [self.fx, self.fy, self.cx, self.cy], center, limits]).astype(np.float32)


def project(
    gaussians: Gaussians, camera: PinholeCamera, *, near: float, workers: Workers
) -> tuple[np.ndarray, np.ndarray]:
    """Splats of all Gaussians (float32 [N, 16]; rows of invisible ones are undefined) and who is visible (bool [N])."""
    splats = np.empty((len(gaussians), SPLAT_COLUMNS), np.float32)
    visible = np.zeros(len(gaussians), np.bool_)
    workers.run(
        _project_part, *gaussians.arrays().values(), camera.packed(), camera.width, camera.height, near, splats, visible
    )
    return splats, visible


def project_backward(
    gaussians: Gaussians,
    camera: PinholeCamera,
    *,
    splats: np.ndarray,
    visible: np.ndarray,
    partial_gradients: np.ndarray,
    workers: Workers,
) -> tuple[Gaussians, np.ndarray]:
    """Gradients of the Gaussians' parameters from those of their splats.

    Args:
        splats, visible: as `project` returned them.
        partial_gradients: splat gradients of every part of the raster, summed here in order. float32 [PARTS, N, 11]

    Returns:
        Gradients in the shape of the Gaussians, and the absolute gradient of each centre, per pixel. float32 [N, 2]
    """
    gradients = Gaussians(**{name: np.empty_like(array) for name, array in gaussians.arrays().items()})
    absolute = np.empty((len(gaussians), 2), np.float32)
    workers.run(
        _project_backward_part,
        *gaussians.arrays().values(),
        camera.packed(),
        splats,
        visible,
        partial_gradients,
        *gradients.arrays().values(),
        absolute,
    )
    return gradients, absolute


@inlined
def _clamp(value, low, high):
    return min(max(value, low), high)


@inlined
def _unit_rotation(w, x, y, z):
    """Rotation matrix of a unit quaternion, row by row."""
    return (
        _ONE - _TWO * (y * y + z * z),
        _TWO * (x * y - w * z),
        _TWO * (x * z + w * y),
        _TWO * (x * y + w * z),
        _ONE - _TWO * (x * x + z * z),
        _TWO * (y * z - w * x),
        _TWO * (x * z - w * y),
        _TWO * (y * z + w * x),
        _ONE - _TWO * (x * x + y * y),
    )


@inlined
def _image_axes(camera, x, y, z):
    """The two rows of (Jacobian of the projection) x (rotation of the camera), and the clamped x/z, y/z."""
    inverse_z = _ONE / z
    slope_x = _clamp(x * inverse_z, camera[19], camera[20])
    slope_y = _clamp(y * inverse_z, camera[21], camera[22])
    j00, j02 = camera[12] * inverse_z, -camera[12] * slope_x * inverse_z
    j11, j12 = camera[13] * inverse_z, -camera[13] * slope_y * inverse_z
    return (
        j00 * camera[0] + j02 * camera[8],
        j00 * camera[1] + j02 * camera[9],
        j00 * camera[2] + j02 * camera[10],
        j11 * camera[4] + j12 * camera[8],
        j11 * camera[5] + j12 * camera[9],
        j11 * camera[6] + j12 * camera[10],
        slope_x,
        slope_y,
    )


@kernel
def _project_part(
    part, means, log_scales, quaternions, logits, harmonics, camera, width, height, near, splats, visible
):
    count = len(means)
    min_alpha, blur = f4(MIN_ALPHA), f4(BLUR)
    for i in range(count * part // PARTS, count * (part + 1) // PARTS):
        m0, m1, m2 = means[i, 0], means[i, 1], means[i, 2]
        x = camera[0] * m0 + camera[1] * m1 + camera[2] * m2 + camera[3]
        y = camera[4] * m0 + camera[5] * m1 + camera[6] * m2 + camera[7]
        z = camera[8] * m0 + camera[9] * m1 + camera[10] * m2 + camera[11]
        opacity = _ONE / (_ONE + math.exp(-logits[i]))
        if not (z > near) or not (opacity > min_alpha):
            continue
        u = camera[12] * x / z + camera[14]
        v = camera[13] * y / z + camera[15]
        t0, t1, t2, t3, t4, t5, _, _ = _image_axes(camera, x, y, z)
        w, qx, qy, qz = quaternions[i, 0], quaternions[i, 1], quaternions[i, 2], quaternions[i, 3]
        inverse_length = _ONE / math.sqrt(w * w + qx * qx + qy * qy + qz * qz)
        rotation = _unit_rotation(w * inverse_length, qx * inverse_length, qy * inverse_length, qz * inverse_length)
        c_xx, c_xy, c_yy = blur, _ZERO, blur
        for k in range(3):
            scale = math.exp(log_scales[i, k])
            a = (t0 * rotation[k] + t1 * rotation[3 + k] + t2 * rotation[6 + k]) * scale
            b = (t3 * rotation[k] + t4 * rotation[3 + k] + t5 * rotation[6 + k]) * scale
            c_xx += a * a
            c_xy += a * b
            c_yy += b * b
        determinant = c_xx * c_yy - c_xy * c_xy
        level = _TWO * math.log(opacity / min_alpha)
        extent_x, extent_y = math.sqrt(level * c_xx), math.sqrt(level * c_yy)
        if not (determinant > f4(1e-12)) or not (extent_x < f4(1e6)) or not (extent_y < f4(1e6)):
            continue
        if u + extent_x < 0 or u - extent_x > width or v + extent_y < 0 or v - extent_y > height:
            continue
        splats[i, X], splats[i, Y], splats[i, Z] = u, v, z
        splats[i, XX], splats[i, XY], splats[i, YY] = c_yy / determinant, -c_xy / determinant, c_xx / determinant
        splats[i, OPACITY], splats[i, LEVEL] = opacity, level
        splats[i, EXTENT_X], splats[i, EXTENT_Y] = extent_x, extent_y
        d0, d1, d2 = m0 - camera[16], m1 - camera[17], m2 - camera[18]
        band1 = _C1 / math.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
        for k in range(3):
            color = _HALF + _C0 * harmonics[i, 0, k]
            if harmonics.shape[1] == 4:
                color += band1 * (-d1 * harmonics[i, 1, k] + d2 * harmonics[i, 2, k] - d0 * harmonics[i, 3, k])
            splats[i, RED + k] = max(color, _ZERO)
        visible[i] = True


@kernel
def _project_backward_part(
    part,
    means,
    log_scales,
    quaternions,
    logits,
    harmonics,
    camera,
    splats,
    visible,
    partial,
    d_means,
    d_log_scales,
    d_quaternions,
    d_logits,
    d_harmonics,
    absolute,
):
    count = len(means)
    d = np.empty(GRADIENT_COLUMNS, np.float32)
    scales, d_rotation = np.empty(3, np.float32), np.empty(9, np.float32)
    for i in range(count * part // PARTS, count * (part + 1) // PARTS):
        d_means[i], d_log_scales[i], d_quaternions[i] = _ZERO, _ZERO, _ZERO
        d_logits[i], d_harmonics[i], absolute[i] = _ZERO, _ZERO, _ZERO
        if not visible[i]:
            continue
        d[:] = _ZERO
        for other in range(PARTS):
            for k in range(GRADIENT_COLUMNS):
                d[k] += partial[other, i, k]
        absolute[i, 0], absolute[i, 1] = d[ABS_X], d[ABS_Y]
        opacity = splats[i, OPACITY]
        d_logits[i] = d[D_OPACITY] * opacity * (_ONE - opacity)

        # Colour: the harmonics, and the mean through the direction it is seen from.
        m0, m1, m2 = means[i, 0], means[i, 1], means[i, 2]
        e0, e1, e2 = m0 - camera[16], m1 - camera[17], m2 - camera[18]
        inverse_distance = _ONE / math.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        e0, e1, e2 = e0 * inverse_distance, e1 * inverse_distance, e2 * inverse_distance
        d_e0, d_e1, d_e2 = _ZERO, _ZERO, _ZERO
        for k in range(3):
            d_color = d[D_RED + k] if splats[i, RED + k] > _ZERO else _ZERO
            d_harmonics[i, 0, k] = _C0 * d_color
            if harmonics.shape[1] == 4:
                d_color *= _C1
                d_harmonics[i, 1, k] = -e1 * d_color
                d_harmonics[i, 2, k] = e2 * d_color
                d_harmonics[i, 3, k] = -e0 * d_color
                d_e0 -= harmonics[i, 3, k] * d_color
                d_e1 -= harmonics[i, 1, k] * d_color
                d_e2 += harmonics[i, 2, k] * d_color
        along = d_e0 * e0 + d_e1 * e1 + d_e2 * e2

        # Covariance = A A^T + blur, A = (image axes) x rotation x scales; the splat holds Q = covariance^-1.
        x = camera[0] * m0 + camera[1] * m1 + camera[2] * m2 + camera[3]
        y = camera[4] * m0 + camera[5] * m1 + camera[6] * m2 + camera[7]
        z = splats[i, Z]
        t0, t1, t2, t3, t4, t5, slope_x, slope_y = _image_axes(camera, x, y, z)
        w, qx, qy, qz = quaternions[i, 0], quaternions[i, 1], quaternions[i, 2], quaternions[i, 3]
        inverse_length = _ONE / math.sqrt(w * w + qx * qx + qy * qy + qz * qz)
        w, qx, qy, qz = w * inverse_length, qx * inverse_length, qy * inverse_length, qz * inverse_length
        rotation = _unit_rotation(w, qx, qy, qz)
        q_xx, q_xy, q_yy = splats[i, XX], splats[i, XY], splats[i, YY]
        h_xx, h_xy, h_yy = d[D_XX], _HALF * d[D_XY], d[D_YY]
        p00, p01 = q_xx * h_xx + q_xy * h_xy, q_xx * h_xy + q_xy * h_yy
        p10, p11 = q_xy * h_xx + q_yy * h_xy, q_xy * h_xy + q_yy * h_yy
        g_xx = -_TWO * (p00 * q_xx + p01 * q_xy)
        g_xy = -_TWO * (p00 * q_xy + p01 * q_yy)
        g_yy = -_TWO * (p10 * q_xy + p11 * q_yy)
        d_t0, d_t1, d_t2, d_t3, d_t4, d_t5 = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
        for k in range(3):
            scales[k] = math.exp(log_scales[i, k])
            r0, r1, r2 = rotation[k], rotation[3 + k], rotation[6 + k]
            a = (t0 * r0 + t1 * r1 + t2 * r2) * scales[k]
            b = (t3 * r0 + t4 * r1 + t5 * r2) * scales[k]
            d_a, d_b = (g_xx * a + g_xy * b) * scales[k], (g_xy * a + g_yy * b) * scales[k]
            d_t0 += d_a * r0
            d_t1 += d_a * r1
            d_t2 += d_a * r2
            d_t3 += d_b * r0
            d_t4 += d_b * r1
            d_t5 += d_b * r2
            d_rotation[k] = t0 * d_a + t3 * d_b
            d_rotation[3 + k] = t1 * d_a + t4 * d_b
            d_rotation[6 + k] = t2 * d_a + t5 * d_b
            d_log_scales[i, k] = d_rotation[k] * r0 + d_rotation[3 + k] * r1 + d_rotation[6 + k] * r2
        v0, v1, v2 = d_rotation[0], d_rotation[1], d_rotation[2]
        v3, v4, v5 = d_rotation[3], d_rotation[4], d_rotation[5]
        v6, v7, v8 = d_rotation[6], d_rotation[7], d_rotation[8]
        d_w = _TWO * (qx * (v7 - v5) + qy * (v2 - v6) + qz * (v3 - v1))
        d_qx = _TWO * (-_TWO * qx * (v4 + v8) + qy * (v1 + v3) + qz * (v2 + v6) + w * (v7 - v5))
        d_qy = _TWO * (qx * (v1 + v3) - _TWO * qy * (v0 + v8) + qz * (v5 + v7) + w * (v2 - v6))
        d_qz = _TWO * (qx * (v2 + v6) + qy * (v5 + v7) - _TWO * qz * (v0 + v4) + w * (v3 - v1))
        radial = d_w * w + d_qx * qx + d_qy * qy + d_qz * qz
        d_quaternions[i, 0] = (d_w - radial * w) * inverse_length
        d_quaternions[i, 1] = (d_qx - radial * qx) * inverse_length
        d_quaternions[i, 2] = (d_qy - radial * qy) * inverse_length
        d_quaternions[i, 3] = (d_qz - radial * qz) * inverse_length

        # The mean, through the centre of the splat and through the Jacobian of the projection.
        inverse_z = _ONE / z
        fx_z, fy_z = camera[12] * inverse_z, camera[13] * inverse_z
        d_j00 = d_t0 * camera[0] + d_t1 * camera[1] + d_t2 * camera[2]
        d_j02 = d_t0 * camera[8] + d_t1 * camera[9] + d_t2 * camera[10]
        d_j11 = d_t3 * camera[4] + d_t4 * camera[5] + d_t5 * camera[6]
        d_j12 = d_t3 * camera[8] + d_t4 * camera[9] + d_t5 * camera[10]
        d_x, d_y = fx_z * d[D_X], fy_z * d[D_Y]
        d_z = -(d_x * x + d_y * y) * inverse_z - (fx_z * d_j00 + fy_z * d_j11) * inverse_z
        d_z += (fx_z * slope_x * d_j02 + fy_z * slope_y * d_j12) * inverse_z
        if slope_x > camera[19] and slope_x < camera[20]:
            d_x -= fx_z * inverse_z * d_j02
            d_z += fx_z * slope_x * inverse_z * d_j02
        if slope_y > camera[21] and slope_y < camera[22]:
            d_y -= fy_z * inverse_z * d_j12
            d_z += fy_z * slope_y * inverse_z * d_j12
        toward = along
        d_means[i, 0] = (d_e0 - toward * e0) * inverse_distance + camera[0] * d_x + camera[4] * d_y + camera[8] * d_z
        d_means[i, 1] = (d_e1 - toward * e1) * inverse_distance + camera[1] * d_x + camera[5] * d_y + camera[9] * d_z
        d_means[i, 2] = (d_e2 - toward * e2) * inverse_distance + camera[2] * d_x + camera[6] * d_y + camera[10] * d_z
