"""What the parameters of a COLMAP camera mean: names, projection and its inverse, lens distortion included.

Owns the table of camera models and the float64 reference arithmetic on NumPy arrays. Poses are `rotation`'s business.

Pixel coordinates are COLMAP's: x right, y down, the centre of row i, column j at (j + 0.5, i + 0.5). Every supported
lens is one formula, with different terms switched on. With (u, v) = (x, y) / z for perspective lenses, or
theta / sin(theta) times the unit direction's (x, y) for equidistant (fisheye) ones, and s = u^2 + v^2:

    gain  = (1 + k1 s + k2 s^2 + ...) / (1 + k4 s + ...)
    u_d   = u gain + 2 p1 u v + p2 (s + 2 u^2) + sx1 s
    v_d   = v gain + 2 p2 u v + p1 (s + 2 v^2) + sy1 s
    pixel = (fx u_d + cx, fy v_d + cy)

as in COLMAP's `sensor/models.h`; the FOV model has gain = atan(2 r tan(omega / 2)) / (r omega) instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import Polynomial

from colmap_io.errors import ModelError
from colmap_io.records import Camera

CONVERGED = 1e-9
"""Largest residual, in units of the normalised image plane, at which an inverse counts as found."""

MAX_ITERATIONS = 60
MAX_SIZE = 1 << 20
"""Largest width or height of a camera that is believed, in pixels."""


@dataclass(frozen=True)
class CameraModel:
    """One of COLMAP's camera models: its number in binary files, its name, and its parameters in order."""

    model_id: int
    name: str
    param_names: tuple[str, ...]


def _model(model_id: int, name: str, param_names: str) -> CameraModel:
    return CameraModel(model_id, name, tuple(param_names.split()))


