"""Peers give back what they were given, in order, and nothing is hidden from their byte count."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.benchmarking.peers import make_peers
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.quality.psnr import psnr_db

ALL = ("jpeg", "webp", "avif", "avif-perceptual", "jxl")
HAS_JXL = importlib.util.find_spec("pillow_jxl") is not None


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    sizes = ((64, 48), (49, 33), (64, 48))
    coarse = (Image.fromarray(rng.integers(40, 216, (6, 8, 3), np.uint8)) for _ in sizes)
    return [np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image, size in zip(coarse, sizes, strict=True)]


@pytest.mark.parametrize("name", ALL)
def test_photographs_come_back_in_order_and_better_at_a_higher_setting(name, photographs) -> None:
    if name == "jxl" and not HAS_JXL:
        pytest.skip("pillow-jxl-plugin is not installed")
    (peer,) = make_peers([name], avif_speed=9)
    psnrs, sizes = [], []
    for setting in (40, 90):
        files = peer.encode(iter(photographs), setting)
        decoded = list(peer.decode(files))
        assert [image.shape for image in decoded] == [image.shape for image in photographs]
        psnrs.append([psnr_db(*pair) for pair in zip(photographs, decoded, strict=True)])
        sizes.append(sum(map(len, files)))
    assert min(psnrs[0]) > 22
    assert all(low < high for low, high in zip(*psnrs, strict=True))
    assert sizes[0] < sizes[1]


def test_jpeg_is_the_smaller_of_baseline_and_progressive_with_full_colour(photographs) -> None:
    (jpeg,) = make_peers(["jpeg"])
    sizes = []
    for progressive in (False, True):
        stream = io.BytesIO()
        Image.fromarray(photographs[0]).save(
            stream, "JPEG", quality=80, subsampling=0, optimize=True, progressive=progressive
        )
        sizes.append(len(stream.getvalue()))
    (file,) = jpeg.encode(photographs[:1], 80)
    assert len(file) == min(sizes)


@pytest.mark.parametrize("name", ["jpeg", "avif", "avif-perceptual"])
def test_colour_is_not_subsampled(name) -> None:
    # Columns of alternating colour and equal brightness: gone where chroma has half the width.
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 0::2], pixels[:, 1::2] = (200, 60, 60), (20, 136, 60)
    (peer,) = make_peers([name], avif_speed=9)
    (decoded,) = peer.decode(peer.encode([pixels], 95))
    assert psnr_db(pixels, decoded) > 30


def test_each_peer_once_and_unknown_ones_refused() -> None:
    assert [peer.name for peer in make_peers(["webp", "jpeg", "webp"])] == ["webp", "jpeg"]
    with pytest.raises(MvcError, match="give some of jpeg"):
        make_peers(["gif"])
    left_out: list[str] = []
    assert make_peers(["jxl"], on_missing=left_out.append) == (make_peers(["jxl"]) if HAS_JXL else ())
    assert len(left_out) == (not HAS_JXL)
    with pytest.raises(MvcError, match="out of range"):
        make_peers(["avif"], avif_speed=11)
