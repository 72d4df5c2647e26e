"""Checking many archives: as tasks of a Dask cluster or, where Dask is not installed, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerfstudio_mvc.cluster.connection import cluster_client, has_dask, problem_of
from nerfstudio_mvc.cluster.tasks import check
from nerfstudio_mvc.cores import available_cores
from nerfstudio_mvc.errors import ArchiveError, MvcError


@dataclass(frozen=True)
class CheckOutcome:
    """An archive and what is wrong with it, a line each; nothing when all is as it was written."""

    archive: Path
    problems: tuple[str, ...]


def find_archives(folder: Path) -> list[Path]:
    """The archives at and below `folder`, sorted; hidden ones left out.

    Raises:
        ArchiveError: there is no such folder.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: there is no such folder")
    found = (path for path in folder.rglob("*.mvc") if path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def check_archives(
    archives: Sequence[Path], *, scheduler: str | None, jobs: int | None, **how: Any
) -> Iterator[CheckOutcome]:
    """Check each of `archives`; outcomes as they come.

    Args:
        scheduler: address of a Dask scheduler; None starts a cluster on this machine, where Dask is installed.
        jobs: archives at once; as many as cores when None.
        how: what `pipeline.archive_check.check_archive` takes besides, but `jobs`.

    Raises:
        MvcError: the scheduler cannot be reached.
    """
    workers = min(len(archives), jobs or available_cores())
    if scheduler is None and (workers == 1 or not has_dask()):
        for archive in archives:
            try:
                yield CheckOutcome(archive, check(archive, how))
            except MvcError as error:
                yield CheckOutcome(archive, (str(error),))
        return
    with cluster_client(scheduler, workers=workers) as client:
        from distributed import as_completed

        futures = {client.submit(check, path, how, pure=False): path for path in archives}
        for future in as_completed(futures):
            problems = future.result() if future.status == "finished" else (problem_of(future),)
            yield CheckOutcome(futures[future], problems)
