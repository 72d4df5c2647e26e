"""Changes of light: found where they were made, applied as they were found, out of range refused."""

import numpy as np
import pytest
import torch
from tiny_lmvic import tiny_codec

from nerfstudio_mvc.codecs.lmvic.correction_strings import decode_light, encode_light
from nerfstudio_mvc.entropy.range_coder import SymbolEncoder
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.weighted_prediction import (
    GAIN_STEPS,
    LARGEST_CHANGE,
    OFFSET_STEPS,
    Photometric,
    fit_gain_and_offset,
)

HEIGHT, WIDTH = 96, 160


@pytest.fixture(scope="module")
def tables():
    return tiny_codec().tables.latent


@pytest.fixture(scope="module")
def picture():
    coarse = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    return torch.nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bilinear")


def darker(picture, gains, offsets):
    gain, offset = (torch.tensor(values)[:, None, None] for values in (gains, offsets))
    return picture + gain / GAIN_STEPS * (picture - 0.5) + offset / OFFSET_STEPS


def test_finds_the_gain_and_offset_that_were_applied_despite_outliers_and_holes(picture):
    gains, offsets = [6, -4, 0], [-12, 5, 20]
    x = darker(picture, gains, offsets)
    x[..., :20, :30] = 1 - x[..., :20, :30]  # something that moved
    warped, valid = picture.clone(), torch.ones(1, 1, HEIGHT, WIDTH)
    warped[..., 60:, :], valid[..., 60:, :] = 0, 0
    found = fit_gain_and_offset(Reference(warped, valid), x)
    assert np.abs(found[0] - gains).max() <= 1
    assert np.abs(found[1] - offsets).max() <= 1


def test_applied_change_of_the_right_reference_brings_it_to_the_view(picture):
    light = Photometric(np.array([[0, 0, 0], [8, 3, -5]]), np.array([[0, 0, 0], [-9, 2, 4]]))
    warped = Reference(picture, torch.ones(1, 1, HEIGHT, WIDTH))
    assert torch.equal(light.changed(warped, 0).picture, picture)
    expected = darker(picture, [8, 3, -5], [-9, 2, 4])
    torch.testing.assert_close(light.changed(warped, 1).picture, expected, atol=1e-6, rtol=0)


def test_strings_bring_it_back_and_say_how_little_it_is(tables):
    rng = np.random.default_rng(0)
    light = Photometric(rng.integers(-9, 10, (2, 3)), rng.integers(-30, 31, (2, 3)))
    back = decode_light(encode_light(light, tables), 2, tables=tables)
    for name in ("gains", "offsets"):
        assert np.array_equal(getattr(back, name), getattr(light, name))
    none = np.zeros((2, 3), np.int64)
    assert len(encode_light(Photometric(none, none), tables)) <= 4


def test_changes_out_of_range_are_refused(tables):
    encoder = SymbolEncoder()
    encoder.put_uniform(np.array([40]), len(tables))
    encoder.put(np.array([LARGEST_CHANGE + 1, 0, 0, 0, 0, 0]), np.full(6, 40), tables)
    with pytest.raises(ArchiveError, match="light"):
        decode_light(encoder.finish(), 1, tables=tables)
