"""Work on views that no other one waits for, done while the next ones are coded or decoded.

Restoring a view takes longer than decoding it, and libaom does not fill two cores with one picture.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

from nerfstudio_mvc.layers.denormals import without_denormals

R = TypeVar("R")


class Aside:
    """One thread, and at most one piece of work in it: what waits would hold its pictures in memory."""

    def __init__(self) -> None:
        threads = torch.get_num_threads()  # of any other number, sums would be rounded otherwise
        self._pool = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self._running: tuple[Future, Callable] | None = None

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._settle()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def run(self, work: Callable[[], R], then: Callable[[R], None]) -> None:
        """Do `work` in the other thread; in this one, at the next call or at the end, `then` with what comes of it."""
        self._settle()
        self._running = self._pool.submit(torch.no_grad()(without_denormals(work))), then

    def _settle(self) -> None:
        if self._running is not None:
            (future, then), self._running = self._running, None
            then(future.result())
