"""COLMAP cameras in torch: rays to pixels for whole pixel grids, and the cameras of cropped and resized views.

The parameters' meaning and the inverse are `colmap_io.camera_models`'; moving points between views is `projection`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from colmap_io.camera_models import CAMERA_MODELS, check_camera, intrinsics, named_params, unproject
from colmap_io.errors import ModelError
from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import CaptureError, ShapeError

TWO_FOCAL_MODEL = {
    "SIMPLE_PINHOLE": "PINHOLE",
    "SIMPLE_RADIAL": "OPENCV",
    "RADIAL": "OPENCV",
    "SIMPLE_FISHEYE": "FISHEYE",
    "SIMPLE_RADIAL_FISHEYE": "OPENCV_FISHEYE",
    "RADIAL_FISHEYE": "OPENCV_FISHEYE",
}
"""Models with one focal length -> the one that takes over when x and y are scaled differently."""

BORDER_SAMPLES = 65  # per side of the frame, to find its longest ray


@dataclass(frozen=True)
class Lens:
    """Any supported lens as one formula: focal lengths, principal point, and a distortion of the image plane.

    With (a, b) the ray (x / z, y / z), or for a fisheye that direction with length theta, r2 = a^2 + b^2, and
    radial = (1 + sum numerator_i r2^i) / (1 + sum denominator_i r2^i), or atan(2 r tan(omega / 2)) / (r omega):
    a' = a radial + 2 p1 a b + p2 (r2 + 2 a^2) + sx1 r2, b' = b radial + 2 p2 a b + p1 (r2 + 2 b^2) + sy1 r2,
    u = fx a' + cx, v = fy b' + cy. The same terms as in `colmap_io.camera_models`.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    fisheye: bool
    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    tangential: tuple[float, float]
    prism: tuple[float, float]
    omega: float

    @property
    def bends(self) -> bool:
        """False for a pinhole: the only lens that maps any ray in front of it to a single place."""
        return bool(
            self.fisheye or self.numerator or self.denominator or any(self.tangential) or any(self.prism) or self.omega
        )


def lens_of(camera: Camera) -> Lens:
    """The lens of a camera.

    Raises:
        CaptureError: a lens model that cannot be followed; parameters missing or not finite; focal length <= 0.
    """
    try:
        check_camera(camera)
        fx, fy, cx, cy = intrinsics(camera)
    except ModelError as error:
        raise CaptureError(
            f"{error}; without this camera its photographs cannot be predicted: correct it or estimate it again"
        ) from error
    named = named_params(camera)
    rational = camera.model == "FULL_OPENCV"
    radial = [named.get(f"k{i}", 0.0) for i in range(1, 7)]
    if "k" in named:
        radial[0] = named["k"]
    return Lens(
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        fisheye="FISHEYE" in camera.model,
        numerator=_without_trailing_zeros(radial[:3] if rational else radial[:4]),
        denominator=_without_trailing_zeros(radial[3:] if rational else []),
        tangential=(named.get("p1", 0.0), named.get("p2", 0.0)),
        prism=(named.get("sx1", 0.0), named.get("sy1", 0.0)),
        omega=named.get("omega", 0.0),
    )


