"""Which views help a view, and the picture that comes of it: matching, cycle consistency, merging, with what is shared.

No view is merged before it helps: all pictures are compared and moved as AV1 has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nerfstudio_mvc.codecs.parahydra.error_map import own_error
from nerfstudio_mvc.codecs.parahydra.matching import (
    Pyramid,
    closed_share,
    coarse_match,
    consistency,
    fine_match,
    pyramid,
    quarter_planes,
)
from nerfstudio_mvc.codecs.parahydra.merging import MOST_SIDES, AlignedSide, Merged, level_of, merge, moved
from nerfstudio_mvc.codecs.parahydra.stills import Still

CANDIDATES = 4
"""Views that are looked at as sides of one, the nearest in coding order."""
SMALLEST_SIDE = 64
"""Pixels of a view that others can help."""
LEAST_SEEN = 0.15
"""Share of coarse matches that come back, below which a view is not matched any further."""
LEAST_CLOSED = 0.22
"""Share of cells whose way there and back closes, below which a view is left out."""


@dataclass(frozen=True, eq=False)
class Help:
    """What the sides did for a view: their positions, the best first, each aligned, and the picture."""

    sides: tuple[int, ...]
    aligned: tuple[AlignedSide, ...]
    merged: Merged


def candidates_of(view: int, sizes: Mapping[int, tuple[int, int]]) -> list[int]:
    """Views of the same size, the nearest in coding order first."""
    same = [other for other, size in sizes.items() if other != view and size == sizes[view]]
    return sorted(same, key=lambda other: (abs(other - view), other))[:CANDIDATES]


@dataclass
class JointDecoder:
    """The decoded views of a group by position; what is found about pairs is kept for both.

    `coarse_match`: other ways than the decoder's, to measure them.
    """

    stills: Mapping[int, Still]
    coarse_match: Callable[[Pyramid, Pyramid], np.ndarray] = coarse_match
    _pyramids: dict[int, Pyramid] = field(default_factory=dict)
    _coarse: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    _fields: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def shown(self, view: int) -> Help:
        """A view with what others add to it; the view as it is where none shows enough of it."""
        still = self.stills[view]
        sizes = {position: other.pixels.shape[:2] for position, other in self.stills.items()}
        can_gain = min(sizes[view]) >= SMALLEST_SIDE and level_of(own_error(still.levels, sizes[view])) > 0
        likely = candidates_of(view, sizes) if can_gain else []
        shares = {other: self._seen(view, other) for other in likely}
        likely = sorted((other for other in likely if shares[other] >= LEAST_SEEN), key=lambda other: -shares[other])
        found: list[tuple[float, int, np.ndarray]] = []
        for other in likely[:MOST_SIDES]:
            trust = consistency(self._field(view, other), self._field(other, view))
            closed = float((trust == 0).mean())
            if closed >= LEAST_CLOSED:
                found.append((closed, other, trust))
        found.sort(key=lambda one: -one[0])
        aligned = tuple(
            AlignedSide(moved(self.stills[other].pixels, self._field(view, other)), trust) for _, other, trust in found
        )
        return Help(tuple(other for _, other, _ in found), aligned, merge(still.pixels, still.levels, aligned))

    def _seen(self, view: int, other: int) -> float:
        return closed_share(self._coarse_match(view, other), self._coarse_match(other, view))

    def _coarse_match(self, view: int, other: int) -> np.ndarray:
        if (view, other) not in self._coarse:
            self._coarse[view, other] = self.coarse_match(self._pyramid(view), self._pyramid(other))
        return self._coarse[view, other]

    def _field(self, view: int, other: int) -> np.ndarray:
        if (view, other) not in self._fields:
            side = self._pyramid(other)
            self._fields[view, other] = fine_match(
                self._pyramid(view), side, self._coarse_match(view, other), quarter_planes(side.levels[0])
            )
        return self._fields[view, other]

    def _pyramid(self, view: int) -> Pyramid:
        if view not in self._pyramids:
            self._pyramids[view] = pyramid(self.stills[view].pixels)
        return self._pyramids[view]
