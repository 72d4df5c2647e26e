"""Fits 3D Gaussians to a capture on the CPU: sparse points in, Gaussians out.

Owns the starting point, the optimiser (Adam) and densification (AbsGS: by absolute gradients of splat centres). Drawing
is in `rasterizer`, the loss in `photometric_loss`; what becomes of the Gaussians is the business of `median_depth`.
Learning rates are those of 3D Gaussian Splatting times two: depth, unlike colour, has settled after few iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import float32 as f4
from scipy.spatial import KDTree

from nerfstudio_mvc.compiling import kernel
from nerfstudio_mvc.splatting.gaussians import SH_BAND_0, Gaussians, rotation_matrices
from nerfstudio_mvc.splatting.photometric_loss import PhotometricLoss
from nerfstudio_mvc.splatting.projection import PinholeCamera
from nerfstudio_mvc.splatting.rasterizer import draw, draw_backward
from nerfstudio_mvc.splatting.workers import PARTS, Workers

FIRST_DENSIFICATION, DENSIFICATION_INTERVAL, LAST_DENSIFICATION = 300, 100, 0.7  # iterations; share of all iterations
DENSIFY_ABOVE = 8e-4  # absolute gradient of a splat's centre, in half frames
MAX_GROWTH = 0.15  # share of the Gaussians that may be added at a time
MIN_OPACITY, MAX_SCALE = 0.005, 1.0
SPLIT_ABOVE = 0.01  # standard deviation in the scene frame from which a Gaussian is split rather than cloned
SPLIT_FACTOR = 1.6
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
    waiting: list[int] = []
    for iteration in range(1, settings.iterations + 1):
        if not waiting:
            waiting = list(optimizer.rng.permutation(len(views)))
        view = views[waiting.pop()]
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
        if (
            iteration % DENSIFICATION_INTERVAL == 0
            and FIRST_DENSIFICATION <= iteration <= LAST_DENSIFICATION * settings.iterations
        ):
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
            decay = 0.01**progress if name == "means" else 0.1 ** max(0.0, 2 * progress - 1)
            rows = [array.reshape(len(array), -1) for array in (parameter, *self._moments[name], slope[name])]
            workers.run(_adam_part, visible, *rows, f4(LEARNING_RATES[name] * decay), *corrections)

    def watch(self, absolute: np.ndarray) -> None:
        """Note how hard the image pulls at each splat; splats out of the frame have gradient 0."""
        strength = np.sqrt((absolute**2).sum(1))
        self._gradient_sum += strength
        self._seen += strength > 0

    def densify(self, max_gaussians: int) -> None:
        """Drop the invisible and the huge; split or clone those the image pulls at most."""
        arrays = self.gaussians.arrays()
        largest = np.exp(self.gaussians.log_scales).max(1)
        keep = (self.gaussians.opacity_logits > np.log(MIN_OPACITY / (1 - MIN_OPACITY))) & (largest < MAX_SCALE)
        strength = np.where(keep, self._gradient_sum / np.maximum(self._seen, 1), 0)
        room = max(0, min(max_gaussians - int(keep.sum()), max(200, int(MAX_GROWTH * len(keep)))))
        chosen = np.argsort(-strength, kind="stable")[:room]
        chosen = chosen[strength[chosen] > DENSIFY_ABOVE]
        split = largest[chosen] > SPLIT_ABOVE
        axes = rotation_matrices(self.gaussians.quaternions[chosen])
        scales = np.exp(self.gaussians.log_scales[chosen])
        offsets = np.einsum("nij,nj->ni", axes, scales * self.rng.standard_normal((len(chosen), 3)))
        added = {name: array[chosen].copy() for name, array in arrays.items()}
        added["means"] += (offsets * np.where(split, 1.0, 0.3)[:, None]).astype(np.float32)
        shrink = (np.log(SPLIT_FACTOR) * split).astype(np.float32)[:, None]
        added["log_scales"] -= shrink
        # A split leaves the original where the two together keep their place.
        arrays["means"][chosen] -= (0.5 * offsets * split[:, None]).astype(np.float32)
        arrays["log_scales"][chosen] -= shrink
        self.gaussians = Gaussians(**{name: np.concatenate([arrays[name][keep], added[name]]) for name in arrays})
        self._moments = {
            name: tuple(np.concatenate([moment[keep], np.zeros_like(added[name])]) for moment in moments)
            for name, moments in self._moments.items()
        }
        self._forget()

    def finished(self) -> Gaussians:
        """The Gaussians that can be seen."""
        keep = self.gaussians.opacity_logits > np.log(MIN_OPACITY / (1 - MIN_OPACITY))
        return Gaussians(**{name: array[keep] for name, array in self.gaussians.arrays().items()})


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
