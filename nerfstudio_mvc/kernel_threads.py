"""Work on one picture shared out among as many threads as torch uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

R = TypeVar("R")


def in_parts(kernel: Callable[..., None], count: int, *arguments: object, least: int = 1) -> None:
    """Run `kernel(first, last, *arguments)` on 0 .. count - 1, where what it does for one does not depend on others;
    fewer than `least` are not worth a thread."""
    parts = max(1, min(torch.get_num_threads(), count // least))
    bounds = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        kernel(0, count, *arguments)
        return
    with ThreadPoolExecutor(parts) as pool:
        for done in [pool.submit(kernel, *part, *arguments) for part in pairwise(bounds)]:
            done.result()


def side_by_side(work: Sequence[Callable[[], R]]) -> Iterator[R]:
    """What each piece of work returns without gradients, in order; torch's number of threads must not change it.

    At most as many pieces as threads are held at a time, besides the one that was given out last.
    """
    threads, work = torch.get_num_threads(), [torch.no_grad()(piece) for piece in work]
    parts = min(threads, len(work))
    if parts < 2:
        yield from (piece() for piece in work)
        return
    waiting: deque[Future[R]] = deque()
    try:
        with ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(threads // parts,)) as pool:
            for piece in work:
                if len(waiting) == parts:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(piece))
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)  # what threads to come begin with
