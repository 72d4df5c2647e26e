"""How many cores there are, and how many of them the work of the present thread may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_granted: ContextVar[int | None] = ContextVar("granted", default=None)


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def granted_cores() -> int:
    """Cores the present thread may take; all where nothing was said."""
    return _granted.get() or available_cores()


@contextmanager
def cores_granted(cores: int) -> Iterator[None]:
    """Within it, the present thread may take so many. What runs in other processes asks `granted_cores` before."""
    token = _granted.set(cores)
    try:
        yield
    finally:
        _granted.reset(token)
