"""How loops over pixels are compiled: fast or exact arithmetic, no interpreter lock, kept on disk between runs.

Python's rules for division by zero are switched off: their checks are early exits, which keep loops from becoming
vector code. What is compiled is kept beside the module or in the user's cache, wherever can be written. numba notices
changes of the module itself only: whoever changes a constant that a kernel takes from another module deletes
`__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_EXACT: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_OPTIONS = _EXACT | {"fastmath": True}


def kernel(function: Callable[..., None]) -> Any:
    """Compile a function that fills arrays it is given, so that threads may share the work."""
    return _kept(function, _OPTIONS)


def loop(function: Callable[..., None]) -> Any:
    """Compile an inner loop of a kernel, in a function of its own so that it becomes vector code."""
    return njit(**_OPTIONS)(function)


def exact_kernel(function: Callable[..., None]) -> Any:
    """As `kernel`, by IEEE's arithmetic: sums, products and quotients are the same on every machine, and comparisons
    with what is no number are false."""
    return _kept(function, _EXACT)


def exact_loop(function: Callable[..., None]) -> Any:
    """An inner loop of an `exact_kernel`."""
    return njit(**_EXACT)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a formula into whatever calls it."""
    return njit(inline="always", **_OPTIONS)(function)


def _kept(function: Callable[..., None], options: dict[str, Any]) -> Any:
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: a read-only installation without a home directory
        return njit(**options)(function)
