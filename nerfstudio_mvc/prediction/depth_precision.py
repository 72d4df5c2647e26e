"""How precise a coded depth has to be: from pixels in the views that predict with it to a step of inverse depth.

Coding at that step is `depth_coding`'s; choosing the depth itself is `depth_refinement`'s.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.entropy.interlaced_scans import COARSEST_RESIDUAL_STEP
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.prediction.depth_coding import coded_grid, storable_step

FLOW_TOLERANCE_PX = 1.0  # at the finest cells; 1/16 of it at every sixteenth cell, which the others are drawn from
OCCLUSION_TOLERANCE = 0.04  # relative, at most; inside the slack of the occlusion test, where no view predicts this one
_PROBE = 1e-3  # relative change of inverse depth that flow is differentiated with


def pixels_per_inverse_depth(inverse_depth: Tensor, *, current: View, reference: View) -> float:
    """How far a unit of inverse depth moves a pixel of the photograph, median over the grid; 0 where nothing is seen.

    Args:
        inverse_depth: of the current view, positive. [h, w]
    """
    change = float(inverse_depth.median()) * _PROBE
    here, there = (
        flow_to_reference(1.0 / grid, current=current, reference=reference)
        for grid in (inverse_depth, inverse_depth + change)
    )
    both = here.valid & there.valid
    if not bool(both.any()):
        return 0.0
    # Flow counts cells of this grid.
    cell = torch.tensor([current.width / inverse_depth.shape[1], current.height / inverse_depth.shape[0]])
    moved = (there.flow - here.flow) * cell[:, None, None]
    return float(moved.norm(dim=0)[both].median()) / change


def choose_step(
    inverse_depth: Tensor, *, current: View, reference: View | None, tolerance_px: float = FLOW_TOLERANCE_PX
) -> float:
    """Step at which `quantise_depth` moves the finest cells by at most `tolerance_px` pixels in the median cell.

    Args:
        inverse_depth: of the current view, positive. [h, w]
        reference: the view that predicts most of it; None where none does, and depth only tells what hides what.

    Returns:
        A step as `depth_coding.storable_step` gives it.
    """
    # Where no view predicts, depth only tells what hides what.
    speed = 0.0 if reference is None else pixels_per_inverse_depth(inverse_depth, current=current, reference=reference)
    return step_at_speed(inverse_depth, speed, tolerance_px=tolerance_px)


def step_at_speed(inverse_depth: Tensor, speed: float, *, tolerance_px: float) -> float:
    """`choose_step` where `pixels_per_inverse_depth` is known."""
    # Far scenes and turning cameras: flow hardly depends on depth, but what hides what still does.
    coarsest = 2 * OCCLUSION_TOLERANCE * float(inverse_depth.median()) / COARSEST_RESIDUAL_STEP
    return storable_step(min(coarsest, 2 * tolerance_px / COARSEST_RESIDUAL_STEP / max(speed, 1e-30)))


def on_coded_grid(depth: Tensor, *, view: View) -> Tensor:
    """Mean inverse depth of every cell of the coded grid of `view`, from z-depth on any grid, all positive. [h, w]"""
    grid = coded_grid(view.height, view.width)
    return torch.nn.functional.interpolate((1.0 / depth)[None, None], size=grid, mode="area")[0, 0]
