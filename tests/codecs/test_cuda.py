"""CUDA and the CPU read the same symbols, and what one has coded the other shows, but for roundings."""

import numpy as np
import pytest
import tiny_lmvic
import tiny_paper
import torch
from PIL import Image
from small_captures import SAMPLE

from nerfstudio_mvc.entropy.latent_coding import quality_level, read_latent
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.weights.store import open_codec

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ("cpu", "cuda")


def photograph(size=(192, 256)) -> np.ndarray:
    path = sorted((SAMPLE / "images").iterdir())[0]
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[100 : 100 + size[0], 200 : 200 + size[1]].copy()


def assert_alike(one: np.ndarray, other: np.ndarray) -> None:
    """But for pixels that lie between two grey levels."""
    difference = np.abs(one.astype(int) - other)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("quality", [1.0, 5.0, 8.0])
def test_the_shipped_model_reads_the_same_symbols(quality):
    pixels = photograph()
    coders = {device: open_codec("lmvic", device=device).images for device in DEVICES}
    for writer in DEVICES:
        x = to_picture(pixels, writer)
        payload, _ = coders[writer].encode(x, None, quality=quality)
        found = [coders[reader].read_symbols(payload, pixels.shape[:2], quality=quality) for reader in DEVICES]
        assert torch.equal(found[0].y, found[1].y.cpu())
        assert torch.equal(found[0].z, found[1].z.cpu())
        assert torch.equal(found[0].rows, found[1].rows.cpu())


@pytest.mark.parametrize("tiny", [tiny_lmvic, tiny_paper])
def test_each_decodes_what_the_other_coded(tiny):
    sources = tiny_lmvic.plane_views(3)
    views = [source.view for source in sources]
    codecs = {device: tiny.tiny_codec(device=device) for device in DEVICES}
    for writer in DEVICES:
        encoded = codecs[writer].encode_group(0, sources, quality=5.0)
        for reader in DEVICES:
            decoded = codecs[reader].decode_group(encoded.coded, views, quality=5.0)
            for view_idx, pixels in decoded.items():
                assert_alike(pixels, encoded.reconstructions[view_idx])


def test_the_paper_preset_reads_the_same_symbols():
    sources = tiny_lmvic.plane_views(2)
    payload = tiny_paper.tiny_codec().encode_group(0, sources, quality=5.0).coded.views[1].substreams[-1].payload
    found = []
    for device in DEVICES:
        model = tiny_paper.tiny_codec(device=device).model
        level = quality_level(5.0, device)
        found.append(read_latent(payload, model.image_entropy, model.tables.image, level=level, size=(5, 7)))
    assert torch.equal(found[0].y, found[1].y.cpu())
    assert torch.equal(found[0].rows, found[1].rows.cpu())
