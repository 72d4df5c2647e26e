"""Encoder side: how a view is predicted - alone or from others, with which depth and which corrections.

    depth for prediction -> warped neighbours -> + change of light; or alone after all

Every correction is kept only where a trial (`trial_coding`) says that it pays. Where prediction itself is in doubt the
view is to be coded both ways. The decoder follows what the strings say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.view_order import nearest_coded
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.lmvic.correction_strings import encode_light
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.learned.trial_coding import PictureCoder, TrialCoder, explained_bits
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.prediction.depth_coding import CodedDepth, encode_depth
from nerfstudio_mvc.prediction.depth_for_prediction import depth_for_prediction
from nerfstudio_mvc.prediction.depth_quantisation import BITS_PER_GREY_LEVEL
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, blended_reference, warped_references
from nerfstudio_mvc.prediction.weighted_prediction import SMALLEST_CHANGE, Photometric, fit_gain_and_offset

MAX_REFERENCES = 2
MARGIN = 0.002  # of a view's bits that a step must gain on the sample to be believed
CLEARLY_GOOD_BITS = 0.5
"""Of a luma sample that the reference explains: from here on the network would surely take more for the view alone."""
DEPTH_BITS_PER_GREY_LEVEL = 2.5  # of a cell of the coded depth, at quality 5
GROWTH_PER_QUALITY = 1.35
"""What a grey level of difference costs the picture grows with the quality, here per point."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the strings of a view say about its prediction, and the picture that comes of it.

    Attributes:
        references: positions in the group, nearest first; none: coded alone.
        depth: None where the view has no prior.
        light: see `reference_pictures.reference_picture`; None: nothing is changed.
        reference: None where it is coded alone.
    """

    references: tuple[int, ...] = ()
    depth: CodedDepth | None = None
    light: Photometric | None = None
    reference: Reference | None = None


@dataclass(frozen=True, eq=False)
class SearchTools:
    """What the search for predictions works with.

    Attributes:
        images: blends references.
        trials: codes samples of a view, and views of which the final coder would take too long to code twice.
        switches: what to look for.
    """

    images: ImageCoder
    trials: PictureCoder
    switches: LmvicSwitches


def find_predictions(
    source: SourceView,
    x: Tensor,
    decoded: Mapping[int, DecodedView],
    *,
    quality: float,
    tools: SearchTools,
) -> tuple[Prediction, ...]:
    """How to predict `source`, whose picture is x [1, 3, H, W], from the views coded before it.

    `decoded` are those views by their positions in the group, in the order in which they were coded. Two ways where
    only coding both can tell which is cheaper; the second one is then to code it alone.
    """
    switches = tools.switches
    if source.depth is None or not switches.predict:
        return (Prediction(),)
    tables = tools.images.tables.latent
    if not decoded:
        return (_alone(source, tables),)
    coded = {position: state.view for position, state in decoded.items()}
    nearest = nearest_positions(source.view, coded, count=reference_count(switches))
    search = _Search(source, x, [decoded[position] for position in nearest], quality, tools)
    found = search.plain(tuple(nearest))
    if found.reference is None:
        return (Prediction(depth=found.depth),)
    improved = search.improved(found)
    explained = explained_bits(x, improved.reference) if switches.decide_per_view else math.inf
    # A sample cannot tell: a view coded alone pays at the seams of its tiles, one with a reference does not.
    doubtful = explained < CLEARLY_GOOD_BITS
    return (improved, _alone(source, tables)) if doubtful else (improved,)


def reference_count(switches: LmvicSwitches) -> int:
    """How many views a view is predicted from, where there are as many."""
    return MAX_REFERENCES if switches.two_references else 1


def nearest_positions(view: View, coded: Mapping[int, View], *, count: int) -> list[int]:
    """Positions in the group of the `count` views that predict `view`, nearest first; `coded` in coding order."""
    positions = list(coded)
    return [positions[rank] for rank in nearest_coded(view, list(coded.values()), count=count)]


def _alone(source: SourceView, tables: TableSet) -> Prediction:
    """Coded alone; the depth is for the views that refer to it."""
    return Prediction(depth=depth_for_prediction(source, (), tables=tables))


class _Search:
    """The steps for one view."""

    def __init__(
        self,
        source: SourceView,
        x: Tensor,
        neighbours: Sequence[DecodedView],
        quality: float,
        tools: SearchTools,
    ) -> None:
        self.source, self.x, self.neighbours, self.tools = source, x, neighbours, tools
        self.switches, self.tables = tools.switches, tools.images.tables.latent
        self.growth = GROWTH_PER_QUALITY ** (quality - 5)
        self.rd_lambda = rd_lambda_of(tools.images.model.config.rd_lambdas, quality)
        self.trial = TrialCoder(tools.trials, x, quality=quality, rd_lambda=self.rd_lambda)
        self._plain_warped: list[Reference] = []

    def plain(self, references: tuple[int, ...]) -> Prediction:
        """Depth and the reference it gives, without corrections."""
        depth = depth_for_prediction(
            self.source,
            self.neighbours if self.switches.refine_depth else (),
            tables=self.tables,
            bits_per_grey_level=self._depth_bits(),
        )
        self._plain_warped = self._warped(depth)
        return self._blended(Prediction(references, depth))

    def improved(self, found: Prediction) -> Prediction:
        """The best of `found` and what corrections make of it."""
        steps = []
        if self.switches.gain_and_offset:
            steps.append(self._with_gain_and_offset)
        best, least = found, None
        for step in steps:
            candidate = step(best)
            if candidate is None:
                continue
            least = self._bits(best) if least is None else least
            if (bits := self._bits(candidate)) < least * (1 - MARGIN):
                best, least = candidate, bits
        return best

    def _depth_bits(self) -> float:
        return DEPTH_BITS_PER_GREY_LEVEL * self.growth if self.switches.depth_follows_quality else BITS_PER_GREY_LEVEL

    def _warped(self, depth: CodedDepth) -> list[Reference]:
        depth_map = torch.from_numpy(depth.depth())
        return warped_references(
            self.source.view, depth_map, self.neighbours, align=self.switches.align, mask=self.switches.mask
        )

    def _blended(self, prediction: Prediction) -> Prediction:
        blend = self.tools.images.inference.blend
        return replace(prediction, reference=blended_reference(blend, self._plain_warped, prediction.light))

    def _bits(self, prediction: Prediction) -> float:
        strings = 8 * len(encode_depth(prediction.depth, self.tables))
        if prediction.light is not None:
            strings += 8 * len(encode_light(prediction.light, self.tables))
        return strings + self.trial.cost(prediction.reference).total

    def _with_gain_and_offset(self, prediction: Prediction) -> Prediction | None:
        fits = [fit_gain_and_offset(reference, self.x) for reference in self._plain_warped]
        gains, offsets = (np.stack(values) for values in zip(*fits, strict=True))
        if max(np.abs(gains).max(), np.abs(offsets).max()) <= SMALLEST_CHANGE:
            return None
        return self._blended(replace(prediction, light=Photometric(gains, offsets)))
