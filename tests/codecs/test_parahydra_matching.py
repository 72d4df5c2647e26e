"""Matching and merging of decoded views: exact, the same in parts, and against slow loops."""

import numpy as np
import pytest
import torch

from nerfstudio_mvc.codecs.parahydra import matching
from nerfstudio_mvc.codecs.parahydra.coarse_match import MATCHES
from nerfstudio_mvc.codecs.parahydra.error_map import error_levels, own_error, read_levels, write_levels
from nerfstudio_mvc.codecs.parahydra.match_kernels import merge_rows, refine_rows
from nerfstudio_mvc.codecs.parahydra.matching import (
    closed_share,
    coarse_match,
    consistency,
    fine_match,
    pyramid,
    quarter_planes,
)
from nerfstudio_mvc.codecs.parahydra.merging import CLASSES, EDGES, AlignedSide, fitted_weights, merge, moved
from nerfstudio_mvc.errors import ArchiveError


def texture(height, width, seed=0):
    """A photograph of sorts: noise of three scales. uint8 [height, width, 3]"""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for scale in (2, 6, 16):
        noise = rng.normal(0, 30, (height // scale + 2, width // scale + 2, 3))
        total += np.kron(noise, np.ones((scale, scale, 1)))[:height, :width]
    smooth = sum(np.roll(total, (i, j), (0, 1)) for i in (0, 1) for j in (0, 1)) / 4
    return np.clip(smooth + 128, 0, 255).astype(np.uint8)


def shifted(dy, dx, size=(128, 192)):
    """Two cuts of one texture: what is at p in the first is at p + (dy, dx) in the second."""
    whole = texture(size[0] + 64, size[1] + 64)
    cut = [whole[32 - y : 32 - y + size[0], 32 - x : 32 - x + size[1]] for y, x in ((0, 0), (dy, dx))]
    return [np.ascontiguousarray(one) for one in cut]


def field_of(main, side):
    main, side = pyramid(main), pyramid(side)
    return fine_match(main, side, coarse_match(main, side), quarter_planes(side.levels[0]))


def test_what_was_moved_is_found_to_the_quarter_pixel():
    main, side = shifted(10, 24)
    field = field_of(main, side)
    assert (field[6:-6, 8:-8] == (40, 96)).all(-1).mean() > 0.99
    back = field_of(side, main)
    trust = consistency(field, back)
    assert (trust[8:-8, 8:-12] == 0).mean() > 0.95
    assert trust[:, -3:].min() == 2  # what has left the picture comes back to nowhere


def test_a_half_pixel_is_found():
    main, side = shifted(4, 8, size=(256, 384))
    half = [
        (
            np.add.reduce([one[i::2, j::2].astype(int) for i in (0, 1) for j in (0, 1)])[: 128 - 8, : 192 - 8] // 4
        ).astype(np.uint8)
        for one in (main, np.roll(side, 1, 1))
    ]
    field = field_of(*half)
    inner = field[6:-6, 6:-8]
    assert np.abs(np.median(inner[..., 1]) - 18) <= 1  # (8 + 1) / 2 pixels, in quarters
    assert np.median(inner[..., 0]) == 8


def test_a_picture_matches_itself_and_an_unrelated_one_does_not():
    main, unrelated = texture(96, 130), texture(96, 130, seed=1)
    assert not field_of(main, main).any()
    own, other = pyramid(main), pyramid(unrelated)
    assert closed_share(coarse_match(own, own), coarse_match(own, own)) == 1
    assert closed_share(coarse_match(own, other), coarse_match(other, own)) < 0.5
    trust = consistency(field_of(main, unrelated), field_of(unrelated, main))
    assert (trust == 0).mean() < 0.1


def test_threads_chunks_and_halved_pictures_find_the_same(monkeypatch):
    main, side = shifted(-6, 13)
    expected = field_of(main, side)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert np.array_equal(field_of(main, side), expected)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr(matching, "AT_ONCE", 7)
    assert np.array_equal(field_of(main, side), expected)
    # Large pictures are matched coarsely at half their size; inside the same is found.
    monkeypatch.setattr(matching, "COARSE_PIXELS", 10_000)
    halved = field_of(main, side)[6:-6, 6:-8]
    assert (halved == (-24, 52)).all(-1).mean() > 0.97


def test_rows_of_cells_do_not_hang_on_which_are_worked_on_together():
    main, side = shifted(3, -5)
    planes = np.ascontiguousarray(pyramid(side).levels[0])[None, None]
    luma = pyramid(main).levels[0]
    field = np.random.default_rng(0).integers(-6, 7, (32, 48, 2)).astype(np.int32)
    whole, parts = np.empty_like(field), np.empty_like(field)
    refine_rows(0, 32, luma, planes, 0, 6, 2, 12, field, whole)
    for first in range(0, 32, 5):
        refine_rows(first, min(first + 5, 32), luma, planes, 0, 6, 2, 12, field, parts)
    assert np.array_equal(whole, parts)


def test_moving_by_whole_pixels_is_a_copy_and_by_quarters_interpolates():
    pixels = texture(40, 56)
    field = np.zeros((12, 16, 2), np.int32)
    assert np.array_equal(moved(pixels, field), pixels)
    field[:] = (8, -12)
    inner = (slice(8, 32), slice(8, 48))
    assert np.array_equal(moved(pixels, field)[inner], np.roll(pixels, (-2, 3), (0, 1))[inner])
    ramp = np.broadcast_to(np.arange(56, dtype=np.uint8)[None, :, None] * 4, (40, 56, 3)).copy()
    field[:] = (0, 1)
    assert np.array_equal(moved(ramp, field)[inner], ramp[inner] + 1)


def slow_merge(main, side, trust, unit, weights):
    """One side, with loops over pixels and rational comparisons."""
    shown = main.copy()
    height, width = main.shape[:2]
    squares = np.square(main.astype(np.int64) - side).sum(-1)
    for y in range(height):
        for x in range(width):
            window = squares[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
            ratio = window.sum() * 65536
            own = int(unit[y // 8, x // 8]) * 3 * window.size
            step = sum(ratio >= own * round(edge * edge * 256) for edge in EDGES)
            weight = weights[trust[y // 4, x // 4] * (len(EDGES) + 1) + step]
            apart = side[y, x].astype(int) - main[y, x]
            shown[y, x] = np.clip((main[y, x].astype(int) * 256 + weight * apart + 128) >> 8, 0, 255)
    return shown


def merge_inputs(height=37, width=53):
    rng = np.random.default_rng(2)
    main = texture(height, width)
    noise = rng.normal(0, 1, (2, height, width, 3)) * np.linspace(0, 30, width)[:, None]
    sides = np.clip(main + noise, 0, 255).astype(np.uint8)
    trust = rng.integers(0, 3, (2, -(-height // 4) + 1, -(-width // 4) + 1)).astype(np.uint8)
    return main, sides, trust, np.array([[4, 6]], np.uint8)


def test_merging_equals_slow_loops_and_parts_equal_the_whole():
    main, sides, trust, levels = merge_inputs()
    weights = np.random.default_rng(3).integers(0, 200, (2, CLASSES)).astype(np.int32)
    unit = own_error(levels[:, :1], main.shape[:2])
    found = merge(main, levels[:, :1], [AlignedSide(sides[0], trust[0])], weights=weights[:1]).pixels
    assert np.array_equal(found, slow_merge(main, sides[0], trust[0], unit, weights[0]))
    edges = np.rint(np.square(EDGES) * 256).astype(np.int32)
    whole = merge(main, levels[:, :1], [AlignedSide(*pair) for pair in zip(sides, trust, strict=True)], weights=weights)
    pixels, classes = np.empty_like(main), np.empty((2, *main.shape[:2]), np.uint8)
    for first in range(0, 37, 6):
        merge_rows(first, min(first + 6, 37), main, sides, trust, unit, edges, weights, 4, pixels, classes)
    assert np.array_equal(pixels, whole.pixels)
    assert np.array_equal(classes, whole.classes)
    assert len(np.unique(classes)) > 15


def test_fitted_weights_take_what_agrees_and_leave_what_does_not():
    weights = fitted_weights()
    steps = len(EDGES) + 1
    assert weights.shape == (3, 2, 2, CLASSES)
    assert weights.min() >= 0
    assert weights.max() <= 256
    for count in range(2):
        # A picture is a mean of itself and its sides, and mostly itself.
        assert (weights[:, count].sum(1).max(1) <= 330).all()
        assert not weights[:, count, count + 1 :].any()
    closed = weights[:, 0, 0, :steps]
    assert (closed[:, 2] > 40).all()
    assert (closed[:, -1] < 0.25 * closed[:, 2]).all()
    assert (weights[:, 0, 0, 2 * steps - 1 :: steps] < 40).all()


def test_no_sides_and_far_sides_change_nothing():
    main, _, trust, levels = merge_inputs()
    assert np.array_equal(merge(main, levels[:, :1], []).pixels, main)
    opposite = AlignedSide(255 - main, np.full_like(trust[0], 2))
    change = merge(main, np.full((1, 1), 6, np.uint8), [opposite]).pixels.astype(int) - main
    assert np.abs(change).mean() < 1


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 200), (300, 129)])
def test_error_maps_come_back_and_are_small(size):
    rng = np.random.default_rng(0)
    pixels = texture(*size)
    noisy = np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)
    levels = error_levels(pixels, noisy)
    assert np.array_equal(read_levels(write_levels(levels), size), levels)
    if levels.size > 1:
        assert abs(int(np.median(levels)) - round(np.log2(4 * 25))) <= 1
    assert len(write_levels(levels)) <= 4 + levels.size
    unit = own_error(levels, size)
    assert unit.shape == (-(-size[0] // 8), -(-size[1] // 8))
    assert unit.min() >= 64 << int(levels.min())
    assert unit.max() <= 64 << int(levels.max())


def test_error_maps_out_of_range_are_refused():
    with pytest.raises(ArchiveError):
        read_levels(write_levels(np.full((2, 3), 9, np.uint8))[:1] + b"\xfe\xdc\xba", (600, 3000))


def test_error_of_whole_pictures_is_that_of_their_blocks():
    pixels = texture(64, 128)
    shown = pixels.copy()
    shown[:, 64:] = np.clip(shown[:, 64:].astype(int) + 8, 0, 255)
    levels = error_levels(pixels, shown)
    assert levels[0, 0] == 0
    assert levels[0, 1] == 8  # a mean square of 64


@pytest.mark.parametrize("name", MATCHES)
@pytest.mark.parametrize("shift", [(0, 24), (8, 0), (8, 24), (16, 24)])
def test_each_coarse_match_finds_the_shifts_that_it_can(name, shift):
    main, side = map(pyramid, shifted(*shift))
    found = MATCHES[name](main, side)
    share = (found[2:-3, 1:-3] * 4 == shift).all(-1).mean()
    if name in ("HPA", "VPA"):
        kept = 0 if name == "HPA" else 1
        assert not found[..., kept].any()
        assert share == (0 if shift[kept] else 1)
    elif name == "OPAM" and shift[0]:
        # Rows are compared with rows that show something else: only where that still resembles it is the column right.
        assert share > 0.6 if shift[0] == 8 else share < 0.2
    else:
        assert share > 0.95
