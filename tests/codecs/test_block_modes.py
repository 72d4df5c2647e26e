"""Maps of block modes: come back exactly, cost little where they are uniform or clustered, never decode to nonsense."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nerfstudio_mvc.codecs.lmvic.learned.block_modes import KEPT, SPLIT, WHOLE, get_modes, mode_likelihoods, put_modes
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.errors import ArchiveError, ShapeError

SIZES = [(1, 1), (1, 2), (1, 5), (5, 1), (2, 2), (3, 7), (16, 17), (42, 63), (61, 20)]


def clustered(size, *, split=0.35, kept=0.0, blob=1.5, stray=0.0, seed=0):
    """Blobs of SPLIT and KEPT of about these shares; a share `stray` of positions is drawn regardless of the place."""
    rng = np.random.default_rng(seed)
    for_split, for_kept = (gaussian_filter(rng.standard_normal(size), blob) for _ in range(2))
    modes = np.where(for_split <= np.quantile(for_split, split / (1 - kept)), SPLIT, WHOLE)
    if kept:
        modes[for_kept <= np.quantile(for_kept, kept)] = KEPT
    drawn = rng.choice(3, size, p=[1 - split - kept, split, kept])
    return np.where(rng.random(size) < stray, drawn, modes)


def encoded(modes):
    encoder = SymbolEncoder()
    put_modes(encoder, modes)
    return encoder.finish()


def entropy_bytes(modes):
    share = np.bincount(modes.ravel()) / modes.size
    share = share[share > 0]
    return -modes.size * float(share @ np.log2(share)) / 8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kept", [0, 0.3])
def test_maps_come_back_exactly_and_leave_the_string_where_they_ended(size, kept):
    rng = np.random.default_rng(0)
    maps = [np.full(size, mode) for mode in (WHOLE, SPLIT, KEPT)]
    maps += [rng.integers(0, 3 if kept else 2, size) for _ in range(4)]
    maps += [clustered(size, kept=kept, blob=2.5, stray=0.05, seed=seed) for seed in range(4)]
    encoder = SymbolEncoder()
    for modes in maps:
        put_modes(encoder, modes)
        encoder.put_uniform(np.array([77]), 100)
    decoder = SymbolDecoder(encoder.finish())
    for modes in maps:
        again = get_modes(decoder, size)
        assert again.dtype == np.int64
        assert np.array_equal(again, modes)
        assert decoder.get_uniform(1, 100)[0] == 77


@pytest.mark.parametrize("pair", [(WHOLE, SPLIT), (WHOLE, KEPT), (SPLIT, KEPT)])
def test_a_mode_that_never_occurs_costs_nothing(pair):
    drawn = clustered((42, 63), stray=0.1)
    modes = np.array(pair)[drawn]
    assert np.array_equal(get_modes(SymbolDecoder(encoded(modes)), modes.shape), modes)
    assert abs(len(encoded(modes)) - len(encoded(drawn))) <= 4


def test_the_largest_map_comes_back():
    modes = clustered((190, 250), kept=0.3, stray=0.1)
    assert np.array_equal(get_modes(SymbolDecoder(encoded(modes)), modes.shape), modes)


@pytest.mark.parametrize("kept", [0, 0.3])
def test_likelihoods_are_what_a_map_costs(kept):
    maps = [clustered((42, 63), kept=kept, stray=0.1, seed=seed) for seed in range(4)]
    encoder = SymbolEncoder()
    for modes in maps:
        put_modes(encoder, modes)
    bits = -sum(np.log2(mode_likelihoods(modes)).sum() for modes in maps)
    assert abs(8 * len(encoder.finish()) - bits) < 0.001 * bits + 32


@pytest.mark.parametrize("mode", [WHOLE, SPLIT, KEPT])
def test_a_map_of_a_single_mode_costs_three_bits(mode):
    encoder = SymbolEncoder()
    for _ in range(64):
        put_modes(encoder, np.full((42, 63), mode))
    assert 8 * len(encoder.finish()) <= 64 * 3 + 32  # strings are whole words of 32 bits


def test_single_strays_in_a_uniform_map_cost_little():
    modes = np.full((42, 63), WHOLE)
    modes[11, 20], modes[30, 41] = SPLIT, KEPT
    assert len(encoded(modes)) <= 12


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(("blob", "stray", "share"), [(1.0, 0.0, 0.7), (1.5, 0.1, 0.7), (4.0, 0.02, 0.3)])
def test_clustered_maps_cost_clearly_less_than_their_entropy(kept, blob, stray, share):
    maps = [clustered((42, 63), kept=kept, blob=blob, stray=stray, seed=seed) for seed in range(4)]
    assert sum(len(encoded(modes)) for modes in maps) < share * sum(map(entropy_bytes, maps))


@pytest.mark.parametrize(
    ("share", "more"), [([0.65, 0.35], 1.035), ([0.7, 0.0, 0.3], 1.035), ([0.35, 0.35, 0.3], 1.055)]
)
def test_maps_without_any_order_cost_hardly_more_than_their_entropy(share, more):
    maps = [np.random.default_rng(seed).choice(len(share), (42, 63), p=share) for seed in range(4)]
    assert sum(len(encoded(modes)) for modes in maps) < more * sum(map(entropy_bytes, maps))


def test_a_checkerboard_is_learnt():
    """Up to the last scan all cells are alike, then all are the opposite: what was found earlier must wear off."""
    board = np.add.outer(np.arange(42), np.arange(63)) % 2
    assert len(encoded(board)) < 0.3 * entropy_bytes(board)


@pytest.mark.parametrize("kept", [0, 0.3])
def test_damaged_bytes_are_refused_or_stay_in_range(kept):
    rng = np.random.default_rng(2)
    modes = clustered((21, 32), kept=kept, stray=0.1)
    good = encoded(modes)
    damaged = [good[:length] for length in range(0, len(good), 5)]
    damaged += [rng.integers(0, 256, int(rng.integers(0, 90)), np.uint8).tobytes() for _ in range(25)]
    for at in range(0, len(good), 3):
        flipped = bytearray(good)
        flipped[at] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for payload in damaged:
        try:
            again = get_modes(SymbolDecoder(payload), modes.shape)
        except ArchiveError:
            continue
        assert again.shape == modes.shape
        assert set(np.unique(again)) <= {WHOLE, SPLIT, KEPT}


def test_a_mode_that_was_said_not_to_occur_is_refused():
    encoder = SymbolEncoder()
    encoder.put_uniform(np.array([(1 << SPLIT) + (1 << KEPT) - 1]), 7)
    encoder.put_uniform(np.zeros(40, int), 1 << 12)  # what follows reads as the first entry of every table: WHOLE
    with pytest.raises(ArchiveError, match="impossible block modes"):
        get_modes(SymbolDecoder(encoder.finish()), (9, 13))


def test_an_escape_is_refused():
    with pytest.raises(ArchiveError, match="archive is damaged"):
        get_modes(SymbolDecoder(b"\xff" * 400), (9, 13))


@pytest.mark.parametrize("modes", [np.full((3, 4), 3), np.full((3, 4), -1), np.zeros(5, int), np.zeros((0, 3), int)])
def test_what_is_no_map_of_modes_is_not_coded(modes):
    with pytest.raises(ShapeError, match="from 0 to 2"):
        put_modes(SymbolEncoder(), modes)
