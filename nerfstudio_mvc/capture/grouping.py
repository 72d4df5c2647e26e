"""Coding order -> groups: runs of neighbouring views that decode without any other view."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise

from nerfstudio_mvc.errors import ShapeError


def split_into_groups(order: Sequence[int], group_size: int) -> list[list[int]]:
    """Cut `order` into runs whose lengths differ by one at most, so that no small group is left at the end.

    Args:
        order: view_idx in coding order.
        group_size: the length to come close to. Two views or more share a group unless `group_size` is 1.

    Raises:
        ShapeError: `group_size` is below 1.
    """
    views = iter(order)
    return [list(islice(views, size)) for size in group_sizes(len(order), group_size)]


def group_sizes(count: int, group_size: int) -> list[int]:
    """How many views each group of `split_into_groups` has, for `count` views; errors as there."""
    if group_size < 1:
        raise ShapeError(f"group size {group_size}: a group has one view or more")
    if count == 0:
        return []
    # floor(x + 0.5): round() would send halves to even.
    groups = max(1, int(count / group_size + 0.5))
    if group_size > 1:
        groups = max(1, min(groups, count // 2))
    bounds = [index * count // groups for index in range(groups + 1)]
    return [last - first for first, last in pairwise(bounds)]
