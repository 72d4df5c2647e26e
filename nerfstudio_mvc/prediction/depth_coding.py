"""The coded depth of a view: inverse depth as integers on a coarse grid, to bytes and back with integers alone.

    (0, 0) --> spacing 64, 32, 16, .. 1: cell centres between known cells, then the cells between those --> levels
                 prediction from four known neighbours + residual * residual_step(spacing)

Which depth is worth coding, and how fine its step should be, is `depth_refinement`'s and `depth_precision`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.entropy.interlaced_scans import Scan, interlaced_scans, predict_cells
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError, ShapeError

CELL_TENTHS_PX = 63  # a cell is 6.3 pixels of the photograph wide: 160 cells for 1008 pixels
MAX_CELLS = 320  # longer side of the grid; larger photographs have larger cells
_LEVEL_PARTS = 3
_PART_BITS = 12
_MAX_LEVEL = 1 << 22  # residuals then stay within what the range coder's escape reaches
_MAX_DECODED_LEVEL = 1 << 28
_STEP_CODES = 1 << 16
_SMALLEST_STEP, _LARGEST_STEP = 2.0**-100, 2.0**100
# Classes: how much the known neighbours disagree, apart for the finest cells, which are three quarters of all.
_ACTIVITY_BOUNDS = np.array([0, 1, 3, 7, 15])
_CLASSES = 2 * (len(_ACTIVITY_BOUNDS) + 1)


@dataclass(frozen=True, eq=False)
class CodedDepth:
    """What the decoder knows about the depth of a view.

    Attributes:
        levels: inverse depth in units of `step`; as made by `quantise_depth` or `decode_depth`. int32 [h, w]
        step: inverse world units; has a float32 whose lower 16 bits are zero.
    """

    levels: np.ndarray
    step: float

    def inverse_depth(self) -> np.ndarray:
        """Always positive. float64 [h, w]"""
        return (np.maximum(self.levels, 0) + 0.5) * self.step

    def depth(self) -> np.ndarray:
        """z-depth, world units. float32 [h, w]"""
        return (1.0 / self.inverse_depth()).astype(np.float32)


def coded_grid(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the depth coded for a photograph of `height` x `width` pixels."""
    longer = min(_divide_round(10 * max(height, width), CELL_TENTHS_PX), MAX_CELLS)
    longer = max(longer, 1)
    rows, columns = (max(1, _divide_round(side * longer, max(height, width))) for side in (height, width))
    return rows, columns


def storable_step(step: float) -> float:
    """`step` cut to the 16 bits that are stored, within 2**-100 .. 2**100."""
    return _step_from_code(_step_code(min(max(step, _SMALLEST_STEP), _LARGEST_STEP)))


def quantise_depth(inverse_depth: np.ndarray, step: float) -> CodedDepth:
    """The nearest depth that can be coded, walking as the coder does, so that errors do not add up.

    Args:
        inverse_depth: positive, on the coded grid. [h, w]
        step: as in `CodedDepth`; made coarser where the largest level would pass 2**22.

    Raises:
        ShapeError: not [h, w], or values that are not finite and positive.
    """

    def nearest(error: np.ndarray, scan: Scan) -> np.ndarray:
        return np.copysign(np.floor(np.abs(error) / scan.residual_step + 0.5), error).astype(np.int64)

    return walk_cells(inverse_depth, step, nearest)


def walk_cells(
    inverse_depth: np.ndarray, step: float, residuals: Callable[[np.ndarray, Scan], np.ndarray]
) -> CodedDepth:
    """Predict scan after scan, asking `residuals(error, scan)` what to add.

    Arguments and errors are as in `quantise_depth`; `error` is what the prediction lacks, in levels, one per cell of
    `scan`; the answer, int64, counts residual steps.
    """
    if (
        inverse_depth.ndim != 2
        or not inverse_depth.size
        or not (np.isfinite(inverse_depth) & (inverse_depth > 0)).all()
    ):
        raise ShapeError("inverse depth to be coded must be a map of finite positive numbers; fill unseen cells first")
    step = storable_step(max(float(step), float(inverse_depth.max()) / _MAX_LEVEL))
    target = (inverse_depth.astype(np.float64) / step - 0.5).ravel()
    levels = np.zeros(target.size, np.int64)
    levels[0] = max(0, int(np.floor(target[0] + 0.5)))
    for scan in interlaced_scans(*inverse_depth.shape):
        prediction = predict_cells(scan.neighbors(levels))
        chosen = residuals(target[scan.cells] - prediction, scan)
        levels[scan.cells] = prediction + chosen * scan.residual_step
    return CodedDepth(levels.reshape(inverse_depth.shape).astype(np.int32), step)


