"""Views with their neighbours already warped onto them: what training of predicted views draws from.

Warping costs more than a training step, and it does not depend on the weights: it is done once per capture, with the
depth and the motion the encoder would code, and stored as arrays of 11 channels (view, two warped neighbours, their
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
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.codecs.interface import SourceView
from nerfstudio_mvc.codecs.lmvic.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.depth_for_prediction import depth_for_prediction
from nerfstudio_mvc.codecs.lmvic.image_model import Reference
from nerfstudio_mvc.codecs.lmvic.motion_search import find_motions
from nerfstudio_mvc.codecs.lmvic.plain_tables import plain_latent_tables
from nerfstudio_mvc.codecs.lmvic.rate_distortion import rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.reference_pictures import (
    ALL_ON,
    DecodedView,
    filled,
    moved_references,
    to_picture,
    to_pixels,
    warped_references,
)
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
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
    switches: LmvicSwitches = ALL_ON,
    on_view: Callable[[int], None] | None = None,
) -> int:
    """Write one .npy (uint8 [H, W, 11]) per view of `capture` that has a depth; returns how many there are.

    `switches` say whether neighbours are aligned and moved.
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
        x = to_picture(pixels, "cpu")
        references = warped_references(view, depth, neighbours, switches=switches)
        if switches.motion:
            references = moved_at(x, references, quality=_quality(view.view_idx))
        layers = [to_pixels(reference.picture) for reference in references]
        validity = [to_pixels(reference.valid) for reference in references]
        np.save(folder / f"{view.view_idx:04d}.npy", np.concatenate([pixels, *layers, *validity], 2))
        written += 1
        if on_view is not None:
            on_view(view.view_idx)
    return written


def moved_at(x: Tensor, warped: Sequence[Reference], *, quality: float) -> list[Reference]:
    """References with the motion that coding x [1, 3, H, W] at `quality` would give them, holes filled."""
    seen = [filled(reference) for reference in warped]
    rd_lambda = rd_lambda_of(LmvicConfig().rd_lambdas, quality)
    return moved_references(seen, find_motions(x, seen, rd_lambda=rd_lambda))


def _quality(view_idx: int) -> float:
    """Motion depends on it; a view is stored once, so that views take turns."""
    return 1.0 + 3 * view_idx % 8


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
