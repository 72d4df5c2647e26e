"""Symbols and table rows to bytes and back; the only caller of constriction.

Symbols of one table are coded together: the coder then builds each table once per call and runs several times faster
than with a table per symbol. The decoder knows all rows of a call before it starts, so it forms the same order.
"""

from __future__ import annotations

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
        symbols = np.asarray(symbols, np.int64)
        escapes = []
        for table, chosen in _by_table(table_idx):
            limit = int(tables.limits[table])
            values = symbols[chosen]
            beyond = np.abs(values) > limit
            entries = np.where(beyond, 2 * limit + 1, values + limit).astype(np.int32)
            self._coder.encode(entries, stream.model.Categorical(tables.probabilities(table), perfect=False))
            escapes.append(values[beyond])
        escaped = np.concatenate(escapes) if escapes else np.zeros(0, np.int64)
        if len(escaped):
            self.put_uniform(_fold(escaped) >> _ESCAPE_PART_BITS, 1 << _ESCAPE_PART_BITS)
            self.put_uniform(_fold(escaped) & ((1 << _ESCAPE_PART_BITS) - 1), 1 << _ESCAPE_PART_BITS)

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
        symbols = np.zeros(len(table_idx), np.int64)
        escapes = []
        for table, chosen in _by_table(table_idx):
            limit = int(tables.limits[table])
            model = stream.model.Categorical(tables.probabilities(table), perfect=False)
            entries = self._decode(model, len(chosen))
            symbols[chosen] = entries - limit
            escapes.append(chosen[entries == 2 * limit + 1])
        escaped = np.concatenate(escapes) if escapes else np.zeros(0, np.int64)
        if len(escaped):
            high = self.get_uniform(len(escaped), 1 << _ESCAPE_PART_BITS)
            low = self.get_uniform(len(escaped), 1 << _ESCAPE_PART_BITS)
            symbols[escaped] = _unfold((high << _ESCAPE_PART_BITS) | low)
        return symbols

    def get_uniform(self, count: int, size: int) -> np.ndarray:
        """`count` integers 0 .. size - 1. int64"""
        return self._decode(stream.model.Uniform(size), count)

    def _decode(self, model: stream.model.Model, count: int) -> np.ndarray:
        try:
            return self._coder.decode(model, count).astype(np.int64)
        except (AssertionError, ValueError) as error:
            raise ArchiveError("a coded string does not decode to symbols: the archive is damaged") from error


def _by_table(table_idx: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(table, positions that use it), tables ascending, positions in their order."""
    table_idx = np.asarray(table_idx)
    order = np.argsort(table_idx, kind="stable")
    used, starts = np.unique(table_idx[order], return_index=True)
    return list(zip(used.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else []


def _fold(values: np.ndarray) -> np.ndarray:
    """Signed to unsigned: 0, -1, 1, -2, .. -> 0, 1, 2, 3, .."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _unfold(values: np.ndarray) -> np.ndarray:
    return np.where(values & 1, -(values + 1) // 2, values // 2)