def encode_depth(coded: CodedDepth, tables: TableSet) -> bytes:
    """Bytes for `decode_depth`; `tables` are logistic tables of rising scale, row 0 unused.

    Raises:
        ShapeError: levels that `quantise_depth` did not make.
    """
    levels = coded.levels.astype(np.int64).ravel()
    residuals, classes, magnitudes = [], [], np.zeros_like(levels)
    for scan in interlaced_scans(*coded.levels.shape):
        prediction = predict_cells(scan.neighbors(levels))
        classes.append(_classify(levels, magnitudes, scan))
        residual, rest = np.divmod(levels[scan.cells] - prediction, scan.residual_step)
        if rest.any():
            raise ShapeError("these depth levels cannot be coded as they are; take them from quantise_depth")
        magnitudes[scan.cells] = np.abs(residual)
        residuals.append(residual)
    rows = _cheapest_rows(residuals, classes, tables)
    encoder = SymbolEncoder()
    encoder.put_uniform(np.array([_step_code(coded.step)]), _STEP_CODES)
    encoder.put_uniform(levels[0] >> _PART_BITS * np.arange(_LEVEL_PARTS) & ((1 << _PART_BITS) - 1), 1 << _PART_BITS)
    encoder.put_uniform(rows, len(tables))
    for residual, class_idx in zip(residuals, classes, strict=True):
        table_idx = rows[class_idx]
        said = table_idx > 0
        encoder.put(residual[said], table_idx[said], tables)
    return encoder.finish()


def decode_depth(payload: bytes, tables: TableSet, *, grid: tuple[int, int]) -> CodedDepth:
    """Read what `encode_depth` wrote for a grid of (rows, columns).

    Raises:
        ArchiveError: the bytes hold no depth of this size.
    """
    decoder = SymbolDecoder(payload)
    step = _step_from_code(int(decoder.get_uniform(1, _STEP_CODES)[0]))
    if not _SMALLEST_STEP <= step <= _LARGEST_STEP:
        raise ArchiveError("the depth of a view has no valid step: the archive is damaged")
    levels = np.zeros(grid[0] * grid[1], np.int64)
    levels[0] = (decoder.get_uniform(_LEVEL_PARTS, 1 << _PART_BITS) << _PART_BITS * np.arange(_LEVEL_PARTS)).sum()
    rows = decoder.get_uniform(_CLASSES, len(tables))
    magnitudes = np.zeros_like(levels)
    for scan in interlaced_scans(*grid):
        table_idx = rows[_classify(levels, magnitudes, scan)]
        said = table_idx > 0
        residual = np.zeros(len(table_idx), np.int64)
        residual[said] = decoder.get(table_idx[said], tables)
        levels[scan.cells] = predict_cells(scan.neighbors(levels)) + residual * scan.residual_step
        magnitudes[scan.cells] = np.abs(residual)
        if np.abs(levels[scan.cells]).max() > _MAX_DECODED_LEVEL:
            raise ArchiveError("the depth of a view leaves its range: the archive is damaged")
    return CodedDepth(levels.reshape(grid).astype(np.int32), step)


def _classify(levels: np.ndarray, magnitudes: np.ndarray, scan: Scan) -> np.ndarray:
    """Class of each cell from what is known around it. int64 [N]"""
    known = scan.neighbors(levels)
    activity = (known.max(0) - known.min(0)) // scan.residual_step + magnitudes[scan.nearest].sum(0) // 2
    return np.searchsorted(_ACTIVITY_BOUNDS, activity) + (len(_ACTIVITY_BOUNDS) + 1) * (scan.spacing == 1)


def _cheapest_rows(residuals: list[np.ndarray], classes: list[np.ndarray], tables: TableSet) -> np.ndarray:
    """For each class the table that codes its residuals in the fewest bits; 0 where all of them are zero."""
    residual = np.concatenate([*residuals, np.zeros(0, np.int64)])
    class_idx = np.concatenate([*classes, np.zeros(0, np.int64)])
    rows = np.zeros(_CLASSES, np.int64)
    for chosen in np.unique(class_idx[residual != 0]):
        values, counts = np.unique(residual[class_idx == chosen], return_counts=True)
        # Neighbouring tables differ by less than a percent in bits: every other one is enough.
        rows[chosen] = min(range(1, len(tables), 2), key=lambda table: _bits(values, counts, table, tables))
    return rows


def _bits(values: np.ndarray, counts: np.ndarray, table: int, tables: TableSet) -> float:
    limit = int(tables.limits[table])
    probabilities = tables.probabilities(table)
    beyond = np.abs(values) > limit
    entries = np.where(beyond, 2 * limit + 1, values + limit)
    return float(counts @ (-np.log2(probabilities[entries]) + beyond * 2 * _PART_BITS))


def _step_code(step: float) -> int:
    """The upper half of a float32, the lower half cut off."""
    return int(np.array(step, np.float32).view(np.uint32)) >> 16


def _step_from_code(code: int) -> float:
    return float(np.array(code << 16, np.uint32).view(np.float32))


def _divide_round(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
