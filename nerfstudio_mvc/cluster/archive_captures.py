"""Compressing many captures: what each takes as tasks of a Dask cluster, and what becomes of them.

    per capture:   prepare --> group, group, .. --> finish

Which worker does what and what happens when one dies is Dask's business; the tasks are `pipeline.capture_tasks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerfstudio_mvc.cluster.connection import problem_of
from nerfstudio_mvc.cluster.tasks import code, finish, prepare
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.reports import CompressReport

if TYPE_CHECKING:
    from distributed import Client, Future

    from nerfstudio_mvc.pipeline.capture_plan import PreparedCapture


@dataclass(frozen=True)
class CaptureJob:
    """A capture folder and the archive to make of it."""

    data: Path
    archive: Path


@dataclass(frozen=True)
class CaptureStep:
    """`done` of `groups` groups of a capture are coded."""

    job: CaptureJob
    done: int
    groups: int


@dataclass(frozen=True)
class CaptureOutcome:
    """What became of a capture: its report, or why there is none; neither where it had been done before."""

    job: CaptureJob
    report: CompressReport | None = None
    problem: str | None = None


@dataclass
class _UnderWay:
    """A capture that is being worked on; `prepared` and what follows once they are known."""

    job: CaptureJob
    futures: list[Future] = field(default_factory=list)
    prepared: PreparedCapture | None = None
    groups_done: int = 0
    over: bool = False
    again: bool = False


def archive_captures(
    client: Client, jobs: Sequence[CaptureJob], options: CompressOptions
) -> Iterator[CaptureStep | CaptureOutcome]:
    """Compress each of `jobs`; yields what happens as it happens, among it one `CaptureOutcome` for each.

    What is done already is not done again. Paths must mean the same to all workers.
    """
    from distributed import as_completed

    waiting = as_completed()
    captures: dict[str, _UnderWay] = {}

    def submit(capture: _UnderWay, task: Callable[..., Any], *arguments: Any, priority: int = 0) -> Future:
        future = client.submit(task, *arguments, pure=False, priority=priority)
        captures[future.key] = capture
        capture.futures.append(future)
        waiting.add(future)
        return future

    for job in jobs:
        submit(_UnderWay(job), prepare, job.data, job.archive, options)
    for future in waiting:
        capture = captures.pop(future.key)
        if capture.over:
            continue
        job = capture.job
        if future.status != "finished":
            problem, capture.over = problem_of(future), True
            client.cancel(capture.futures)
            if capture.prepared is not None and job.archive.exists() and not capture.again:
                # A worker died with the answer of a finished capture, whose tasks then find their folder gone.
                submit(_UnderWay(job, again=True), prepare, job.data, job.archive, options)
                continue
            yield CaptureOutcome(job, problem=problem)
        elif future is capture.futures[0]:
            prepared = capture.prepared = future.result()
            if prepared is None:
                yield CaptureOutcome(job)
                continue
            yield CaptureStep(job, 0, len(prepared.groups))
            # Captures begun go before those that are not, so that archives are finished one after the other.
            groups = [submit(capture, code, task, priority=1) for task in prepared.groups]
            submit(capture, finish, job.data, job.archive, options, prepared, groups, priority=2)
        elif future is capture.futures[-1]:
            yield CaptureOutcome(job, report=future.result())
        else:
            assert capture.prepared is not None, "groups come after it"
            capture.groups_done += 1
            yield CaptureStep(job, capture.groups_done, len(capture.prepared.groups))
