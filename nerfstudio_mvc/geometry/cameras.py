"""COLMAP cameras in torch: lens models for whole pixel grids, both directions; cameras of cropped and resized views.

Reading cameras from files is left to `colmap_io` and `capture`; moving points between views to `projection`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import math

import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import Camera, View
from nerfstudio_mvc.errors import CaptureError, ShapeError

PARAMETER_NAMES = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "THIN_PRISM_FISHEYE": "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1",
}
"""COLMAP's parameters of each lens model, in its order."""

TWO_FOCAL_MODEL = {
    "SIMPLE_PINHOLE": "PINHOLE",
    "SIMPLE_RADIAL": "OPENCV",
    "RADIAL": "OPENCV",
    "SIMPLE_RADIAL_FISHEYE": "OPENCV_FISHEYE",
    "RADIAL_FISHEYE": "OPENCV_FISHEYE",
}
"""Models with one focal length -> the one that takes over when x and y are scaled differently."""

NEWTON_STEPS = 30  # a phone lens needs 4, a fisheye near its border 10
NEWTON_TOLERANCE = 1e-10  # normalised image units: 1e-7 pixel at a focal length of 1000 pixels
UNSOLVED_TOLERANCE = 1e-6  # residual above which a pixel has no ray
DIFFERENCE_STEP = 1e-6  # finite difference for the Jacobian; its error only slows the iteration down


@dataclass(frozen=True)
class Intrinsics:
    """Any supported lens as one formula: focal lengths, principal point, and a distortion of the image plane.

    With (a, b) the ray (x / z, y / z), or for a fisheye that direction with length theta, r2 = a^2 + b^2, and
    radial = (1 + sum numerator_i r2^i) / (1 + sum denominator_i r2^i):
    a' = a radial + 2 p1 a b + p2 (r2 + 2 a^2) + sx1 r2, b' = b radial + 2 p2 a b + p1 (r2 + 2 b^2) + sy1 r2,
    u = fx a' + cx, v = fy b' + cy. These are COLMAP's models; hashable, so that grids can be cached by it.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    fisheye: bool = False
    numerator: tuple[float, ...] = ()
    denominator: tuple[float, ...] = ()
    tangential: tuple[float, float] = (0.0, 0.0)
    prism: tuple[float, float] = (0.0, 0.0)

    @property
    def is_pinhole(self) -> bool:
        return not (self.fisheye or self.numerator or self.denominator or any(self.tangential) or any(self.prism))


def intrinsics_of(camera: Camera) -> Intrinsics:
    """The lens of a `colmap_io` camera.

    Raises:
        CaptureError: a lens model this geometry cannot follow; parameters missing or not finite; focal length <= 0.
    """
    named = _named_parameters(camera)
    fx, fy = named.get("fx", named.get("f", 0.0)), named.get("fy", named.get("f", 0.0))
    if not all(math.isfinite(value) for value in named.values()) or fx <= 0 or fy <= 0:
        raise CaptureError(
            f"camera {camera.camera_id} ({camera.model}) has parameters {list(camera.params)}: focal lengths must be "
            "positive and all values finite; estimate this camera again or leave its photographs out"
        )
    coefficients = [named.get(f"k{i}", 0.0) for i in range(1, 7)]
    rational = camera.model == "FULL_OPENCV"
    return Intrinsics(
        fx=fx,
        fy=fy,
        cx=named["cx"],
        cy=named["cy"],
        fisheye=camera.model.endswith("FISHEYE"),
        numerator=_without_trailing_zeros(coefficients[:3] if rational else coefficients),
        denominator=_without_trailing_zeros(coefficients[3:] if rational else []),
        tangential=(named.get("p1", 0.0), named.get("p2", 0.0)),
        prism=(named.get("sx1", 0.0), named.get("sy1", 0.0)),
    )


def pixels_from_rays(intrinsics: Intrinsics, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (u, v) of rays (x, y) = (X / Z, Y / Z), distortion included; dtype and shape of the input.

    Outside the field of view a distortion polynomial may fold far rays back into the frame: compare their length
    with `largest_ray` first.
    """
    if intrinsics.fisheye:
        radius = torch.sqrt(x * x + y * y)
        scale = torch.where(radius > 1e-8, torch.atan(radius) / radius.clamp_min(1e-8), 1.0)
        x, y = x * scale, y * scale
    x, y = _distort(intrinsics, x, y)
    return x * intrinsics.fx + intrinsics.cx, y * intrinsics.fy + intrinsics.cy


