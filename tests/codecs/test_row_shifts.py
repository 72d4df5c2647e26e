"""Row shifts: found where a picture is louder than the network expects, coded, and refused when impossible."""

import numpy as np
import pytest

from nerfstudio_mvc.codecs.lmvic.learned.row_shifts import RowShifts, best_shifts, block_grid, get_shifts, put_shifts
from nerfstudio_mvc.entropy.plain_tables import plain_latent_tables
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.errors import ArchiveError

TABLES = plain_latent_tables()
SCALES = 0.03 * np.exp(np.arange(64) * np.log(160 / 0.03) / 63)


def picture(channels=72, height=45, width=38):
    """Every channel believes in row 25; channel 3 is eight rows louder, and so is the lower right part."""
    rows = np.full((channels, height, width), 25)
    truth = rows.copy()
    truth[3] += 8
    truth[:, 8:12, 12:16] += 8
    symbols = np.round(np.random.default_rng(0).logistic(0, SCALES[truth])).astype(np.int64)
    return symbols, rows, truth


def bits(symbols, rows):
    return TABLES.bits(symbols.ravel(), rows.ravel())


def test_finds_the_loud_channel_and_the_loud_part_and_pays():
    symbols, rows, truth = picture()
    shifts = best_shifts(symbols, rows, TABLES)
    assert 5 <= shifts.channels[3] <= 11
    assert 5 <= shifts.blocks[2, 3] <= 11
    assert np.abs(np.delete(shifts.channels, 3)).max() <= 4
    saved, possible = (
        bits(symbols, rows) - bits(symbols, shifts.apply(rows)),
        bits(symbols, rows) - bits(symbols, truth),
    )
    assert saved > 0.6 * possible > 0


def test_rows_that_are_not_coded_stay_so_and_others_stay_in_range():
    rows = np.array([[[0, 1, 63, 30]]])
    moved = RowShifts(np.array([-12]), np.array([[-12]])).apply(rows)
    assert moved.tolist() == [[[0, 1, 39, 6]]]
    assert RowShifts(np.array([12]), np.array([[12]])).apply(rows).tolist() == [[[0, 25, 63, 54]]]


def test_shifts_come_back_and_foreign_bytes_are_refused():
    symbols, rows, _ = picture()
    shifts = best_shifts(symbols, rows, TABLES)
    encoder = SymbolEncoder()
    put_shifts(encoder, shifts, TABLES)
    grid = block_grid(*rows.shape[1:])
    again = get_shifts(SymbolDecoder(encoder.finish()), 72, grid, TABLES)
    assert np.array_equal(again.channels, shifts.channels)
    assert np.array_equal(again.blocks, shifts.blocks)
    with pytest.raises(ArchiveError):
        get_shifts(SymbolDecoder(b"\xff" * 200), 72, grid, TABLES)
