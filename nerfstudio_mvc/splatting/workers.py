"""Threads that give the same result whatever their number.

Every kernel splits its work into `PARTS` fixed parts; threads only decide who does which. What a part computes,
and the order in which parts are summed up afterwards, never depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nerfstudio_mvc.cores import available_cores

PARTS = 8


class Workers:
    """Runs kernels compiled with ``nogil=True`` on `threads` threads (None: all cores, `PARTS` at most)."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = max(1, min(threads or available_cores(), PARTS))
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    def run(self, kernel: Callable[..., None], *arguments: object) -> None:
        """Call ``kernel(part, *arguments)`` for every part and wait for all of them."""
        if self._pool is None:
            for part in range(PARTS):
                kernel(part, *arguments)
            return
        # This thread works as well: handing over costs more than a small kernel does.
        pending = iter(range(PARTS))

        def work() -> None:
            for part in pending:  # next() on a range iterator holds the interpreter lock, so no part runs twice
                kernel(part, *arguments)

        futures = [self._pool.submit(work) for _ in range(self.threads - 1)]
        work()
        for future in futures:
            future.result()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