def pixels_from_rays(lens: Lens, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (u, v) of rays (x, y) = (X / Z, Y / Z), distortion included; dtype and shape of the input.

    Outside the field of view a distortion polynomial may fold far rays back into the frame: compare their length
    with `longest_ray` first.
    """
    if lens.fisheye:
        radius = torch.sqrt(x * x + y * y)
        scale = torch.where(radius > 1e-8, torch.atan(radius) / radius.clamp_min(1e-8), 1.0)
        x, y = x * scale, y * scale
    x, y = _distort(lens, x, y)
    return x * lens.fx + lens.cx, y * lens.fy + lens.cy


def rays_from_pixels(camera: Camera, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Rays (X / Z, Y / Z) seen at pixel coordinates (u, v).

    Returns:
        x, y: float64, shape of the input; NaN where nothing in front of the camera is seen at that pixel.

    Raises:
        CaptureError: as in `lens_of`.
    """
    lens_of(camera)
    rays, seen = unproject(camera, torch.stack([u, v], dim=-1).double().reshape(-1, 2).numpy())
    x, y = torch.from_numpy(np.where(seen[:, None], rays, np.nan)).T.reshape(2, *u.shape)
    return x, y


@lru_cache(maxsize=64)
def longest_ray(camera: Camera) -> float:
    """Length of the longest ray that lands in the camera's frame; longer ones do not, whatever the formula says."""
    if not lens_of(camera).bends:
        return math.inf
    across = torch.linspace(0, camera.width, BORDER_SAMPLES, dtype=torch.float64)
    down = torch.linspace(0, camera.height, BORDER_SAMPLES, dtype=torch.float64)
    # The inside counts as well: where the border itself has no ray, the field of view ends inside the frame.
    v, u = torch.meshgrid(down, across, indexing="ij")
    x, y = rays_from_pixels(camera, u, v)
    length = torch.sqrt(x * x + y * y)
    length = length[torch.isfinite(length)]
    return float(length.max()) * (1 + 1e-3) if length.numel() else 0.0


def resize_view(view: View, *, width: int, height: int) -> View:
    """The view after resampling its photograph to `width` x `height`; a one-focal model becomes its two-focal twin.

    Raises:
        ShapeError: a side below one pixel.
        CaptureError: as in `lens_of`.
    """
    if width < 1 or height < 1:
        raise ShapeError(f"view {view.name!r} cannot be resized to {width}x{height}; give at least one pixel per side")
    lens = lens_of(view.camera)
    named = named_params(view.camera)
    scale_x, scale_y = width / view.width, height / view.height
    named.update(fx=lens.fx * scale_x, fy=lens.fy * scale_y, cx=lens.cx * scale_x, cy=lens.cy * scale_y)
    if "k" in named:
        named["k1"] = named["k"]
    return _with_camera(view, TWO_FOCAL_MODEL.get(view.camera.model, view.camera.model), named, width, height)


def crop_view(view: View, *, left: int, top: int, width: int, height: int) -> View:
    """The view after cutting `width` x `height` pixels out of its photograph: the principal point moves along.

    Raises:
        ShapeError: the window is empty or leaves the photograph.
        CaptureError: as in `lens_of`.
    """
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > view.width or top + height > view.height:
        raise ShapeError(
            f"window {width}x{height}+{left}+{top} does not lie within view {view.name!r} "
            f"of {view.width}x{view.height} pixels"
        )
    lens = lens_of(view.camera)
    named = named_params(view.camera)
    named.update(cx=lens.cx - left, cy=lens.cy - top)
    return _with_camera(view, view.camera.model, named, width, height)


def _with_camera(view: View, model: str, named: dict[str, float], width: int, height: int) -> View:
    params = tuple(named.get(name, 0.0) for name in CAMERA_MODELS[model].param_names)
    camera = replace(view.camera, model=model, width=width, height=height, params=params)
    return replace(view, width=width, height=height, camera=camera)


def _without_trailing_zeros(values: list[float]) -> tuple[float, ...]:
    while values and values[-1] == 0.0:
        values = values[:-1]
    return tuple(values)


def _polynomial(coefficients: tuple[float, ...], r2: Tensor) -> Tensor:
    value = r2 * coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = (value + coefficient) * r2
    return value + 1.0


def _radial(lens: Lens, r2: Tensor) -> Tensor | float:
    if lens.omega:
        slant = 2.0 * math.tan(lens.omega / 2.0)
        radius = torch.sqrt(r2)
        gain = torch.atan(radius * slant) / (radius.clamp_min(1e-6) * lens.omega)
        return torch.where(radius > 1e-6, gain, slant / lens.omega)
    radial = _polynomial(lens.numerator, r2) if lens.numerator else 1.0
    return radial / _polynomial(lens.denominator, r2) if lens.denominator else radial


def _distort(lens: Lens, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    r2 = a * a + b * b
    radial = _radial(lens, r2)
    distorted_a, distorted_b = a * radial, b * radial
    p1, p2 = lens.tangential
    if p1 or p2:
        ab2 = a * b * 2.0
        distorted_a = distorted_a + ab2 * p1 + (r2 + a * a * 2.0) * p2
        distorted_b = distorted_b + ab2 * p2 + (r2 + b * b * 2.0) * p1
    sx1, sy1 = lens.prism
    if sx1 or sy1:
        distorted_a, distorted_b = distorted_a + r2 * sx1, distorted_b + r2 * sy1
    return distorted_a, distorted_b
