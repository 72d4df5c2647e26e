"""Fits 3D Gaussians to a capture on the CPU: sparse points in, Gaussians out.

Owns the starting point and the optimiser (Adam). Drawing is in `rasterizer`, the loss in `photometric_loss`, how
Gaussians multiply in `densification`; what becomes of them is the business of `median_depth`. Learning rates are those
of 3D Gaussian Splatting times two: depth, unlike colour, has settled after few iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import float32 as f4
from scipy.spatial import KDTree

from nerfstudio_mvc.compiling import kernel
from nerfstudio_mvc.splatting.densification import can_be_seen, densification_due, densified, moments_after
from nerfstudio_mvc.splatting.gaussians import SH_BAND_0, Gaussians
from nerfstudio_mvc.splatting.photometric_loss import PhotometricLoss
from nerfstudio_mvc.splatting.projection import PinholeCamera
from nerfstudio_mvc.splatting.rasterizer import draw, draw_backward
from nerfstudio_mvc.splatting.workers import PARTS, Workers

START_OPACITY = 0.1
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-15
LEARNING_RATES = {
    "means": 3.2e-4,
    "log_scales": 1e-2,
    "quaternions": 2e-3,
    "opacity_logits": 0.1,
    "harmonics": 5e-3,
}


@dataclass(frozen=True, eq=False)
class TrainingView:
    """One photograph to fit: pinhole camera in the scene frame, uint8 [H, W, 3], and 1 where it shows something."""

    camera: PinholeCamera
    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class FittingSettings:
    """How much work a fit does: pixels of the longer side, iterations, Gaussians at most."""

    long_side: int
    iterations: int
    max_gaussians: int


EFFORTS = {
    # (iterations per view, at least, at most, Gaussians at most)
    "fast": (15, 500, 1000, 12_000),
    "default": (30, 1000, 2000, 20_000),
    "high": (60, 2500, 4000, 40_000),
}


def settings_for(effort: str, view_count: int, *, long_side: int = 320) -> FittingSettings:
    """Settings that grow with the number of views, within the bounds of an effort."""
    per_view, least, most, max_gaussians = EFFORTS[effort]
    return FittingSettings(long_side, min(max(per_view * view_count, least), most), max_gaussians)


def learning_rate(name: str, progress: float) -> float:
    """Of the parameters `name` of Gaussians when `progress` (0..1) of the iterations are done."""
    decay = 0.01**progress if name == "means" else 0.1 ** max(0.0, 2 * progress - 1)
    return LEARNING_RATES[name] * decay


def turns(views: list[TrainingView], rng: np.random.Generator) -> Iterator[TrainingView]:
    """The views for ever, each once before any comes again, in random order."""
    waiting: list[int] = []
    while True:
        if not waiting:
            waiting = list(rng.permutation(len(views)))
        yield views[waiting.pop()]


def starting_gaussians(points: np.ndarray, colors: np.ndarray, *, max_count: int, seed: int = 0) -> Gaussians:
    """One faint round Gaussian per point, as wide as its three nearest neighbours are far.

    Args:
        points: in the scene frame. float64 [P, 3], P >= 4
        colors: 0..1. float [P, 3]
        max_count: a random choice of points is taken when there are more.
    """
    if len(points) > max_count:
        chosen = np.sort(np.random.default_rng(seed).choice(len(points), max_count, replace=False))
        points, colors = points[chosen], colors[chosen]
    distances = KDTree(points).query(points, 4)[0][:, 1:]
    spread = np.sqrt((distances**2).mean(1))
    spread = np.clip(spread, 1e-4, max(1e-4, np.quantile(spread, 0.98)))
    count = len(points)
    harmonics = np.zeros((count, 4, 3), np.float32)
    harmonics[:, 0] = (colors - 0.5) / SH_BAND_0
    return Gaussians(
        means=points.astype(np.float32),
        log_scales=np.repeat(np.log(spread)[:, None], 3, axis=1).astype(np.float32),
        quaternions=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        opacity_logits=np.full(count, np.log(START_OPACITY / (1 - START_OPACITY)), np.float32),
        harmonics=harmonics,
    )


def fit(
    start: Gaussians,
    views: list[TrainingView],
    settings: FittingSettings,
    *,
    near: float,
    workers: Workers,
    seed: int = 0,
    on_iteration: Callable[[int, int], None] | None = None,
) -> Gaussians:
    """Gaussians that look like the photographs. Bit-identical for the same arguments, whatever `workers` has.

    Args:
        start: in the scene frame, where cameras lie within about 1 of the origin; left alone.
        near: z-depth in front of which nothing is drawn.
        on_iteration: called with (done, total).
    """
    optimizer = _Optimizer(start, np.random.default_rng(seed))
    losses = {view.mask.shape: PhotometricLoss(*view.mask.shape) for view in views}
    for iteration, view in zip(range(1, settings.iterations + 1), turns(views, optimizer.rng), strict=False):
        # A background that changes all the time cannot be used as a colour, so the frame fills with Gaussians.
        background = tuple(optimizer.rng.uniform(0, 1, 3))
        drawing = draw(
            optimizer.gaussians, view.camera, workers=workers, near=near, background=background, with_depth=False
        )
        target = view.image.astype(np.float32) / np.float32(255)
        _, image_gradient = losses[view.mask.shape].gradient(drawing.image, target, view.mask, workers=workers)
        gradients, absolute = draw_backward(drawing, image_gradient, optimizer.gaussians, view.camera, workers=workers)
        optimizer.step(gradients, drawing.visible, iteration, settings.iterations, workers=workers)
        optimizer.watch(absolute * np.array([view.camera.width / 2, view.camera.height / 2], np.float32))
        if densification_due(iteration, settings.iterations):
            optimizer.densify(settings.max_gaussians)
        if on_iteration and (iteration % 10 == 0 or iteration == settings.iterations):
            on_iteration(iteration, settings.iterations)
    return optimizer.finished()


class _Optimizer:
    """The Gaussians being fitted, Adam's two moments of each parameter, and what densification has to know."""

    def __init__(self, start: Gaussians, rng: np.random.Generator) -> None:
        self.rng = rng
        self.gaussians = Gaussians(**{name: array.copy() for name, array in start.arrays().items()})
        self._moments = {name: (np.zeros_like(a), np.zeros_like(a)) for name, a in start.arrays().items()}
        self._forget()

    def _forget(self) -> None:
        self._gradient_sum = np.zeros(len(self.gaussians), np.float32)
        self._seen = np.zeros(len(self.gaussians), np.float32)

    def step(
        self, gradients: Gaussians, visible: np.ndarray, iteration: int, iterations: int, *, workers: Workers
    ) -> None:
        """One step of Adam on the Gaussians that were visible."""
        progress = iteration / iterations
        corrections = f4(1 - BETA_1**iteration), f4(1 - BETA_2**iteration)
        slope = gradients.arrays()
        for name, parameter in self.gaussians.arrays().items():
            rows = [array.reshape(len(array), -1) for array in (parameter, *self._moments[name], slope[name])]
            workers.run(_adam_part, visible, *rows, f4(learning_rate(name, progress)), *corrections)

    def watch(self, absolute: np.ndarray) -> None:
        """Note how hard the image pulls at each splat; splats out of the frame have gradient 0."""
        strength = np.sqrt((absolute**2).sum(1))
        self._gradient_sum += strength
        self._seen += strength > 0

    def densify(self, max_gaussians: int) -> None:
        """More Gaussians where the image pulls at them."""
        strength = self._gradient_sum / np.maximum(self._seen, 1)
        self.gaussians, keep, added = densified(self.gaussians, strength, max_gaussians=max_gaussians, rng=self.rng)
        self._moments = {name: moments_after(moments, keep, added) for name, moments in self._moments.items()}
        self._forget()

    def finished(self) -> Gaussians:
        """The Gaussians that can be seen."""
        return self.gaussians.only(can_be_seen(self.gaussians))


@kernel
def _adam_part(part, visible, parameter, first, second, gradient, rate, correction_1, correction_2):
    count, columns = parameter.shape
    keep_1, keep_2, epsilon = f4(BETA_1), f4(BETA_2), f4(EPSILON)
    for i in range(count * part // PARTS, count * (part + 1) // PARTS):
        if not visible[i]:
            continue
        for k in range(columns):
            slope = gradient[i, k]
            mean = keep_1 * first[i, k] + (f4(1) - keep_1) * slope
            square = keep_2 * second[i, k] + (f4(1) - keep_2) * slope * slope
            first[i, k], second[i, k] = mean, square
            parameter[i, k] -= rate * (mean / correction_1) / (np.sqrt(square / correction_2) + epsilon)
