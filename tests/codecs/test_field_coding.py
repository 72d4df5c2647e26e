"""Integer fields: come back exactly, cost little where they are empty, refuse nonsense."""

import numpy as np
import pytest
from tiny_lmvic import tiny_codec

from nerfstudio_mvc.codecs.lmvic.field_coding import FIELD_LIMIT, field_bytes, get_field, put_field
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.errors import ArchiveError


@pytest.fixture(scope="module")
def tables():
    return tiny_codec().tables.latent


def round_trip(field, tables):
    encoder = SymbolEncoder()
    put_field(encoder, field, tables)
    return get_field(SymbolDecoder(encoder.finish()), len(field), field.shape[1:], tables)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (3, 9, 1), (2, 5, 8), (3, 12, 16)])
def test_fields_come_back_exactly(tables, shape):
    rng = np.random.default_rng(sum(shape))
    sparse = np.where(rng.random(shape) < 0.1, rng.integers(-9, 10, shape), 0)
    for field in (np.zeros(shape, np.int64), sparse, rng.integers(-FIELD_LIMIT, FIELD_LIMIT + 1, shape)):
        assert np.array_equal(round_trip(field, tables), field)


def test_a_channel_of_zeros_between_others_keeps_its_place(tables):
    field = np.zeros((3, 6, 6), np.int64)
    field[0], field[2, 3, 3] = 4, -7
    assert np.array_equal(round_trip(field, tables), field)


def test_smooth_and_empty_fields_are_small(tables):
    slope = np.add.outer(np.arange(32), np.arange(48))[None]
    noise = np.random.default_rng(0).permutation(slope.ravel()).reshape(slope.shape)
    assert field_bytes(np.zeros((2, 32, 48), np.int64), tables) <= 4
    assert field_bytes(slope, tables) * 10 < field_bytes(noise, tables)


def test_nonsense_is_refused_or_stays_in_range(tables):
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        payload = rng.integers(0, 256, int(rng.integers(0, 80)), np.uint8).tobytes()
        try:
            field = get_field(SymbolDecoder(payload), 2, (9, 13), tables)
        except ArchiveError:
            refused += 1
        else:
            assert np.abs(field).max() <= FIELD_LIMIT
    assert 0 < refused < 60