def rays_from_pixels(intrinsics: Intrinsics, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Rays (X / Z, Y / Z) seen at pixel coordinates (u, v), by Newton's method on the distortion.

    Returns:
        x, y: float64, shape of the input; NaN where nothing in front of the camera is seen at that pixel.
    """
    target_a = (u.double() - intrinsics.cx) / intrinsics.fx
    target_b = (v.double() - intrinsics.cy) / intrinsics.fy
    if intrinsics.is_pinhole:
        return target_a, target_b
    a, b = target_a.clone(), target_b.clone()
    h = DIFFERENCE_STEP
    for _ in range(NEWTON_STEPS):
        value_a, value_b = _distort(intrinsics, a, b)
        right_a, right_b = _distort(intrinsics, a + h, b)
        down_a, down_b = _distort(intrinsics, a, b + h)
        aa, ba, ab, bb = (
            (right_a - value_a) / h,
            (right_b - value_b) / h,
            (down_a - value_a) / h,
            (down_b - value_b) / h,
        )
        determinant = aa * bb - ab * ba
        residual_a, residual_b = target_a - value_a, target_b - value_b
        unsolved = torch.maximum(residual_a.abs(), residual_b.abs())
        if float(unsolved.nan_to_num(0.0).max() if unsolved.numel() else 0.0) < NEWTON_TOLERANCE:
            break
        a = a + (bb * residual_a - ab * residual_b) / determinant
        b = b + (aa * residual_b - ba * residual_a) / determinant
    # A determinant of the wrong sign is a root behind the fold of the polynomial, where no lens maps anything.
    seen = (unsolved < UNSOLVED_TOLERANCE) & (determinant > 0)
    if intrinsics.fisheye:
        theta = torch.sqrt(a * a + b * b)
        seen &= theta < math.pi / 2 - 1e-3
        scale = torch.where(theta > 1e-12, torch.tan(theta) / theta.clamp_min(1e-12), 1.0)
        a, b = a * scale, b * scale
    return torch.where(seen, a, torch.nan), torch.where(seen, b, torch.nan)


def largest_ray(intrinsics: Intrinsics, *, width: int, height: int) -> float:
    """Length of the longest ray a frame of this size sees; a longer one lands outside, whatever the lens formula says."""
    if intrinsics.is_pinhole:
        return float("inf")
    steps = torch.linspace(0, 1, 65, dtype=torch.float64)
    zero, one = torch.zeros_like(steps), torch.ones_like(steps)
    u = torch.cat([steps, steps, zero, one]) * width
    v = torch.cat([zero, one, steps, steps]) * height
    x, y = rays_from_pixels(intrinsics, u, v)
    lengths = torch.sqrt(x * x + y * y)
    lengths = lengths[torch.isfinite(lengths)]
    # Where the border itself cannot be inverted, the field of view ends inside the frame: look at all of it.
    if lengths.numel() < u.numel():
        grid_v, grid_u = torch.meshgrid(steps * height, steps * width, indexing="ij")
        x, y = rays_from_pixels(intrinsics, grid_u, grid_v)
        lengths = torch.sqrt(x * x + y * y)
        lengths = lengths[torch.isfinite(lengths)]
    return float(lengths.max()) * (1 + 1e-3) if lengths.numel() else 0.0


def resize_view(view: View, *, width: int, height: int) -> View:
    """The view after resampling its photograph to `width` x `height`; a one-focal model becomes its two-focal twin.

    Raises:
        ShapeError: a side below one pixel.
    """
    if width < 1 or height < 1:
        raise ShapeError(f"view {view.name!r} cannot be resized to {width}x{height}; give at least one pixel per side")
    intrinsics_of(view.camera)
    named = _named_parameters(view.camera)
    model = TWO_FOCAL_MODEL.get(view.camera.model, view.camera.model)
    if "f" in named:
        named["fx"] = named["fy"] = named.pop("f")
    scale_x, scale_y = width / view.width, height / view.height
    named.update(fx=named["fx"] * scale_x, fy=named["fy"] * scale_y, cx=named["cx"] * scale_x, cy=named["cy"] * scale_y)
    return _with_camera(view, model, named, width, height)


def crop_view(view: View, *, left: int, top: int, width: int, height: int) -> View:
    """The view after cutting `width` x `height` pixels out of its photograph: the principal point moves along.

    Raises:
        ShapeError: the window is empty or leaves the photograph.
    """
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > view.width or top + height > view.height:
        raise ShapeError(
            f"window {width}x{height}+{left}+{top} does not lie within view {view.name!r} "
            f"of {view.width}x{view.height} pixels"
        )
    named = _named_parameters(view.camera)
    named.update(cx=named["cx"] - left, cy=named["cy"] - top)
    return _with_camera(view, view.camera.model, named, width, height)


def _with_camera(view: View, model: str, named: dict[str, float], width: int, height: int) -> View:
    values = [named.get(name, 0.0) for name in PARAMETER_NAMES[model].split()]
    camera = replace(view.camera, model=model, width=width, height=height, params=tuple(values))
    return replace(view, width=width, height=height, camera=camera)


def _named_parameters(camera: Camera) -> dict[str, float]:
    if camera.model not in PARAMETER_NAMES:
        raise CaptureError(
            f"camera {camera.camera_id} has lens model {camera.model!r}, which cannot be followed between views; "
            f"known are {', '.join(PARAMETER_NAMES)}: estimate the cameras with one of these"
        )
    names = PARAMETER_NAMES[camera.model].split()
    if len(camera.params) != len(names):
        raise CaptureError(
            f"camera {camera.camera_id} ({camera.model}) has {len(camera.params)} parameters, {len(names)} expected; "
            "the camera file is damaged, estimate the cameras again"
        )
    return {name: float(value) for name, value in zip(names, camera.params, strict=True)}


def _without_trailing_zeros(values: list[float]) -> tuple[float, ...]:
    while values and values[-1] == 0.0:
        values = values[:-1]
    return tuple(values)


def _polynomial(coefficients: tuple[float, ...], r2: Tensor) -> Tensor:
    value = r2 * coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = (value + coefficient) * r2
    return value + 1.0


def _distort(intrinsics: Intrinsics, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if not (intrinsics.numerator or intrinsics.denominator or any(intrinsics.tangential) or any(intrinsics.prism)):
        return a, b
    r2 = a * a + b * b
    distorted_a, distorted_b = a, b
    if intrinsics.numerator or intrinsics.denominator:
        radial = _polynomial(intrinsics.numerator or (0.0,), r2)
        if intrinsics.denominator:
            radial = radial / _polynomial(intrinsics.denominator, r2)
        distorted_a, distorted_b = a * radial, b * radial
    p1, p2 = intrinsics.tangential
    if p1 or p2:
        ab2 = a * b * 2.0
        distorted_a = distorted_a + ab2 * p1 + (r2 + a * a * 2.0) * p2
        distorted_b = distorted_b + ab2 * p2 + (r2 + b * b * 2.0) * p1
    sx1, sy1 = intrinsics.prism
    if sx1 or sy1:
        distorted_a, distorted_b = distorted_a + r2 * sx1, distorted_b + r2 * sy1
    return distorted_a, distorted_b
