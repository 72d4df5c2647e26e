"""Errors in bits: those of positions add up to that of the picture; modes are only taken where they pay."""

import pytest
import torch
from test_four_step_walk import QUALITY, picture_and_reference
from tiny_lmvic import tiny_codec

from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import error_bits, position_error_bits, rd_lambda_of


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 50), (7, 5)])
def test_errors_of_positions_add_up(height, width):
    chance = torch.Generator().manual_seed(0)
    x, picture = (torch.rand(1, 3, height, width, generator=chance) for _ in range(2))
    parts = position_error_bits(x, picture, rd_lambda=0.05)
    assert parts.shape == (-(-height // 16), -(-width // 16))
    assert float(parts.sum()) == pytest.approx(error_bits(x, picture, rd_lambda=0.05), rel=1e-4)
    first = (slice(None), slice(None), slice(0, 16), slice(0, 16))
    assert float(parts[0, 0]) == pytest.approx(error_bits(x[first], picture[first], rd_lambda=0.05), rel=1e-4)


def test_keeping_a_reference_never_costs():
    images = tiny_codec().images
    x, reference = picture_and_reference(112, 144)
    rd_lambda = rd_lambda_of(images.model.config.rd_lambdas, QUALITY)
    costs = []
    for keep in (True, False):
        coder = ImageCoder(images.model, images.tables, keep_references=keep)
        payload, shown = coder.encode(x, reference, quality=QUALITY)
        costs.append(8 * len(payload) + error_bits(x, shown, rd_lambda=rd_lambda))
    assert costs[0] < 0.98 * costs[1]
