"""Colours as planes: right angles, whole numbers on the way back, every format of planes; turns that suit a picture."""

import numpy as np
import pytest

from nerfstudio_mvc.video.colour import (
    MAX_LEVELS,
    PlaneFormat,
    pack_format,
    planes_from_rgb,
    read_format,
    rgb_from_planes,
)
from nerfstudio_mvc.video.colour_axes import STRAIGHT, best_turn, turned_axes

TURNS = (STRAIGHT, (-40, 11, 5), (-127, 127, 90))


def floats(turn) -> np.ndarray:
    rows, divisor = turned_axes(turn)
    return np.array([[value / divisor for value in row] for row in rows])


@pytest.mark.parametrize("turn", TURNS)
def test_axes_are_at_right_angles_and_of_one_length(turn):
    # All planes' errors count alike, and add up to that of the colours.
    assert np.allclose(floats(turn) @ floats(turn).T, 3 * np.eye(3), atol=1e-5)


def test_without_a_turn_the_first_plane_is_grey():
    grey = np.full((4, 5, 3), 77, np.uint8)
    planes = planes_from_rgb(grey, PlaneFormat(1000, STRAIGHT))
    assert (planes[0] == round(77 * 1000 / 255)).all()
    assert (planes[1:] == 512).all()
    red = planes_from_rgb(np.full((1, 1, 3), (255, 0, 0), np.uint8), PlaneFormat(MAX_LEVELS, STRAIGHT))
    assert red[:, 0, 0].tolist() == [341, 512 + 418, 512 + 241]


@pytest.mark.parametrize("turn", [None, *TURNS[:2]])
@pytest.mark.parametrize("levels", [1023, 951])
def test_photographs_come_back(turn, levels):
    # Along turned axes ten bits do not hold all colours.
    pixels = np.random.default_rng(0).integers(60, 190, (30, 20, 3)).astype(np.uint8)
    form = PlaneFormat(levels, turn)
    assert np.array_equal(rgb_from_planes(planes_from_rgb(pixels, form), form), pixels)
    floats = planes_from_rgb(pixels.astype(np.float32) / 255, form)
    assert np.abs(planes_from_rgb(pixels, form).astype(int) - floats).max() <= 1  # halves may be rounded either way
    assert (planes_from_rgb(pixels, form) != floats).mean() < 0.01


def test_every_colour_comes_back_without_a_turn():
    corners = np.array(np.meshgrid(*3 * [[0, 1, 127, 254, 255]])).T.reshape(-1, 25, 3).astype(np.uint8)
    form = PlaneFormat(MAX_LEVELS, STRAIGHT)
    assert np.array_equal(rgb_from_planes(planes_from_rgb(corners, form), form), corners)


def exact(planes: np.ndarray, form: PlaneFormat) -> np.ndarray:
    y, b, r = planes[0] / form.levels, (planes[1] - 512.0) / form.levels, (planes[2] - 512.0) / form.levels
    if form.turn is None:
        red, blue = y + 2 * (1 - 0.2126) * r, y + 2 * (1 - 0.0722) * b
        green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
        return np.stack([red, green, blue], -1) * 255
    return np.einsum("phw,pc->hwc", np.stack([y, b, r]), floats(form.turn)) * 255


@pytest.mark.parametrize("turn", [None, *TURNS])
def test_colours_come_back_as_the_formula_says(turn):
    planes = np.random.default_rng(0).integers(0, 1024, (3, 40, 50)).astype(np.uint16)
    for levels in (1023, 951):
        form = PlaneFormat(levels, turn)
        expected = np.clip(exact(planes, form), 0, 255)
        assert np.abs(rgb_from_planes(planes, form) - expected).max() < 0.501  # half a level, and 2**-20 per factor


def test_extreme_planes_do_not_overflow():
    planes = np.zeros((3, 1, 4), np.uint16)
    planes[:, 0, 1:] = [[1023, 1023, 0], [1023, 0, 1023], [1023, 0, 1023]]
    expected = [[0, 255, 0], [255, 255, 255], [216, 255, 73], [255, 0, 255]]
    assert rgb_from_planes(planes, PlaneFormat(256, None))[0].tolist() == expected
    for turn in TURNS:
        form = PlaneFormat(256, turn)
        assert np.abs(rgb_from_planes(planes, form) - np.clip(exact(planes, form), 0, 255)).max() < 0.501


def test_formats_are_read_as_they_were_written():
    for form in (PlaneFormat(256, None), PlaneFormat(1023, STRAIGHT), PlaneFormat(700, (-127, 0, 127))):
        for mark in (False, True):
            assert read_format(pack_format(form, mark=mark) + b"rest") == (form, mark, b"rest")
    for damaged in (b"", b"\xff", b"\x00\x00", b"\xff\x20", b"\xff\x43\0\0"):
        assert read_format(damaged) is None


def coloured(axes: np.ndarray, sizes: tuple[float, ...]) -> np.ndarray:
    """Noise of three strengths along three axes."""
    noise = np.random.default_rng(0).normal(0, sizes, (120, 130, 3))
    return np.clip(np.rint(128 + noise @ axes), 0, 255).astype(np.uint8)


def test_the_turn_finds_the_axes_of_a_picture():
    turn = (40, 9, -14)
    axes = floats(turn) / np.sqrt(3)
    found = best_turn(coloured(axes, (30.0, 8.0, 3.0)))
    assert np.abs(np.array(found) - turn).max() <= 3
    # Signs, and which colour comes first, do not matter.
    flipped = best_turn(coloured(axes[[0, 2, 1]] * [[1], [-1], [1]], (30.0, 3.0, 8.0)))
    assert np.abs(np.array(flipped) - turn).max() <= 3


def test_no_turn_where_there_is_nothing_to_find_or_planes_would_not_hold_it():
    assert best_turn(np.full((5, 7, 3), 9, np.uint8)) == STRAIGHT
    assert best_turn(np.zeros((1, 1, 3), np.uint8)) == STRAIGHT
    mild = coloured(floats((40, 9, -14)) / np.sqrt(3), (30.0, 8.0, 3.0))
    corners = np.array(np.meshgrid(*3 * [[0, 255]])).T.reshape(2, 4, 3).astype(np.uint8)
    assert best_turn(mild, [mild]) == best_turn(mild) != STRAIGHT
    assert best_turn(mild, [mild, corners]) == STRAIGHT
    against = np.linalg.qr(np.array([[1.0, -0.6, 0.1], [0.3, 1.0, 0.2], [0.0, 0.0, 1.0]]).T)[0].T
    assert best_turn(coloured(against, (40.0, 5.0, 3.0))) == STRAIGHT
