"""Symbols to bytes and back: what comes back, what it costs, what damaged bytes do."""

import numpy as np
import pytest

from nerfstudio_mvc.entropy.range_coder import ESCAPE_LIMIT, SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import logistic_limit, tables_from_histograms
from nerfstudio_mvc.errors import ArchiveError

SCALES = 0.03 * np.exp(np.arange(64) * np.log(160 / 0.03) / 63)


@pytest.fixture(scope="module")
def tables():
    return tables_from_histograms(SCALES, [np.zeros(2 * logistic_limit(scale) + 2, np.int64) for scale in SCALES])


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 50, count)
    return np.round(rng.logistic(0, SCALES[rows])).astype(np.int64), rows


def encode(tables, *runs):
    encoder = SymbolEncoder()
    for symbols, rows in runs:
        encoder.put(symbols, rows, tables)
    return encoder.finish()


def test_several_runs_come_back_in_order(tables):
    runs = [draw(1000, 0), draw(1, 1), (np.zeros(0, np.int64), np.zeros(0, np.int64)), draw(500, 2)]
    decoder = SymbolDecoder(encode(tables, *runs))
    for symbols, rows in runs:
        assert np.array_equal(decoder.get(rows, tables), symbols)


def test_symbols_beyond_their_table_escape(tables):
    symbols = np.array([0, 7, -ESCAPE_LIMIT, ESCAPE_LIMIT, -3, 10_000, -1])
    rows = np.array([1, 1, 1, 63, 1, 63, 1])
    payload = encode(tables, (symbols, rows))
    assert np.array_equal(SymbolDecoder(payload).get(rows, tables), symbols)


def test_coder_stays_within_a_thousandth_of_the_tables_entropy(tables):
    symbols, rows = draw(200_000)
    assert len(encode(tables, (symbols, rows))) <= tables.bits(symbols, rows) / 8 * 1.001 + 4


def test_trailing_zero_bytes_need_not_be_stored(tables):
    for seed in range(300):
        symbols, rows = draw(3, seed)
        payload = encode(tables, (symbols, rows))
        assert not payload.endswith(b"\0")
        assert np.array_equal(SymbolDecoder(payload).get(rows, tables), symbols)


def test_random_bytes_end_in_values_or_an_archive_error(tables):
    _, rows = draw(300)
    rng = np.random.default_rng(0)
    for length in (0, 1, 7, 64, 300):
        for _ in range(20):
            try:
                symbols = SymbolDecoder(rng.bytes(length)).get(rows, tables)
            except ArchiveError:
                continue
            assert symbols.shape == rows.shape
