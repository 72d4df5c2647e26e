"""What a splat loses when it is trained on restored photographs: held-out views, held against the originals.

Every eighth view is held out; Gaussians are trained on the others, as photographed and as restored, several times with
other random numbers, and draw the held-out ones. How Gaussians are trained is the business of `splatting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.errors import CaptureError, ShapeError
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress
from nerfstudio_mvc.quality.ms_ssim import ms_ssim
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.splatting.capture_gaussians import CaptureGaussians, fit_photographs, scene_frame, training_view
from nerfstudio_mvc.splatting.fitting import FittingSettings, TrainingView
from nerfstudio_mvc.splatting.rasterizer import draw
from nerfstudio_mvc.splatting.workers import Workers

HELD_OUT_EVERY = 8
ORIGINALS = "originals"


@dataclass(frozen=True)
class SplatQuality:
    """Held-out views as Gaussians draw them that were trained on one kind of photographs.

    Attributes:
        trained_on: `ORIGINALS`, or the name of the archive that the photographs come from.
        psnr_db: against the originals, mean of the held-out views; of each training.
        ms_ssim: likewise; empty where a view is too small for it.
        gaussians: of each training.
    """

    trained_on: str
    psnr_db: tuple[float, ...]
    ms_ssim: tuple[float, ...]
    gaussians: tuple[int, ...]


@dataclass(frozen=True)
class Loss:
    """By how much one kind of photographs makes worse splats than the originals.

    Attributes:
        difference: of the means; negative where the restored photographs are worse.
        spread: largest less smallest value among trainings on the same photographs, the larger of the two.
    """

    difference: float
    spread: float

    @property
    def seen(self) -> bool:
        """Whether the difference is more than trainings on the same photographs differ by."""
        return abs(self.difference) > self.spread


def loss_of(values: Sequence[float], originals: Sequence[float]) -> Loss:
    """The loss that the values of several trainings show, beside those on the originals."""
    spread = max(float(np.ptp(originals)), float(np.ptp(values)))
    return Loss(float(np.mean(values)) - float(np.mean(originals)), spread)


class SplatBenchmark:
    """Trains Gaussians on photographs of one capture.

    Args:
        capture: views without geometry are left out.
        settings: of every training.
        seeds: trainings on the same photographs.
        device: "cpu", or "cuda" to train with gsplat, where it is installed.

    Raises:
        CaptureError: fewer than two views, or too few points.
    """

    def __init__(self, capture: Capture, settings: FittingSettings, *, seeds: int, device: str) -> None:
        placed = tuple(view for view in capture.views if view.has_geometry)
        if len(placed) < 2:
            raise CaptureError(f"{capture.root}: {len(placed)} views with a camera are too few to train splats on")
        self._capture = replace(capture, views=placed)
        self._settings, self._seeds, self._device = settings, seeds, device
        self._frame = scene_frame(self._capture)
        self._held_out = {view.name for view in placed[::HELD_OUT_EVERY]}
        self._restored: dict[str, TrainingView] = {}

    def keep(self, name: str, pixels: np.ndarray) -> None:
        """Take a restored photograph to train on with the others that are kept.

        Args:
            pixels: uint8 [H, W, 3]
        """
        view = next((view for view in self._capture.views if view.name == name), None)
        if view is not None and name not in self._held_out:
            self._restored[name] = training_view(view, self._frame, long_side=self._settings.long_side, pixels=pixels)

    def of_restored(self, trained_on: str, *, on_event: OnEvent) -> SplatQuality:
        """Train on the photographs kept since the last call."""
        photographs = [self._restored[view.name] for view in self._capture.views if view.name in self._restored]
        self._restored = {}
        return self._measure(trained_on, photographs, on_event)

    def of_originals(self, *, on_event: OnEvent) -> SplatQuality:
        """Train on the photographs as they are."""
        photographs = [
            training_view(view, self._frame, long_side=self._settings.long_side)
            for view in self._capture.views
            if view.name not in self._held_out
        ]
        return self._measure(ORIGINALS, photographs, on_event)

    def _measure(self, trained_on: str, photographs: list[TrainingView], on_event: OnEvent) -> SplatQuality:
        psnrs, similarities, counts = [], [], []
        with Workers() as workers:
            for seed in range(self._seeds):
                step = f"splat {seed + 1} of {self._seeds}, {trained_on}"
                found = fit_photographs(
                    self._capture,
                    photographs,
                    self._settings,
                    device=self._device,
                    workers=workers,
                    seed=seed,
                    on_iteration=lambda done, total, step=step: on_event(StepProgress(step, done, total)),
                )
                drawn = [_drawn(found, view, workers) for view in self._truth]
                psnrs.append(float(np.mean([_masked_psnr(*each) for each in zip(self._truth, drawn, strict=True)])))
                similarities.append(_mean_ms_ssim(self._truth, drawn))
                counts.append(len(found.gaussians))
        known = tuple(value for value in similarities if value is not None)
        return SplatQuality(trained_on, tuple(psnrs), known, tuple(counts))

    @cached_property
    def _truth(self) -> list[TrainingView]:
        """The held-out originals."""
        return [
            training_view(view, self._frame, long_side=self._settings.long_side)
            for view in self._capture.views
            if view.name in self._held_out
        ]


def _drawn(found: CaptureGaussians, view: TrainingView, workers: Workers) -> np.ndarray:
    """What the Gaussians show of a view, black where the photograph shows nothing. uint8 [H, W, 3]"""
    image = draw(found.gaussians, view.camera, workers=workers, near=found.near, with_depth=False).image
    return np.round(255 * np.clip(image, 0, 1) * view.mask[..., None]).astype(np.uint8)


def _masked_psnr(view: TrainingView, drawn: np.ndarray) -> float:
    shown = view.mask > 0
    return psnr_db(view.image[shown], drawn[shown])


def _mean_ms_ssim(views: Sequence[TrainingView], drawn: Sequence[np.ndarray]) -> float | None:
    try:
        return float(np.mean([ms_ssim(view.image, image) for view, image in zip(views, drawn, strict=True)]))
    except ShapeError:
        return None
