"""Encoder side: from the depth prior of a view to the coded depth its prediction uses.

Refinement, quantisation and coding have modules of their own; this one puts them in order and keeps the cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.prediction.depth_coding import CodedDepth, encode_depth, quantise_depth
from nerfstudio_mvc.prediction.depth_precision import (
    choose_step,
    on_coded_grid,
    pixels_per_inverse_depth,
    step_at_speed,
)
from nerfstudio_mvc.prediction.depth_quantisation import (
    BITS_PER_GREY_LEVEL,
    PictureLoss,
    lost_bits,
    quantise_for_prediction,
)
from nerfstudio_mvc.prediction.depth_refinement import Refinement, SeenView, refine_inverse_depth
from nerfstudio_mvc.prediction.reference_pictures import DecodedView

TOLERANCES_PX = (1.0, 2.5, 6.0)  # tried in turn; wide baselines are content with less
PRIOR_WINDOW = 5  # cells; noise of the prior that no photograph asks for would only cost bits


def depth_for_prediction(
    source: SourceView,
    references: Sequence[DecodedView],
    *,
    tables: TableSet,
    bits_per_grey_level: float = BITS_PER_GREY_LEVEL,
) -> CodedDepth:
    """The depth to code for `source`, given the decoded views that will predict it (none for the first view).

    The depth that predicts best for its bits is not that of the prior: see `depth_refinement`. Without references it
    only has to tell what hides what, and is coded coarsely.
    """
    prior = on_coded_grid(torch.from_numpy(source.depth), view=source.view)
    smooth = _median(prior)
    if not references:
        return quantise_depth(smooth.double().numpy(), choose_step(smooth, current=source.view, reference=None))
    seen = [SeenView(state.view, state.stored[0].cpu(), state.depth) for state in references]
    pixels = torch.from_numpy(source.pixels).permute(2, 0, 1)
    refinement = refine_inverse_depth(smooth, current=source.view, pixels=pixels, references=seen)
    if refinement.pixels_per_inverse_depth <= 0:
        return quantise_depth(smooth.double().numpy(), choose_step(smooth, current=source.view, reference=None))
    return _cheapest(refinement, source, seen[0], tables, bits_per_grey_level)


def _cheapest(
    refinement: Refinement, source: SourceView, nearest: SeenView, tables: TableSet, bits_per_grey_level: float
) -> CodedDepth:
    """Of several precisions the one with the fewest bits, depth and picture together."""
    loss = PictureLoss(refinement, bits_per_grey_level=bits_per_grey_level)

    def bits(coded: CodedDepth) -> float:
        return 8 * len(encode_depth(coded, tables)) + lost_bits(
            refinement, coded, bits_per_grey_level=bits_per_grey_level
        )

    found = refinement.inverse_depth
    speed = pixels_per_inverse_depth(found, current=source.view, reference=nearest.view)
    # Steps at the limit of what hides what are the same for several tolerances.
    steps = dict.fromkeys(step_at_speed(found, speed, tolerance_px=tolerance_px) for tolerance_px in TOLERANCES_PX)
    return min((quantise_for_prediction(refinement, step, loss=loss) for step in steps), key=bits)


def _median(inverse_depth: Tensor) -> Tensor:
    """Median over a window of cells, the border repeated. [h, w]"""
    half = PRIOR_WINDOW // 2
    windows = F.unfold(F.pad(inverse_depth[None, None], (half,) * 4, mode="replicate"), PRIOR_WINDOW)[0]
    return windows.median(0).values.reshape(inverse_depth.shape)
