"""How much memory there is to work with, in a container too."""

from __future__ import annotations

from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Of this process, version 2; what a container may use is said there, what the machine has elsewhere."""


def free_memory() -> int:
    """Bytes that may be allocated without swapping, and without being killed where a container has a limit."""
    free = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such limit: "max", another system, or an older one
        return free
    # Pages of files that were read count as used, and are given up as soon as there is need.
    return max(0, min(free, limit - used + int(stat.get("inactive_file", 0))))
