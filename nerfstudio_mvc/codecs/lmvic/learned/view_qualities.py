"""Encoder side: views that others are predicted from are coded finer, the others coarser.

An error in a reference comes back in every view predicted from it, so that bits spent there serve all of them. How
much of it comes back is what prediction saves: where a neighbour explains nothing, all views are coded alike. It is the
macroblock tree of x264 (J. Garrett-Glaser, "A novel macroblock-tree algorithm for high-performance optimization of
dependent video coding in H.264/AVC", 2009) with whole views for blocks:

    weight_i = 1 + inherited * sum of share_ij * weight_j over the views j that refer to i
    quality_i = quality + STRENGTH * (log2 weight_i - mean over the group)

A weight of two doubles rd_lambda at strength one, which is one point of quality. Measured: docs/ablations.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nerfstudio_mvc.capture.view_order import camera_distances
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.lmvic.learned.prediction_search import (
    SearchTools,
    find_predictions,
    nearest_positions,
    reference_count,
)
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.learned.trial_coding import TrialCoder
from nerfstudio_mvc.entropy.quality_points import QUALITIES, whole_quality_steps
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.prediction.reference_pictures import DecodedView

STRENGTH = 0.8
SHARES = {0: (), 1: (1.0,), 2: (0.6, 0.4)}
"""Of what a view inherits, by the number of its references, nearest first."""


def view_qualities(
    sources: Sequence[SourceView],
    order: Sequence[int],
    *,
    quality: float,
    tools: SearchTools,
) -> list[float]:
    """The quality of every view of a group that is coded in `order`, in whole sixteenths where it is not `quality`."""
    same = [quality] * len(sources)
    switches = tools.switches
    if len(sources) < 2 or not (switches.predict and switches.finer_references):
        return same
    references = expected_references([source.view for source in sources], order, count=reference_count(switches))
    view, reference = _typical_pair(sources, references)
    inherited = _saved_share(sources, view, reference, quality=quality, tools=tools)
    if inherited <= 0:
        return same
    steps = np.log2(weights(references, order, inherited=inherited)) * STRENGTH
    moved = whole_quality_steps(quality + steps - steps.mean())
    return np.clip(moved, 1, QUALITIES).tolist()


def expected_references(views: Sequence[View], order: Sequence[int], *, count: int) -> dict[int, list[int]]:
    """Which views each view will refer to if it is predicted, nearest first; positions in the group."""
    found, coded = {}, {}
    for position in order:
        found[position] = nearest_positions(views[position], coded, count=count)
        coded[position] = views[position]
    return found


def weights(references: dict[int, list[int]], order: Sequence[int], *, inherited: float) -> np.ndarray:
    """How many views an error in each view counts for, itself included. float64 [V]"""
    weight = np.ones(len(order))
    for position in reversed(order):
        named = references[position]
        for reference, share in zip(named, SHARES[len(named)], strict=True):
            weight[reference] += inherited * share * weight[position]
    return weight


def _typical_pair(sources: Sequence[SourceView], references: dict[int, list[int]]) -> tuple[int, int]:
    """A view and its nearest reference, as far apart as half of such pairs are."""
    pairs = [(position, named[0]) for position, named in references.items() if named]
    distances = camera_distances([source.view for source in sources])
    pairs.sort(key=lambda pair: distances[pair])
    return pairs[len(pairs) // 2]


def _saved_share(
    sources: Sequence[SourceView],
    position: int,
    reference: int,
    *,
    quality: float,
    tools: SearchTools,
) -> float:
    """Share of a view's bits that the photograph at `reference` saves, by a trial."""
    source, neighbour, model = sources[position], sources[reference], tools.images.model
    device = model.log_gain.device
    x = to_picture(source.pixels, device)
    depth = None if neighbour.depth is None else torch.from_numpy(neighbour.depth)
    seen = DecodedView(neighbour.view, to_picture(neighbour.pixels, device), depth)
    found = find_predictions(source, x, {reference: seen}, quality=quality, tools=tools)[0]
    if found.reference is None:
        return 0.0
    rd_lambda = rd_lambda_of(model.config.rd_lambdas, quality)
    trial = TrialCoder(tools.trials, x, quality=quality, rd_lambda=rd_lambda)
    return 1 - trial.cost(found.reference).bits / trial.cost(None).bits
