"""Captures under way as rich progress bars on stderr: groups of each, how much of all is done, time left.

Where stderr is not a terminal a line is printed for each capture, and one now and then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from nerfstudio_mvc.cli.console import format_bytes, format_count, format_seconds, printable
from nerfstudio_mvc.cli.live_display import LiveDisplay
from nerfstudio_mvc.cluster.archive_captures import CaptureJob, CaptureOutcome, CaptureStep

SECONDS_BETWEEN_LINES = 15.0


class BatchProgress(LiveDisplay):
    """A context manager whose `show` is told of everything that happens.

    Captures count by the bytes of their files; nothing is said of the time left before a group is done.
    """

    def __init__(self, jobs: Sequence[CaptureJob], root: Path) -> None:
        self._root = root.absolute()
        self._bytes = {job: 1 + _bytes_below(job.data) for job in jobs}
        self._share = dict.fromkeys(jobs, 0.0)
        self._skipped: set[CaptureJob] = set()
        self._ended = 0
        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._all = self._progress.add_task("all captures", total=1.0, note="")
        self._bars: dict[CaptureJob, TaskID] = {}
        self._start_s = self._last_line_s = time.monotonic()

    def print_line(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def show(self, event: CaptureStep | CaptureOutcome) -> None:
        """Show one event."""
        job = event.job
        match event:
            case CaptureStep():
                if job not in self._bars:
                    name = printable(str(job.data.relative_to(self._root)))
                    self._bars[job] = self._progress.add_task(name, total=event.groups, note="")
                note = f"{event.done} of {format_count(event.groups, 'group')}"
                self._progress.update(self._bars[job], completed=event.done, note=note)
                self._share[job] = event.done / max(event.groups, 1)
            case CaptureOutcome():
                if job in self._bars:
                    self._progress.remove_task(self._bars.pop(job))
                if event.report is None and event.problem is None:
                    self._skipped.add(job)
                self._share[job] = 1.0
                self._ended += 1
                for line in [*(() if event.report is None else event.report.warnings), _outcome(event)]:
                    self.print_line(f"{job.data.relative_to(self._root)}: {line}")
        done, left_s = self._done()
        left = f", {format_seconds(left_s)} left" if left_s else ""
        note = f"{self._ended} of {len(self._share)} captures{left}"
        self._progress.update(self._all, completed=done, note=note)
        if not self._console.is_terminal and time.monotonic() - self._last_line_s >= SECONDS_BETWEEN_LINES:
            self.print_line(f"{note}, {done:.0%} done")
            self._last_line_s = time.monotonic()

    def _done(self) -> tuple[float, float | None]:
        """The share of all that is done, and the seconds left; what had been done before counts for nothing."""
        total = sum(size for job, size in self._bytes.items() if job not in self._skipped)
        done = sum(self._share[job] * size for job, size in self._bytes.items() if job not in self._skipped)
        elapsed_s = time.monotonic() - self._start_s
        return (done / total if total else 1.0), (elapsed_s * (total - done) / done if done else None)


def _outcome(event: CaptureOutcome) -> str:
    if event.problem is not None:
        return f"failed: {event.problem}"
    return "done before" if event.report is None else f"done, {format_bytes(event.report.file_bytes)}"


def _bytes_below(folder: Path) -> int:
    sizes = 0
    for below, _, names in os.walk(folder):
        sizes += sum(Path(below, name).lstat().st_size for name in names)
    return sizes
