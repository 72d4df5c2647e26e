"""Pipeline events as rich progress bars on stderr: views done, bytes so far and saved, time left.

Where stderr is not a terminal, bars become a line now and then; the first line and the warnings appear everywhere.
"""

from __future__ import annotations

import time
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from nerfstudio_mvc.cli.console import (
    format_bytes,
    format_count,
    format_fingerprint,
    format_quality,
    format_saving,
    format_seconds,
    format_sizes,
    printable,
)
from nerfstudio_mvc.cli.live_display import LiveDisplay
from nerfstudio_mvc.cli.time_left import TimeLeft
from nerfstudio_mvc.pipeline.progress import Event, GroupReused, Noted, Planned, StepProgress, ViewDone, Warned

SECONDS_BETWEEN_LINES = 15.0


class ProgressView(LiveDisplay):
    """A context manager whose `on_event` shows what a pipeline reports.

    Args:
        verb: what happens to the views, e.g. ``"compressing"``.
    """

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            _TimeLeftColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._views_task: TaskID | None = None
        self._time_left: TimeLeft | None = None
        self._step_tasks: dict[str, TaskID] = {}
        self._payload_bytes = 0
        self._source_bytes = 0
        self._views_done = 0
        self._last_line_s = time.monotonic()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Planned():
                self.print_line(plan_line(event))
                self._start_again()
                self._time_left = TimeLeft(event.views, event.groups)
                self._views_task = self._progress.add_task(
                    self._verb, total=event.views, note="", time_left=self._time_left
                )
            case StepProgress():
                self._show_step(event)
            case ViewDone():
                if self._time_left is not None:
                    self._time_left.view_done(event.group_idx)
                self._advance(1, event.payload_bytes, event.source_bytes)
            case GroupReused():
                self.print_line(f"group {event.group_idx}: {format_count(event.views, 'view')} coded already")
                if self._time_left is not None:
                    self._time_left.skipped(event.views)
                self._advance(event.views, event.payload_bytes, event.source_bytes)
            case Warned():
                self.print_line(f"warning: {event.message}")
            case Noted():
                self.print_line(event.message)

    def print_line(self, line: str) -> None:
        """Print a line above the bars; not cut into pieces, so that a log can be searched."""
        with suppress(OSError):  # a full disk under stderr is no reason to stop
            self._console.print(printable(line), markup=False, soft_wrap=True)

    def _start_again(self) -> None:
        if self._views_task is not None:
            self._progress.remove_task(self._views_task)
        self._payload_bytes = self._source_bytes = self._views_done = 0

    def _show_step(self, event: StepProgress) -> None:
        if self._time_left is not None and not event.of_views:
            self._time_left.prepared()
        if event.step not in self._step_tasks:
            self._step_tasks[event.step] = self._progress.add_task(event.step, total=event.total, note="")
        self._line_now_and_then(f"{event.step}: {event.done} of {event.total}")
        unfinished = event.done < event.total
        self._progress.update(self._step_tasks[event.step], completed=event.done, total=event.total, visible=unfinished)

    def _advance(self, views: int, payload_bytes: int, source_bytes: int) -> None:
        assert self._views_task is not None, "a pipeline says what it plans before its first view"
        self._payload_bytes += payload_bytes
        self._source_bytes += source_bytes
        self._views_done += views
        note = self._note()
        self._progress.update(self._views_task, advance=views, note=note)
        parts = [format_count(self._views_done, "view"), note, _left_in_words(self._time_left)]
        self._line_now_and_then(f"{self._verb}: {', '.join(filter(None, parts))}")

    def _line_now_and_then(self, line: str) -> None:
        if not self._console.is_terminal and time.monotonic() - self._last_line_s >= SECONDS_BETWEEN_LINES:
            self.print_line(line)
            self._last_line_s = time.monotonic()

    def _note(self) -> str:
        if not self._payload_bytes or not self._source_bytes:
            return ""
        saving = format_saving(self._payload_bytes, self._source_bytes)
        return f"{format_bytes(self._payload_bytes)} of {format_bytes(self._source_bytes)}, {saving}"


class _TimeLeftColumn(TimeRemainingColumn):
    """What `TimeLeft` says of the views; rich's own reckoning of other tasks."""

    def render(self, task: Task) -> Text:
        time_left = task.fields.get("time_left")
        return (
            super().render(task) if time_left is None else Text(_left_in_words(time_left), style="progress.remaining")
        )


def _left_in_words(time_left: TimeLeft | None) -> str:
    seconds = None if time_left is None else time_left.seconds()
    return "" if not seconds else f"{format_seconds(seconds)} left"


def plan_line(plan: Planned) -> str:
    """``lmvic, quality 5: 12 views in 1 group, 1008x756, weights 5b1e07, cpu``"""
    views, groups = format_count(plan.views, "view"), format_count(plan.groups, "group")
    weights = f", {format_fingerprint(plan.fingerprint)}" if plan.fingerprint else ""
    quality = format_quality(plan.codec, plan.quality)
    return f"{quality}: {views} in {groups}, {format_sizes(plan.sizes)}{weights}, {plan.device}"
