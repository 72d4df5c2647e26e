"""How long the views that are left will take, from when those before them were done.

    time of coding:  |-- first view --|--|--|--|   group 0
                     |--- first view ---|--|--|    group 1, beside it

The first view of a group says little: it waits for what is done once, and is coded without references. So in the first
round of groups the time between the views of a group counts, and how many groups deliver side by side; after it, the
mean of all that was done.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FEWEST_VIEWS = 3
"""Done before anything is said of those that are left."""


class TimeLeft:
    """A reckoning that is told of everything as it happens.

    Args:
        views, groups: to be worked on.
        clock: seconds, from anywhere.
    """

    def __init__(self, views: int, groups: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._views_per_group = views, views / groups
        self._done = 0
        self._start = self._last = clock()
        self._first_and_last: dict[int, tuple[float, float, int]] = {}

    def prepared(self) -> None:
        """A step before the first view has gone on: what came until now belongs to no view."""
        if not self._done:
            self._start = self._clock()

    def skipped(self, views: int) -> None:
        """So many views need no work."""
        self._left -= views
        self.prepared()

    def view_done(self, group_idx: int) -> None:
        """A view of a group was done."""
        self._last = self._clock()
        first, _, count = self._first_and_last.get(group_idx, (self._last, 0.0, 0))
        self._first_and_last[group_idx] = (first, self._last, count + 1)
        self._done += 1
        self._left -= 1

    def seconds(self) -> float | None:
        """Until the last view is done; None before anything is known."""
        per_view = self._per_view_s()
        if per_view is None:
            return None
        return max(per_view * self._left - (self._clock() - self._last), 0.0)

    def _per_view_s(self) -> float | None:
        if self._done < FEWEST_VIEWS:
            return None
        groups = self._first_and_last.values()
        in_first_round = max(count for _, _, count in groups) < int(self._views_per_group)
        if not in_first_round:
            return (self._last - self._start) / self._done
        later_views = self._done - len(groups)
        between = sum(last - first for first, last, _ in groups)
        return between / later_views / len(groups) if later_views else None
