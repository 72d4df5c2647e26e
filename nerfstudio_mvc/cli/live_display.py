"""Bars on the terminal that are there as long as a `with` lasts."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from rich.progress import Progress

D = TypeVar("D", bound="LiveDisplay")


class LiveDisplay:
    """Shows `_progress`, which the subclass makes, from the beginning of a `with` to its end."""

    _progress: Progress

    def __enter__(self: D) -> D:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
