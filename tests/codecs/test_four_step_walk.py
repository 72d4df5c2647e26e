"""The walk of the four steps against the networks as training runs them: same rows, same symbols, same means."""

import pytest
import torch
from tiny_lmvic import tiny_codec

from nerfstudio_mvc.codecs.lmvic.learned.four_step_walk import StepCells, group_slices, grouped_channels
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ERROR_WORTH, SPLIT_BITS, ModeMaps
from nerfstudio_mvc.entropy.partitions import STEPS, step_cells, tile_cells
from nerfstudio_mvc.entropy.quality_points import nearest_quality, quality_weights
from nerfstudio_mvc.entropy.rate import logistic_bits
from nerfstudio_mvc.entropy.scale_network import scale_of_table
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers import pixel_major
from nerfstudio_mvc.prediction.reference import Reference

QUALITY = 4.25


@pytest.fixture(scope="module")
def images() -> ImageCoder:
    return tiny_codec().images


def picture_and_reference(height, width) -> tuple[torch.Tensor, Reference]:
    chance = torch.Generator().manual_seed(3)
    x = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7, generator=chance), size=(height, width), mode="bicubic")
    x = (x + 0.1 * torch.rand(x.shape, generator=chance)).clamp(0, 1)
    shown = (torch.rand(1, 1, height, width, generator=chance) < 0.9).float()
    noise = 0.05 * torch.randn(x.shape, generator=chance)
    # On the right the reference is all that one could wish for.
    shown[..., width // 2 :] = 1
    noise[..., width // 2 :] *= 0.02
    return x, Reference((x + noise).clamp(0, 1) * shown, shown)


def rows_of(model, symbols, *, quality) -> torch.Tensor:
    """Rows that training's networks choose for given symbols."""
    size = symbols.y.shape[-2:]
    hyper = model.scales.hyper_features(symbols.z, quality_point=nearest_quality(quality))[..., : size[0], : size[1]]
    known, rows = torch.zeros_like(symbols.y), torch.zeros_like(symbols.y)
    for step in range(STEPS):
        now = tile_cells(model.cells[step], *size)[None]
        features = model.scales.context_features(symbols.y.abs() * known, step, symbols.modes)
        rows += model.scales.table_rows(hyper, features, quality_weights(quality), symbols.modes) * now
        known += now
    return rows


@pytest.mark.parametrize("channels", [8, 56, 10])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 1)])
def test_steps_take_the_cells_of_the_partition(channels, height, width):
    order = grouped_channels(channels)
    assert [part.stop - part.start for part in group_slices(channels)] == [len(range(g, channels, 4)) for g in range(4)]
    cells, step_of = StepCells(channels), torch.full((height, width, channels), -1.0)
    for step in range(STEPS):
        blocks = cells.take(step_of, step)
        cells.put(step_of, step, [torch.full_like(block, step) for block in blocks])
    for step in range(STEPS):
        expected = tile_cells(step_cells(channels)[step], height, width).permute(1, 2, 0)[..., order]
        assert torch.equal(step_of == step, expected)


@pytest.mark.parametrize("with_reference", [False, True])
def test_rows_and_symbols_are_those_of_training(images, with_reference):
    model = images.model
    x, reference = picture_and_reference(112, 144)
    reference = reference if with_reference else None
    symbols = images.symbols_of(x, reference, quality=QUALITY)
    quality = torch.tensor(QUALITY)
    with torch.no_grad():
        expected = model.code(x, reference, quality=quality, modes=symbols.modes)
        rows = rows_of(model, symbols, quality=quality)
    assert 0.02 < symbols.modes.split.float().mean() < 0.98
    assert (symbols.modes.kept.float().mean() > 0.1) == with_reference
    assert torch.equal(symbols.rows, rows)
    coded = rows > 0
    assert coded.float().mean() > 0.05
    # A mean on the edge between two symbols may fall to either side.
    assert (symbols.y == expected.y.symbols)[coded].float().mean() > 0.999
    assert (symbols.rows == expected.y.rows).float().mean() > 0.99
    assert not symbols.y[~coded].any()


