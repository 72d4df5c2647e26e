"""Other ways to find the coarse match, to be measured against `matching.coarse_match`: the paper's attention on its
descriptors. No decoder of archives uses them: softmaxes are floats.

    plane        every query against all keys
    horizontal   HPA: against the keys of its row; vertical: VPA, of its column
    opam         HPA, then VPA on the side's descriptors as HPA has aligned them

ParaHydra, Eq. 8 to 11: softmax over the keys times softmax over the queries is the probability of going there and
coming back. A match is the key where that is largest, so that the fine search starts from one displacement and no mean.
OPAM compares rows that show something else where views differ in height: by more than some 8 pixels it is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nerfstudio_mvc.codecs.parahydra.matching import DESCRIPTOR_SCALE, KEY_STEP, QUERY_STEP, Pyramid, coarse_match

TEMPERATURE = 20.0
"""Of descriptors of unit length, as the paper preset begins."""
_STRIDE = QUERY_STEP // KEY_STEP


def plane_match(main: Pyramid, side: Pyramid) -> np.ndarray:
    """Full 2-D attention; shapes as in `coarse_match`."""
    queries, keys = _queries(main), _keys(side)
    best, _ = _attend(queries.reshape(1, -1, queries.shape[2]), keys.reshape(1, -1, keys.shape[2]))
    return _displacements(main, *np.divmod(best.reshape(main.query_grid), side.key_grid[1]))


def horizontal_match(main: Pyramid, side: Pyramid) -> np.ndarray:
    """Horizontal parallax attention alone."""
    columns, _ = _attend(_queries(main), _keys(side)[::_STRIDE])
    return _displacements(main, np.indices(main.query_grid)[0] * _STRIDE, columns)


def vertical_match(main: Pyramid, side: Pyramid) -> np.ndarray:
    """Vertical parallax attention alone."""
    rows, _ = _attend(_turned(_queries(main)), _turned(_keys(side)[:, ::_STRIDE]))
    return _displacements(main, rows.T, np.indices(main.query_grid)[1] * _STRIDE)


def opam_match(main: Pyramid, side: Pyramid) -> np.ndarray:
    """Horizontal attention of every row of keys, then vertical attention over what it has aligned."""
    columns, aligned = _attend(_keys(main)[:, ::_STRIDE], _keys(side))
    rows, _ = _attend(_turned(_queries(main)), _turned(aligned))
    return _displacements(main, rows.T, np.take_along_axis(columns, rows.T, 0))


MATCHES: Mapping[str, Callable[[Pyramid, Pyramid], np.ndarray]] = {
    "best key": coarse_match,
    "2-D attention": plane_match,
    "OPAM": opam_match,
    "HPA": horizontal_match,
    "VPA": vertical_match,
}


def _attend(queries: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines of descriptors [L, Q, C], [L, K, C] -> keys that are matched [L, Q], the keys as aligned [L, Q, C]."""
    scores = np.exp(TEMPERATURE * (queries @ keys.transpose(0, 2, 1) - 1))
    to_main = scores / scores.sum(2, keepdims=True)
    scores /= scores.sum(1, keepdims=True)
    aligned = to_main @ keys
    return (to_main * scores).argmax(2), aligned / (np.linalg.norm(aligned, axis=2, keepdims=True) + 1e-6)


def _keys(one: Pyramid) -> np.ndarray:
    return (one.keys / np.float32(DESCRIPTOR_SCALE)).reshape(*one.key_grid, -1)


def _queries(one: Pyramid) -> np.ndarray:
    return (one.queries / np.float32(DESCRIPTOR_SCALE)).reshape(*one.query_grid, -1)


def _turned(lines: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(lines.swapaxes(0, 1))


def _displacements(main: Pyramid, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Keys on their grid, as displacements of the queries in samples of a quarter of the picture."""
    own = np.indices(main.query_grid) * QUERY_STEP
    return (np.stack([rows, columns], -1) * KEY_STEP - np.moveaxis(own, 0, -1)).astype(np.int32)
