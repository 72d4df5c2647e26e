"""Peers are compared at equal PSNR, not at equal settings."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.benchmarking.still_codecs import STILL_CODECS, bytes_at_psnr
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.quality.psnr import psnr_db


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 216, (2, 12, 16, 3), np.uint8)
    smooth = [np.asarray(Image.fromarray(image).resize((128, 96), Image.Resampling.BICUBIC)) for image in coarse]
    return [np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8) for image in smooth]


def mean_psnr_db(codec, photographs, quality: int) -> tuple[int, float]:
    files = [codec.encode(pixels, quality) for pixels in photographs]
    decoded = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    psnrs = [psnr_db(a, b) for a, b in zip(decoded, photographs, strict=True)]
    return sum(map(len, files)), float(np.mean(psnrs))


@pytest.mark.parametrize("codec", STILL_CODECS, ids=lambda codec: codec.name)
def test_bytes_at_the_psnr_of_a_setting_are_the_bytes_of_that_setting(codec, photographs) -> None:
    total_bytes, reached_db = mean_psnr_db(codec, photographs, 60)
    assert bytes_at_psnr(photographs, codec, reached_db) == pytest.approx(total_bytes, rel=0.02)


def test_more_psnr_costs_more_bytes(photographs) -> None:
    jpeg = STILL_CODECS[0]
    costs = [bytes_at_psnr(photographs, jpeg, target_db) for target_db in (29.0, 29.3, 32.0)]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3


def test_out_of_reach_is_said(photographs) -> None:
    with pytest.raises(MvcError, match="outside"):
        bytes_at_psnr(photographs, STILL_CODECS[0], 99.0)
