"""Encoder side: in which order the views of a group are coded, from which others each is predicted, how finely each.

Positions count views of the group. A view hangs on the views it is predicted from, on theirs, and so on to the key view
of its stream (views of one size), and on nothing else: those, and no others, have to be whole and decoded for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nerfstudio_mvc.capture.view_order import nearest_coded
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.prediction.group_order import order_within_group

Level = Literal["key", "chain", "between", "only"]
"""Key frame; a view that the next ones are predicted from; one between two that are coded before it, or that none is
predicted from; a key frame that no view follows."""


@dataclass(frozen=True)
class PlannedView:
    """One view: its position, level, the views that predict it, nearest first, and all that it hangs on."""

    position: int
    level: Level
    references: tuple[int, ...]
    ancestors: frozenset[int]


def plan_group(views: Sequence[View], switches: LmvicSwitches) -> list[PlannedView]:
    """The views in the order in which they are coded."""
    order = order_within_group(views) if switches.between else list(range(len(views)))
    count = 2 if switches.two_references else 1
    references: dict[int, tuple[int, ...]] = {}
    coded: dict[int, View] = {}
    for position in order:
        references[position] = tuple(nearest_positions(views[position], coded, count=count)) if switches.predict else ()
        coded[position] = views[position]
    used = {reference for named in references.values() for reference in named}
    between = {position for rank, position in enumerate(order) if position < max(order[: rank + 1])}
    keys: dict[tuple[int, int], int] = {}
    ancestors: dict[int, frozenset[int]] = {}
    plan = []
    for position in order:
        key = keys.setdefault((views[position].width, views[position].height), position)
        own = set(references[position]) | ({key} if key != position else set())
        ancestors[position] = frozenset(own.union(*(ancestors[other] for other in own)))
        level: Level = "between" if position in between or position not in used else "chain"
        if key == position:
            level = "key" if position in used else "only"
        plan.append(PlannedView(position, level, references[position], ancestors[position]))
    return plan


def nearest_positions(view: View, coded: Mapping[int, View], *, count: int) -> list[int]:
    """Positions of the `count` views that predict `view`, nearest first; `coded` in coding order. Where cameras are not
    known, those coded last: what was taken one after the other is mostly alike."""
    positions = list(coded)
    if not all(known.has_geometry for known in (view, *coded.values())):
        return positions[: -count - 1 : -1]
    return [positions[rank] for rank in nearest_coded(view, list(coded.values()), count=count)]
