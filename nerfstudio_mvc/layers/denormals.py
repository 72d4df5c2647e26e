"""Denormal numbers flushed to zero while networks run, and only then."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import torch

P = ParamSpec("P")
R = TypeVar("R")


def without_denormals(function: Callable[P, R]) -> Callable[P, R]:
    """Tails of activations that fade into denormal numbers cost a CPU a hundred times the cycles; flush them.

    NumPy looks at its smallest numbers once and warns when they are gone, so it is made to look before.
    """

    @functools.wraps(function)
    def flushed(*args: P.args, **kwargs: P.kwargs) -> R:
        for kind in (np.float32, np.float64):
            str(np.finfo(kind))
        torch.set_flush_denormal(True)
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_flush_denormal(False)

    return flushed