def test_blocks_are_split_where_that_is_cheaper(images):
    x, _ = picture_and_reference(112, 144)
    chosen = images.symbols_of(x, None, quality=QUALITY).modes.split
    nowhere, costs = torch.zeros_like(chosen), []
    for split in (nowhere, ~nowhere):
        with torch.no_grad():
            y = images.model.code(x, None, quality=torch.tensor(QUALITY), modes=ModeMaps(split, nowhere)).y
        bits = logistic_bits(y.symbols, scale_of_table(y.rows)) * (y.rows > 0)
        costs.append((bits + ERROR_WORTH * (y.residual - y.symbols).square()).sum(1, keepdim=True))
    gain = costs[0] - costs[1]
    assert 0.02 < chosen.float().mean() < 0.98
    # Symbols on an edge may fall to either side and move what comes after them.
    assert gain[chosen].min() > -20
    assert gain[~chosen].max() < 20
    assert ((gain > SPLIT_BITS) == chosen).float().mean() > 0.95


def test_symbols_and_pictures_do_not_depend_on_bands_or_threads(images, monkeypatch):
    x, reference = picture_and_reference(130, 200)
    threads, results = torch.get_num_threads(), []
    try:
        for count, band_floats in ((1, 1 << 30), (1, 4096), (2, 1 << 30)):
            torch.set_num_threads(count)
            monkeypatch.setattr(pixel_major, "BAND_FLOATS", band_floats)
            payload, picture = images.encode(x, reference, quality=QUALITY)
            results.append((payload, picture, images.decode(payload, (130, 200), reference, quality=QUALITY)))
    finally:
        torch.set_num_threads(threads)
    for payload, shown, decoded in results:
        assert payload == results[0][0]
        assert torch.equal(shown, results[0][1])
        assert torch.equal(decoded, results[0][1])


def test_the_picture_is_that_of_training(images):
    x, reference = picture_and_reference(96, 128)
    with torch.no_grad():
        modes = images.symbols_of(x, reference, quality=QUALITY).modes
        trained = images.model.code(x, reference, quality=torch.tensor(QUALITY), modes=modes)
    _, shown = images.encode(x, reference, quality=QUALITY)
    assert (shown - trained.x_hat.clamp(0, 1)).abs().mean() < 1e-3


def test_the_blend_is_that_of_training(images):
    (_, first), (_, second) = picture_and_reference(61, 45), picture_and_reference(61, 45)
    second = Reference(second.picture.flip(3), second.valid.flip(3))
    with torch.no_grad():
        expected, found = images.model.blend(first, second), images.inference.blend(first, second)
    assert torch.allclose(found.picture, expected.picture, atol=1e-6)
    assert torch.equal(found.valid, expected.valid)


def test_a_kept_reference_is_shown_as_it_is_unless_switched_off(images):
    x, reference = picture_and_reference(96, 128)
    kept = images.symbols_of(x, reference, quality=QUALITY).modes.kept.repeat_interleave(16, 2).repeat_interleave(16, 3)
    _, shown = images.encode(x, reference, quality=QUALITY)
    of_reference = ((shown - reference.picture).abs() < 1e-6).all(1, keepdim=True)
    assert of_reference[kept].all()
    assert not of_reference[~kept].all()
    without = ImageCoder(images.model, images.tables, keep_references=False)
    assert not without.symbols_of(x, reference, quality=QUALITY).modes.kept.any()
    whole = ImageCoder(images.model, images.tables, split_blocks=False)
    assert not whole.symbols_of(x, reference, quality=QUALITY).modes.split.any()


def test_a_view_without_references_cannot_keep_any(images):
    x, reference = picture_and_reference(96, 128)
    payload, _ = images.encode(x, reference, quality=QUALITY)
    with pytest.raises(ArchiveError, match="without references"):
        images.decode(payload, (96, 128), None, quality=QUALITY)
