"""Symbols and table rows to bytes and back; the only caller of constriction.

Symbols of one table are coded together: the coder then builds each table once per call and runs several times faster
than with a table per symbol. The decoder knows all rows of a call before it starts, so it forms the same order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from constriction import stream

from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError

_ESCAPE_PART_BITS = 12
ESCAPE_LIMIT = (1 << (2 * _ESCAPE_PART_BITS - 1)) - 1
"""Largest distance of a symbol from zero that can be coded at all."""


class SymbolEncoder:
    """Append symbols, then take the bytes."""

    def __init__(self) -> None:
        self._coder = stream.queue.RangeEncoder()

    def put(self, symbols: np.ndarray, table_idx: np.ndarray, tables: TableSet) -> None:
        """Code integers `symbols` with row `table_idx` of `tables`, both flat and of equal length."""
        order, runs = _by_table(table_idx)
        values = np.asarray(symbols)[order].astype(np.int32)
        escapes = []
        for table, run in runs:
            limit = int(tables.limits[table])
            entries = values[run]
            beyond = np.abs(entries) > limit
            if beyond.any():
                escapes.append(entries[beyond])
                entries = np.where(beyond, limit + 1, entries)
            self._coder.encode(entries + np.int32(limit), _model(tables, table))
        if escapes:
            escaped = _fold(np.concatenate(escapes).astype(np.int64))
            self.put_uniform(escaped >> _ESCAPE_PART_BITS, 1 << _ESCAPE_PART_BITS)
            self.put_uniform(escaped & ((1 << _ESCAPE_PART_BITS) - 1), 1 << _ESCAPE_PART_BITS)

    def put_uniform(self, values: np.ndarray, size: int) -> None:
        """Code integers 0 .. size - 1 that nothing is known about."""
        self._coder.encode(np.asarray(values, np.int32), stream.model.Uniform(size))

    def finish(self) -> bytes:
        """All symbols as bytes; trailing zero bytes are dropped, the decoder puts them back."""
        return self._coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


class SymbolDecoder:
    """Read symbols in the order they were put."""

    def __init__(self, payload: bytes) -> None:
        padded = payload + b"\0" * (-len(payload) % 4)
        self._coder = stream.queue.RangeDecoder(np.frombuffer(padded, "<u4").astype(np.uint32))

    def get(self, table_idx: np.ndarray, tables: TableSet) -> np.ndarray:
        """The symbols coded with rows `table_idx`. int64, flat

        Raises:
            ArchiveError: the bytes are no stream of such symbols.
        """
        order, runs = _by_table(table_idx)
        values = np.empty(len(order), np.int64)
        escapes = []
        for table, run in runs:
            limit = int(tables.limits[table])
            entries = self._decode(_model(tables, table), run.stop - run.start)
            values[run] = entries - limit
            escapes.append(np.flatnonzero(entries == 2 * limit + 1) + run.start)
        escaped = np.concatenate(escapes) if escapes else np.zeros(0, np.int64)
        if len(escaped):
            high = self.get_uniform(len(escaped), 1 << _ESCAPE_PART_BITS)
            low = self.get_uniform(len(escaped), 1 << _ESCAPE_PART_BITS)
            values[escaped] = _unfold((high << _ESCAPE_PART_BITS) | low)
        symbols = np.empty_like(values)
        symbols[order] = values
        return symbols

    def get_uniform(self, count: int, size: int) -> np.ndarray:
        """`count` integers 0 .. size - 1. int64"""
        return self._decode(stream.model.Uniform(size), count)

    def _decode(self, model: stream.model.Model, count: int) -> np.ndarray:
        try:
            return self._coder.decode(model, count).astype(np.int64)
        except (AssertionError, ValueError) as error:
            raise ArchiveError("a coded string does not decode to symbols: the archive is damaged") from error


def _by_table(table_idx: np.ndarray) -> tuple[np.ndarray, list[tuple[int, slice]]]:
    """Positions sorted by table, else in their order; and the tables used, ascending, each with its run of them."""
    table_idx = np.asarray(table_idx)
    if table_idx.size and int(table_idx.max()) < 1 << 16:
        table_idx = table_idx.astype(np.uint16)  # NumPy sorts 16 bits in one pass
    order = np.argsort(table_idx, kind="stable")
    counts = np.bincount(table_idx) if table_idx.size else np.zeros(0, np.int64)
    ends = np.cumsum(counts).tolist()
    used = np.flatnonzero(counts).tolist()
    return order, [(table, slice(ends[table] - int(counts[table]), ends[table])) for table in used]


@lru_cache(maxsize=2048)
def _model(tables: TableSet, table: int) -> stream.model.Model:
    return stream.model.Categorical(tables.probabilities(table), perfect=False)


def _fold(values: np.ndarray) -> np.ndarray:
    """Signed to unsigned: 0, -1, 1, -2, .. -> 0, 1, 2, 3, .."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _unfold(values: np.ndarray) -> np.ndarray:
    return np.where(values & 1, -(values + 1) // 2, values // 2)
