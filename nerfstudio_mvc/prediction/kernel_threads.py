"""Compiled loops shared out among as many threads as torch uses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch


def in_parts(kernel: Callable[..., None], count: int, *arguments: object) -> None:
    """Run `kernel(first, last, *arguments)` on 0 .. count - 1, where what it does for one does not depend on others."""
    parts = max(1, min(torch.get_num_threads(), count))
    bounds = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        kernel(0, count, *arguments)
        return
    with ThreadPoolExecutor(parts) as pool:
        for done in [pool.submit(kernel, *part, *arguments) for part in pairwise(bounds)]:
            done.result()
