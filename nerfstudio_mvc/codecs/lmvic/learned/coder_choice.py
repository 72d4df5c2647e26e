"""Encoder side: which picture coders are tried for the next view of a group.

Coding a view once more than needed takes a good part of the encoder's time. Views of a group are alike: a coder that
was clearly behind twice in a row is not tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TWICE = 2
CLEARLY = 0.05
"""Share of the cost by which a coder must be dearer than the best to count as behind."""


class CoderChoice:
    """For the views of one group, in coding order.

    Args:
        names: of all coders.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._behind = dict.fromkeys(names, 0)

    def names(self) -> list[str]:
        """The coders to try."""
        return [name for name, times in self._behind.items() if times < TWICE]

    def note(self, costs: Mapping[str, float]) -> None:
        """What a view cost with each coder that was tried, bits."""
        least = min(costs.values())
        for name, cost in costs.items():
            self._behind[name] = self._behind[name] + 1 if cost > least * (1 + CLEARLY) else 0
