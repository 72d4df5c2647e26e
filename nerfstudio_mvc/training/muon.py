"""Muon: momentum made orthogonal, for the matrices of 1x1 convolutions.

The step for a matrix is the nearest (semi-)orthogonal one to its momentum, so that directions in which gradients are
small move as far as those in which they are large. K. Jordan et al., "Muon: An optimizer for hidden layers in neural
networks", 2024; steps scaled to the size of Adam's as in J. Liu et al., "Muon is scalable for LLM training",
arXiv:2502.16982, so that one learning rate serves both. What it is worth here: docs/training-log.md.

torch.optim.Muon asks for torch 2.9 and for parameters that are matrices; a convolution's have four dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nerfstudio_mvc.training.precision import has_fast_bfloat16

NEWTON_SCHULZ_STEPS = 5
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Odd quintic that takes singular values in (0, 1] to about 0.7 .. 1.2 in five steps (Jordan's coefficients)."""
ADAM_SIZED = 0.2
"""Root mean square of an entry of Adam's usual step, in learning rates (Liu et al., section 2.2)."""


class Muon(torch.optim.Optimizer):
    """Steps along orthogonal momentum; see the module's docstring.

    Args:
        params: parameters or groups of them that `is_matrix` accepts.
        lr: learning rate, as for Adam.
        momentum: share of the momentum that a step keeps; Nesterov's.
    """

    def __init__(self, params: Iterable[Any], lr: float, *, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, lr=group["lr"], kept=group["momentum"])

    def _move(self, parameter: nn.Parameter, *, lr: float, kept: float) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1 - kept)
        rows, columns = parameter.shape[:2]
        direction = orthogonal(gradient.lerp(momentum, kept).reshape(rows, columns))
        parameter.sub_(direction.view(parameter.shape), alpha=ADAM_SIZED * max(rows, columns) ** 0.5 * lr)


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is the weight of a 1x1 convolution, [Cout, Cin, 1, 1], and wide enough."""
    return parameter.ndim == 4 and parameter.shape[2:] == (1, 1) and min(parameter.shape[:2]) >= 12


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values made about one, in bfloat16 where that is fast. [R, C] -> float32 [R, C]"""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = (x / (x.norm() + 1e-9)).to(torch.bfloat16 if has_fast_bfloat16(x.device) else torch.float32)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).float()