CAMERA_MODELS: dict[str, CameraModel] = {
    model.name: model
    for model in (
        _model(0, "SIMPLE_PINHOLE", "f cx cy"),
        _model(1, "PINHOLE", "fx fy cx cy"),
        _model(2, "SIMPLE_RADIAL", "f cx cy k"),
        _model(3, "RADIAL", "f cx cy k1 k2"),
        _model(4, "OPENCV", "fx fy cx cy k1 k2 p1 p2"),
        _model(5, "OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4"),
        _model(6, "FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
        _model(7, "FOV", "fx fy cx cy omega"),
        _model(8, "SIMPLE_RADIAL_FISHEYE", "f cx cy k"),
        _model(9, "RADIAL_FISHEYE", "f cx cy k1 k2"),
        _model(10, "THIN_PRISM_FISHEYE", "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1"),
        _model(11, "RAD_TAN_THIN_PRISM_FISHEYE", "fx fy cx cy k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3"),
        _model(12, "SIMPLE_DIVISION", "f cx cy k"),
        _model(13, "DIVISION", "fx fy cx cy k"),
        _model(14, "SIMPLE_FISHEYE", "f cx cy"),
        _model(15, "FISHEYE", "fx fy cx cy"),
        _model(16, "EUCM", "fx fy cx cy alpha beta"),
        _model(17, "EQUIRECTANGULAR", "w h"),
    )
}
MODEL_OF_ID: dict[int, CameraModel] = {model.model_id: model for model in CAMERA_MODELS.values()}

UNSUPPORTED_LENSES = frozenset(("RAD_TAN_THIN_PRISM_FISHEYE", "SIMPLE_DIVISION", "DIVISION", "EUCM", "EQUIRECTANGULAR"))
"""Models that are read and written but not projected."""


def named_params(camera: Camera) -> dict[str, float]:
    """The parameters of `camera` by name.

    Raises:
        ModelError: COLMAP has no such model, or the model has another number of parameters.
    """
    model = CAMERA_MODELS.get(camera.model)
    if model is None:
        raise ModelError(f"camera {camera.camera_id}: there is no camera model {camera.model!r} in COLMAP")
    if len(camera.params) != len(model.param_names):
        raise ModelError(
            f"camera {camera.camera_id}: {camera.model} has {len(model.param_names)} parameters"
            f" ({', '.join(model.param_names)}), found {len(camera.params)}"
        )
    return dict(zip(model.param_names, camera.params, strict=True))


def check_camera(camera: Camera) -> None:
    """Do nothing if `camera` can project.

    Raises:
        ModelError: unknown or unsupported model, a size or focal length that is not positive, or a number that is
            not finite.
    """
    named = named_params(camera)
    label = f"camera {camera.camera_id} ({camera.model})"
    if camera.model in UNSUPPORTED_LENSES:
        raise ModelError(f"{label}: projecting with this camera model is not supported; undistort the images first")
    if not (0 < camera.width <= MAX_SIZE and 0 < camera.height <= MAX_SIZE):
        raise ModelError(f"{label}: impossible image size {camera.width} x {camera.height}")
    for name, value in named.items():
        if not np.isfinite(value):
            raise ModelError(f"{label}: parameter {name} is {value}")
    for name in ("f", "fx", "fy"):
        if named.get(name, 1.0) <= 0:
            raise ModelError(f"{label}: focal length {name} is {named[name]:g}; it must be positive")


def intrinsics(camera: Camera) -> tuple[float, float, float, float]:
    """(fx, fy, cx, cy) in pixels, whatever the model calls them."""
    named = named_params(camera)
    if "cx" not in named:
        raise ModelError(f"camera {camera.camera_id}: {camera.model} has no focal length")
    return (
        named["fx"] if "fx" in named else named["f"],
        named["fy"] if "fy" in named else named["f"],
        named["cx"],
        named["cy"],
    )


def resize_camera(camera: Camera, *, width: int, height: int) -> Camera:
    """`camera` for the same picture resampled to `width` x `height` pixels; lens terms do not change.

    One focal length for both axes (`f`) becomes their geometric mean where the factors differ.
    """
    scale_x, scale_y = width / camera.width, height / camera.height
    factors = {"fx": scale_x, "fy": scale_y, "f": (scale_x * scale_y) ** 0.5, "cx": scale_x, "cy": scale_y}
    factors |= {"w": scale_x, "h": scale_y}
    params = tuple(value * factors.get(name, 1.0) for name, value in named_params(camera).items())
    return replace(camera, width=width, height=height, params=params)


@dataclass(frozen=True)
class _Lens:
    """The terms of the formula in the module's docstring; coefficients from the constant term up."""

    equidistant: bool
    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    p1: float
    p2: float
    sx1: float
    sy1: float
    omega: float

    @classmethod
    def of(cls, camera: Camera) -> _Lens:
        check_camera(camera)
        named = named_params(camera)

        def coefficients(*names: str) -> tuple[float, ...]:
            return (1.0, *(named.get(name, 0.0) for name in names))

        rational = camera.model == "FULL_OPENCV"
        return cls(
            equidistant="FISHEYE" in camera.model,
            numerator=coefficients("k")
            if "k" in named
            else coefficients("k1", "k2", "k3", *(() if rational else ("k4",))),
            denominator=coefficients("k4", "k5", "k6") if rational else (1.0,),
            p1=named.get("p1", 0.0),
            p2=named.get("p2", 0.0),
            sx1=named.get("sx1", 0.0),
            sy1=named.get("sy1", 0.0),
            omega=named.get("omega", 0.0),
        )

    @property
    def is_ideal(self) -> bool:
        plain = not any(self.numerator[1:]) and not any(self.denominator[1:])
        return plain and not any((self.p1, self.p2, self.sx1, self.sy1, self.omega))

    def fold(self) -> float:
        """The s at which the radial part stops growing with the distance from the axis: beyond it, the formula
        maps far-off points back into the picture, which no lens does. Infinite for well-behaved lenses."""
        numerator, denominator = Polynomial(self.numerator), Polynomial(self.denominator)
        s = Polynomial((0.0, 1.0))
        # d/dr of r N(r^2) / D(r^2), times D^2.
        slope = (numerator + 2 * s * numerator.deriv()) * denominator - 2 * s * numerator * denominator.deriv()
        roots = np.concatenate([slope.trim().roots(), denominator.trim().roots()])
        roots = roots[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))].real
        return float(min(roots[roots > 0], default=np.inf))

    def gain(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The radial gain at s = r^2, and its derivative by s."""
        if self.omega:
            return _fov_gain(s, self.omega)
        numerator, denominator = Polynomial(self.numerator), Polynomial(self.denominator)
        below = denominator(s)
        gain = numerator(s) / below
        return gain, (numerator.deriv()(s) - gain * denominator.deriv()(s)) / below

    def distort(self, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distorted coordinates [N, 2] and the Jacobian's entries (uu, uv, vu, vv) [N, 4]."""
        u, v = uv[:, 0], uv[:, 1]
        s = u * u + v * v
        gain, slope = self.gain(s)
        p1, p2 = self.p1, self.p2
        distorted = np.stack(
            [
                u * gain + 2 * p1 * u * v + p2 * (s + 2 * u * u) + self.sx1 * s,
                v * gain + 2 * p2 * u * v + p1 * (s + 2 * v * v) + self.sy1 * s,
            ],
            axis=1,
        )
        cross = 2 * u * v * slope + 2 * p1 * u + 2 * p2 * v
        jacobian = np.stack(
            [
                gain + 2 * u * u * slope + 2 * p1 * v + 6 * p2 * u + 2 * self.sx1 * u,
                cross + 2 * self.sx1 * v,
                cross + 2 * self.sy1 * u,
                gain + 2 * v * v * slope + 2 * p2 * u + 6 * p1 * v + 2 * self.sy1 * v,
            ],
            axis=1,
        )
        return distorted, jacobian


def _fov_gain(s: np.ndarray, omega: float) -> tuple[np.ndarray, np.ndarray]:
    slant = 2.0 * np.tan(omega / 2.0)
    # Near the axis atan(a r) / r is 0 / 0; below this radius its Taylor series is exact to float64.
    near = s * slant * slant < 1e-8
    safe = np.where(near, 1.0, s)
    r = np.sqrt(safe)
    angle = np.arctan(slant * r)
    gain = np.where(near, slant / omega * (1 - slant * slant * s / 3), angle / (r * omega))
    far_slope = (slant / (1 + slant * slant * safe) - angle / r) / (2 * safe * omega)
    return gain, np.where(near, -(slant**3) / (3 * omega), far_slope)


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points in the camera's frame land in its picture.

    Args:
        points: camera frame (x right, y down, z forward), any length unit. [N, 3]

    Returns:
        xy: pixels; they may lie outside the picture; zero where not valid. float64 [N, 2]
        valid: False behind a perspective lens and beyond the angle its distortion formula covers. bool [N]

    Raises:
        ModelError: see `check_camera`.
    """
    lens = _Lens.of(camera)
    points = np.asarray(points, np.float64).reshape(-1, 3)
    x, y, z = points.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if lens.equidistant:
            r = np.hypot(x, y)
            angle = np.arctan2(r, z)
            on_axis = r < 1e-12 * np.abs(z)
            uv = points[:, :2] * np.where(on_axis, 1.0 / z, angle / r)[:, None]
            valid = np.isfinite(uv).all(1) & ~(on_axis & (z <= 0))
        else:
            uv = points[:, :2] / z[:, None]
            valid = (z > 0) & np.isfinite(uv).all(1)
        uv = np.where(valid[:, None], uv, 0.0)
        valid &= (uv * uv).sum(1) < lens.fold()
        uv = np.where(valid[:, None], uv, 0.0)
    if not lens.is_ideal:
        uv, _ = lens.distort(uv)
    fx, fy, cx, cy = intrinsics(camera)
    xy = uv * (fx, fy) + (cx, cy)
    return np.where(valid[:, None], xy, 0.0), valid


def unproject(camera: Camera, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The viewing ray of each pixel position, as the point where it meets the plane z = 1; inverse of `project`.

    Args:
        xy: pixels. [N, 2]

    Returns:
        normalized: (x / z, y / z); zero where not valid. float64 [N, 2]
        valid: False where no ray in front of the camera projects to `xy` within `CONVERGED`. bool [N]

    Raises:
        ModelError: see `check_camera`.
    """
    lens = _Lens.of(camera)
    fx, fy, cx, cy = intrinsics(camera)
    target = (np.asarray(xy, np.float64).reshape(-1, 2) - (cx, cy)) / (fx, fy)
    valid = np.isfinite(target).all(1)
    uv = np.where(valid[:, None], target, 0.0)
    if not lens.is_ideal:
        uv, converged = _undistort(lens, uv)
        valid &= converged
    if lens.equidistant:
        angle = np.hypot(uv[:, 0], uv[:, 1])
        valid &= angle < np.pi / 2 - 1e-6
        angle = np.where(valid, angle, 0.0)
        uv = uv * np.where(angle > 1e-8, np.tan(angle) / np.maximum(angle, 1e-8), 1.0)[:, None]
    return np.where(valid[:, None], uv, 0.0), valid


def _undistort(lens: _Lens, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method on all pixels at once; a step that does not come closer is tried again at a quarter of its
    length, so it cannot run away. Pixels that have arrived are left alone."""
    fold = lens.fold()
    # Start at the target, pulled inside the region where the lens formula can be inverted.
    squared = (target * target).sum(1)
    solution = target * np.minimum(1.0, 0.9 * np.sqrt(fold / np.maximum(squared, 1e-300)))[:, None]
    residual_norm = np.full(len(target), np.inf)
    active = np.arange(len(target))
    uv, goal, scale = solution.copy(), target, np.ones(len(target))
    value, jacobian = lens.distort(uv)
    error = np.linalg.norm(goal - value, axis=1)
    with np.errstate(all="ignore"):
        for _ in range(MAX_ITERATIONS):
            step = _solve(jacobian, goal - value)
            trial = uv + scale[:, None] * step
            trial_value, trial_jacobian = lens.distort(trial)
            trial_error = np.linalg.norm(goal - trial_value, axis=1)
            closer = (trial_error < error) & ((trial * trial).sum(1) < fold)
            uv = np.where(closer[:, None], trial, uv)
            value = np.where(closer[:, None], trial_value, value)
            jacobian = np.where(closer[:, None], trial_jacobian, jacobian)
            error = np.where(closer, trial_error, error)
            scale = np.where(closer, np.minimum(1.0, 4 * scale), scale / 4)
            # 1e-15 of a normalised unit is below float64's resolution at the edge of any picture.
            done = (error <= 1e-15) | (scale < 1e-12)
            solution[active], residual_norm[active] = uv, error
            if done.all():
                break
            left = ~done
            active, uv, goal, scale, error = active[left], uv[left], goal[left], scale[left], error[left]
            value, jacobian = value[left], jacobian[left]
    return solution, residual_norm <= CONVERGED


def _solve(jacobian: np.ndarray, right: np.ndarray) -> np.ndarray:
    uu, uv, vu, vv = jacobian.T
    determinant = uu * vv - uv * vu
    return np.stack(
        [(vv * right[:, 0] - uv * right[:, 1]) / determinant, (uu * right[:, 1] - vu * right[:, 0]) / determinant],
        axis=1,
    )
