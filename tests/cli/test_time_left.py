"""Time left, from simulated runs: right to a factor of 1.5 from the third view on."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from nerfstudio_mvc.cli.time_left import TimeLeft

FACTOR = 1.5
A_VIEW_S = 10.0


@dataclass(frozen=True)
class Run:
    """Groups of views, `jobs` at once; a first view takes `first` times as long as the others."""

    group_sizes: Sequence[int]
    jobs: int = 1
    first: float = 1.0
    jitter: float = 0.0
    at_the_end: bool = False  # a group's views are told of together

    def events(self, begin: float) -> list[tuple[float, int]]:
        """(time, group) of every view."""
        rng, free, told = np.random.default_rng(0), [begin] * self.jobs, []
        for group_idx, size in enumerate(self.group_sizes):
            at = heapq.heappop(free)
            times = []
            for position in range(size):
                at += A_VIEW_S * (self.first if position == 0 else 1.0) * (1 + self.jitter * rng.uniform(-1, 1))
                times.append(at)
            told += [(at if self.at_the_end else each, group_idx) for each in times]
            heapq.heappush(free, at)
        return sorted(told)


RUNS = {
    "one group": Run([8], jitter=0.2),
    "the first view is slow": Run([16], first=6.0),
    "the first view is fast": Run([16], first=0.2),
    "two groups at once": Run([16, 16], jobs=2, first=3.0, jitter=0.3),
    "four groups at once": Run([12] * 8, jobs=4, first=2.0, jitter=0.2),
    "one group after the other": Run([14, 14, 14], first=4.0, jitter=0.2),
    "groups of one view": Run([1] * 12, jitter=0.3),
    "as a video": Run([16] * 6, at_the_end=True),
}


@pytest.mark.parametrize("name", RUNS)
def test_time_left_is_right_to_a_factor(name: str) -> None:
    run, now = RUNS[name], [0.0]
    left = TimeLeft(sum(run.group_sizes), len(run.group_sizes), clock=lambda: now[0])
    assert left.seconds() is None
    now[0] = 300.0  # what depth takes is not what views take
    left.prepared()
    events = run.events(300.0)
    end = events[-1][0]
    for done, (at, group_idx) in enumerate(events, start=1):
        now[0] = at
        left.view_done(group_idx)
        together = done < len(events) and events[done][0] == at
        if done >= 3 and at < end and not together:
            told, true = left.seconds(), end - at
            if told is None:
                # No group has told of a second view yet.
                assert done <= run.jobs
            else:
                assert true / FACTOR - A_VIEW_S <= told <= true * FACTOR + A_VIEW_S, f"after view {done}"
    assert left.seconds() == 0


def test_it_runs_down_between_views_and_groups_of_an_earlier_run_do_not_count() -> None:
    now = [0.0]
    left = TimeLeft(30, 3, clock=lambda: now[0])
    left.skipped(20)
    for at in (40.0, 50.0, 60.0):
        now[0] = at
        left.view_done(2)
    assert left.seconds() == 70
    now[0] = 65.0
    assert left.seconds() == 65
