"""Views with their neighbours already warped onto them: what training of predicted views draws from.

Warping costs more than a training step, and it does not depend on the weights: it is done once per capture, with the
depth the encoder would code, and stored as arrays of 11 channels (view, two warped neighbours, their
validity).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.view_order import camera_distances
from nerfstudio_mvc.capture.views import Capture, SourceView
from nerfstudio_mvc.entropy.plain_tables import plain_latent_tables
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.prediction.depth_for_prediction import depth_for_prediction
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, warped_references
from nerfstudio_mvc.splatting.prior import DepthPrior
from nerfstudio_mvc.training.crops import draw_crops, split_stacked

CHANNELS = 11
# Ranks among the nearest cameras: a coded neighbour is often not the nearest view of all.
RANKS = ((0, 1), (1, 2), (0, 3), (2, 4))


def store_warped_views(
    capture: Capture,
    prior: DepthPrior,
    folder: Path,
    *,
    align: bool = True,
    mask: bool = True,
    on_view: Callable[[int], None] | None = None,
) -> int:
    """Write one .npy (uint8 [H, W, 11]) per view of `capture` that has a depth; returns how many there are.

    `align` and `mask` as of `reference_pictures.warped_references`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    distances = camera_distances(capture.views)
    states = [
        DecodedView(view, to_picture(read_image(view.image_path).pixels, "cpu"), _depth(prior, view.view_idx))
        for view in capture.views
    ]
    tables = plain_latent_tables()
    written = 0
    for view in capture.views:
        depth_map = prior.maps[view.view_idx]
        others = [idx for idx in np.argsort(distances[view.view_idx], kind="stable").tolist() if idx != view.view_idx]
        if depth_map is None or len(others) < 2:
            continue
        ranks = [min(rank, len(others) - 1) for rank in RANKS[view.view_idx % len(RANKS)]]
        neighbours = [states[others[rank]] for rank in ranks]
        pixels = read_image(view.image_path).pixels
        source = SourceView(view, pixels, depth_map.depth, depth_map.valid)
        depth = torch.from_numpy(depth_for_prediction(source, neighbours, tables=tables).depth())
        references = warped_references(view, depth, neighbours, align=align, mask=mask)
        layers = [to_pixels(reference.picture) for reference in references]
        validity = [to_pixels(reference.valid) for reference in references]
        np.save(folder / f"{view.view_idx:04d}.npy", np.concatenate([pixels, *layers, *validity], 2))
        written += 1
        if on_view is not None:
            on_view(view.view_idx)
    return written


class WarpedViews:
    """Draws batches from the stored arrays."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """View [B, 3, H, W], its two warped neighbours [2, B, 3, H, W], their validity [2, B, 1, H, W]."""

        def load(index: int) -> np.ndarray:
            return np.load(self.paths[index], mmap_mode="r")

        return split_stacked(draw_crops(load, len(self.paths), count, crop_px, rng))


def _depth(prior: DepthPrior, view_idx: int) -> Tensor | None:
    depth_map = prior.maps[view_idx]
    return None if depth_map is None else torch.from_numpy(depth_map.depth)
