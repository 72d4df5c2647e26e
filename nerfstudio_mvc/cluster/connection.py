"""A Dask cluster to send tasks to: one that is there, or one of this machine's cores."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nerfstudio_mvc.errors import MvcError

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S = 30


def has_dask() -> bool:
    """Whether the extra `cluster` is installed."""
    return find_spec("distributed") is not None


@contextmanager
def cluster_client(scheduler: str | None, *, workers: int) -> Iterator[Client]:
    """A context manager: yields a `distributed.Client`.

    Args:
        scheduler: address of a scheduler; None starts a cluster of `workers` processes of one thread on this machine.

    Raises:
        MvcError: Dask is not installed, or the scheduler cannot be reached.
    """
    if not has_dask():
        raise MvcError("working on many captures takes Dask: pip install 'nerfstudio-mvc[cluster]'")
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what fails is told in words
    if scheduler is not None:
        with _connected(Client, scheduler) as client:
            yield client
        return
    # Dask would stop a worker that takes more than its share; what is spare with the others may be taken here, and how
    # many workers there are is what keeps to the memory of the machine.
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _connected(client_type: type[Client], scheduler: str) -> Iterator[Client]:
    try:
        client = client_type(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise MvcError(f"no Dask scheduler answers at {scheduler}: give its address, as tcp://host:8786") from error
    with client:
        yield client


def problem_of(future: Future) -> str:
    """What ended a task, in one line."""
    from distributed import KilledWorker

    if future.status != "error":
        return "the scheduler or its workers have gone: run again"
    error = future.exception()
    if isinstance(error, KilledWorker):
        return "the workers that tried it died, perhaps for want of memory: let fewer work at once (--jobs)"
    return " ".join(str(error).split())
