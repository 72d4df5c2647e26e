"""What shipped weights write for a photograph: as many bytes as the tables say, about as many as training believes."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_captures import SAMPLE

from nerfstudio_mvc.codecs.lmvic.learned.block_modes import mode_likelihoods
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder, Symbols
from nerfstudio_mvc.codecs.lmvic.learned.row_shifts import best_shifts, put_shifts
from nerfstudio_mvc.entropy.range_coder import SymbolEncoder
from nerfstudio_mvc.entropy.rate import logistic_bits
from nerfstudio_mvc.entropy.scale_network import scale_of_table
from nerfstudio_mvc.weights.store import open_codec

ESCAPE_BITS = 24


@pytest.fixture(scope="module")
def images() -> ImageCoder:
    return open_codec("lmvic").images


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    with Image.open(sorted((SAMPLE / "images").iterdir())[0]) as image:
        pixels = np.asarray(image.convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def table_bits(images: ImageCoder, symbols: Symbols, *, quality: int) -> float:
    """Entropy of z, modes and y in their tables, escapes included; shifts of rows as they are coded."""
    latent, hyper = images.tables.latent, images.tables.hyper
    y, rows, z = (part[0].to(torch.int64).numpy() for part in (symbols.y, symbols.rows, symbols.z))
    shifts = best_shifts(y, rows, latent)
    moved = shifts.apply(rows)
    bits = latent.bits(y[rows > 0], moved[rows > 0])
    bits += ESCAPE_BITS * (np.abs(y) > latent.limits[moved])[rows > 0].sum()
    of_channel = (quality - 1) * len(z) + np.arange(len(z))[:, None, None]
    bits += hyper.bits(z.ravel(), np.broadcast_to(of_channel, z.shape).ravel())
    encoder = SymbolEncoder()
    put_shifts(encoder, shifts, latent)
    return bits + mode_bits(symbols) + 8 * len(encoder.finish())


def mode_bits(symbols: Symbols) -> float:
    return -float(np.log2(mode_likelihoods(symbols.modes.codes()[0, 0])).sum())


@pytest.mark.parametrize("quality", [2, 5])
def test_the_coder_adds_less_than_a_thousandth_to_the_entropy_of_its_tables(images, photograph, quality):
    payload, _ = images.encode(photograph, None, quality=quality)
    entropy = table_bits(images, images.symbols_of(photograph, None, quality=quality), quality=quality)
    # Shifts coded alone end in a word of their own; so does the string.
    assert abs(8 * len(payload) - entropy) < 0.001 * entropy + 64


@pytest.mark.parametrize("quality", [2, 5])
def test_bytes_are_what_training_estimates_for_the_same_symbols(images, photograph, quality):
    payload, _ = images.encode(photograph, None, quality=quality)
    symbols = images.symbols_of(photograph, None, quality=quality)
    level = torch.tensor(float(quality))
    model = images.model
    scale_z = torch.exp(model.at_quality(model.z_log_scale, level))
    center_z = model.at_quality(model.z_center, level)
    coded = symbols.rows > 0
    estimate = logistic_bits(symbols.y, scale_of_table(symbols.rows))[coded].sum()
    estimate = float(estimate + logistic_bits(symbols.z - center_z, scale_z).sum()) + mode_bits(symbols)
    # Counted tables and shifted rows are worth a little, saying the shifts costs a little; of a whole photograph.
    assert abs(8 * len(payload) - estimate) < 0.01 * estimate
