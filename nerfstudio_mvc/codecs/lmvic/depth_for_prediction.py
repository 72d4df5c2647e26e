"""Encoder side: from the depth prior of a view to the coded depth its prediction uses.

Precision, refinement and coding each have a module; this one says in which order they meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nerfstudio_mvc.codecs.interface import SourceView
from nerfstudio_mvc.codecs.lmvic.depth_coding import CodedDepth, quantise_depth
from nerfstudio_mvc.codecs.lmvic.depth_precision import choose_step, on_coded_grid
from nerfstudio_mvc.codecs.lmvic.depth_refinement import SeenView, refine_inverse_depth
from nerfstudio_mvc.codecs.lmvic.reference_pictures import DecodedView, to_picture

# Below one half: residuals that hardly move a pixel become zero.
RESIDUAL_ROUNDING = 0.4


def depth_for_prediction(source: SourceView, references: Sequence[DecodedView]) -> CodedDepth:
    """The depth to code for `source`, given the views that will predict it (nearest first; none for the first view)."""
    inverse_depth = on_coded_grid(torch.from_numpy(source.depth), view=source.view)
    if references:
        seen = [SeenView(state.view, state.picture[0].cpu(), state.depth) for state in references]
        pixels = to_picture(source.pixels, "cpu")[0]
        inverse_depth = refine_inverse_depth(inverse_depth, current=source.view, pixels=pixels, references=seen)
    nearest = references[0].view if references else None
    step = choose_step(inverse_depth, current=source.view, reference=nearest)
    return quantise_depth(inverse_depth.numpy(), step, rounding=RESIDUAL_ROUNDING)
