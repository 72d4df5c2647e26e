"""A coarse look at a decoded picture: does it show what the encoder saw, where its checksum says that samples differ?

Another machine may round a sample otherwise, by one grey level; a wrong picture has other means all over. Means of 8 x
8 cells are kept modulo 4: rounding moves them by one at most, and another picture passes in one of 10^8 cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.coded import CodedGroup, Substream

CELLS = 8  # in each direction, fewer where there are fewer pixels


def with_cell_means(group: CodedGroup, shown: Mapping[int, np.ndarray]) -> CodedGroup:
    """The group with a string more for each view: `cell_means` of the pixels that `shown` has by view_idx."""
    return replace(
        group,
        views=tuple(
            replace(
                view,
                substreams=(*view.substreams, Substream(layout.CELLS_STRING, cell_means(shown[view.view_idx]))),
            )
            for view in group.views
        ),
    )


def without_cell_means(group: CodedGroup) -> tuple[CodedGroup, dict[int, bytes]]:
    """Inverse of `with_cell_means`: the group, and by view_idx the strings of those views that have one."""
    means = {
        view.view_idx: substream.payload
        for view in group.views
        for substream in view.substreams
        if substream.name == layout.CELLS_STRING
    }
    views = (
        replace(view, substreams=tuple(part for part in view.substreams if part.name != layout.CELLS_STRING))
        for view in group.views
    )
    return replace(group, views=tuple(views)), means


def cell_means(pixels: np.ndarray) -> bytes:
    """Whole means of the cells of a picture, uint8 [H, W, 3], modulo 4: two bits each, rows first, four in a byte."""
    return np.packbits(np.unpackbits(_means(pixels)[:, None], axis=1)[:, 6:]).tobytes()


def shows_the_same(pixels: np.ndarray, means: bytes) -> bool:
    """Whether a picture may be the one that `means` were taken of, but for rounding."""
    own = _means(pixels)
    bits = np.unpackbits(np.frombuffer(means, np.uint8))[: 2 * len(own)]
    if len(bits) < 2 * len(own):
        return False
    stored = 2 * bits[::2] + bits[1::2]
    return not np.any((own - stored) % 4 == 2)


def _means(pixels: np.ndarray) -> np.ndarray:
    """uint8 [cells], 0 .. 3"""
    height, width = pixels.shape[:2]
    rows, columns = (np.arange(min(CELLS, side)) * side // min(CELLS, side) for side in (height, width))
    by_row = np.add.reduceat(pixels.sum(axis=2, dtype=np.int64), rows, axis=0)
    sums = np.add.reduceat(by_row, columns, axis=1)
    areas = np.diff([*rows, height])[:, None] * np.diff([*columns, width])
    return (sums // (3 * areas) % 4).astype(np.uint8).ravel()
