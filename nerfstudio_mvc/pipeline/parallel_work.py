"""Groups worked on side by side, in threads: they do not need each other, and what codes them leaves cores idle.

libaom codes a picture of half a megapixel on two threads 1.1 to 1.6 times as fast as on one, and no faster on four. Two
groups at once, on a thread each, take less time than one after the other on both.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.cores import available_cores, cores_granted
from nerfstudio_mvc.pipeline.free_memory import free_memory

Item = TypeVar("Item")
Result = TypeVar("Result")
CheckIn = Callable[[], None]
"""What work calls now and then; raises where it is no longer wanted."""


class _NotWantedError(Exception):
    """Ends work whose result nobody waits for any more."""


def jobs_at_once(codec: MultiViewCodec, groups: Sequence[Sequence[View]], *, asked: int | None) -> int:
    """How many groups to work on at once: as many as were asked for, or as cores and memory allow; one where the codec
    can do no more."""
    needed = [codec.group_memory([view.width * view.height for view in group]) for group in groups]
    if not groups or None in needed:
        return 1
    return min(len(groups), asked or max(1, min(available_cores(), free_memory() // max(needed))))


def in_parallel(work: Callable[[Item, CheckIn], Result], items: Iterable[Item], *, jobs: int) -> Iterator[Result]:
    """Results of `work` for each of `items` in the order in which they are done, `jobs` of them at a time.

    Items are taken one by one, in the caller's thread, when there is a thread for them; with one job all work is done
    there too. Close the iterator to stop: the work that goes on then ends when it checks in.

    Args:
        work: called with an item and what to check in with.
        jobs: 1 or more.

    Raises:
        whatever `work` or `items` raise; the rest is stopped first.
    """
    if jobs == 1:
        yield from (work(item, lambda: None) for item in items)
        return
    todo, stopping = iter(items), threading.Event()
    cores = math.ceil(available_cores() / jobs)
    torch = sys.modules.get("torch")  # codecs without networks leave it unloaded
    threads_before = torch.get_num_threads() if torch else cores

    def check_in() -> None:
        if stopping.is_set():
            raise _NotWantedError

    def run(item: Item) -> Result:
        with cores_granted(cores):
            return work(item, check_in)

    def start_thread() -> None:
        if torch:
            torch.set_num_threads(min(cores, threads_before))

    pool = ThreadPoolExecutor(jobs, initializer=start_thread)
    running: set[Future[Result]] = set()
    try:
        while True:
            running.update(pool.submit(run, item) for item in islice(todo, jobs - len(running)))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)
        if torch:
            torch.set_num_threads(threads_before)
