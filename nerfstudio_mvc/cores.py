"""How many cores there are, and how many of them the work of the present thread may take."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of processor time in so many microseconds."""
_granted: ContextVar[int | None] = ContextVar("granted", default=None)


def available_cores() -> int:
    """Cores this process may run on, or as many as its container may take the time of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_LIMIT.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such limit: "max", another system, or an older one
        return cores


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
