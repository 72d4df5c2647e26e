"""ParaHydra as published: views coded alone, decoded together; every part learns, every switch does what it says."""

import pytest
import torch
from tiny_parahydra import TINY, pictures, tiny_model

from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.entropy_model import checkerboard_cells
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.codecs.parahydra.paper.transforms import nearest_sides, needed_views
from nerfstudio_mvc.entropy.latent_coding import quality_level, read_latent
from nerfstudio_mvc.errors import ArchiveError, ShapeError

QUALITY = 6.5


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def views():
    return pictures(3)


def same(first, second) -> bool:
    return torch.equal(first.y, second.y) and torch.equal(first.z, second.z) and torch.equal(first.rows, second.rows)


@torch.no_grad()
def forward(model, views, **options):
    return model(views, quality=QUALITY, **options)


def test_every_symbol_belongs_to_one_step_and_anchors_come_first():
    cells = checkerboard_cells(3, 2)
    assert cells.shape == (6, 6, 2, 2)
    assert torch.equal(cells.sum(0), torch.ones(6, 2, 2, dtype=torch.long))
    assert cells[2, 2:4, 0, 1].all()
    assert cells[3, 2:4, 0, 0].all()
    assert not cells[2, :2].any()


def test_strings_hold_the_symbols_of_forward_and_decode_to_its_pictures(model, views):
    expected = forward(model, views)
    coded = model.compress(views, quality=QUALITY)
    level = quality_level(QUALITY, "cpu")
    for strings, symbols in zip(coded["strings"], expected["symbols"], strict=True):
        assert same(read_latent(strings[0], model.entropy, model.tables, level=level, size=(5, 7)), symbols)
        assert symbols.y.abs().sum() > 20
    shown = model.decompress(coded["strings"], coded["shape"], quality=QUALITY)["x_hat"]
    for found, picture in zip(shown, expected["x_hat"], strict=True):
        assert torch.equal(found, picture)
        assert found.shape == (1, 3, 72, 100)
        assert torch.equal(found, torch.floor(found * 255 + 0.5) / 255)


def test_sides_come_in_only_as_far_as_it_is_learned():
    """What comes in unlearned at first teaches attention to shut it out: it would never come in."""
    torch.manual_seed(0)
    untrained = ParaHydraModel(ParaHydraConfig(**TINY)).train()
    latents = dict(enumerate(torch.randn(3, 1, TINY["latent"], 4, 6)))
    together, apart = (untrained.decoder(latents, sides, range(3)) for sides in (untrained.sides(3), [[]] * 3))
    assert torch.equal(together[1], apart[1])
    fusion = untrained.decoder.fuse_quarter
    apart[1].sum().backward(retain_graph=True)
    assert not fusion.refine[0].first.weight.grad[:, : TINY["width"]].any()
    together[1].sum().backward()
    assert fusion.refine[0].first.weight.grad[:, : TINY["width"]].any()
    for parameter in fusion.attention.parameters():
        assert parameter.grad is None or not parameter.grad.any()


def test_repainting_a_view_changes_no_byte_of_another_but_its_picture(model, views):
    coded = model.compress(views, quality=QUALITY)
    repainted = [views[0], 1 - views[1], views[2]]
    again = model.compress(repainted, quality=QUALITY)
    assert coded["strings"][0] == again["strings"][0]
    assert coded["strings"][2] == again["strings"][2]
    assert coded["strings"][1] != again["strings"][1]
    first, second = (forward(model, group)["x_hat"][0] for group in (views, repainted))
    assert not torch.equal(first, second)


def test_a_view_in_a_group_is_coded_as_if_alone(model, views):
    together = model.compress(views, quality=QUALITY)["strings"]
    assert [model.compress([x], quality=QUALITY)["strings"][0] for x in views] == together


def test_joint_encoding_lets_views_hang_on_each_other(views):
    model = tiny_model(joint_encoding=True)
    first = model.compress(views, quality=QUALITY)["strings"]
    assert first[0] != model.compress([views[0], 1 - views[1], views[2]], quality=QUALITY)["strings"][0]


def test_bytes_agree_with_likelihoods(views):
    model = tiny_model()
    with torch.no_grad():
        # Wide tables, as a trained model would choose: escapes cost more than the likelihoods' floor says.
        model.entropy.scales.base_rows += 16
    picture = torch.cat([torch.cat(views, 2)] * 2, 3)
    coded = model.compress([picture], quality=8.0)
    with torch.no_grad():
        likelihoods = model([picture], quality=8.0)["likelihoods"]
    bits = -sum(likelihoods[name][0].log2().sum() for name in ("y", "z"))
    assert len(coded["strings"][0][0]) * 8 == pytest.approx(float(bits), rel=0.01)


def test_items_of_a_batch_are_views_of_groups_of_their_own(model, views):
    batch = [torch.cat([views[0], views[2]]), torch.cat([views[1], views[1]])]
    together = forward(model, batch)
    alone = forward(model, [views[0], views[1]])
    assert torch.allclose(together["x_hat"][0][:1], alone["x_hat"][0], atol=2 / 255)
    coded = model.compress(batch, quality=QUALITY)
    assert [len(strings) for strings in coded["strings"]] == [2, 2]
    assert model.decompress(coded["strings"], coded["shape"], quality=QUALITY)["x_hat"][0].shape[0] == 2


def test_groups_of_any_number_and_of_mixed_sizes(model, views):
    for count in (1, 2, 4, 6):
        group = [views[index % 3] for index in range(count)]
        assert len(forward(model, group)["x_hat"]) == count
    mixed = [views[0], views[1][..., :50, :33], views[2][..., :1, :1]]
    shown = forward(model, mixed)["x_hat"]
    assert [x.shape[-2:] for x in shown] == [(72, 100), (50, 33), (1, 1)]


OF_NO_USE = ("entropy.channel.0.fusion.attention", "entropy.channel.0.fusion.summary", "fusion.log_temperature")
"""Of PCCM: the second slice has nothing before the first to be refined by, the third has one side, whose share is 1."""


def test_gradients_reach_every_parameter(views):
    for switches in ({}, {"joint_encoding": True}, {"channel_parallax": False}):
        model = tiny_model(**switches).train()
        result = model(views, quality=QUALITY)
        loss = sum(-values.log2().mean() for kind in result["likelihoods"].values() for values in kind)
        loss = loss + sum((x_hat - x).square().mean() for x_hat, x in zip(result["x_hat"], views, strict=True)) * 50
        loss.backward()
        for name, parameter in model.named_parameters():
            if switches != {"channel_parallax": False} and any(part in name for part in OF_NO_USE):
                continue
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", ["horizontal", "vertical", "plane", "average"])
def test_kinds_of_attention_change_pictures_and_no_string(model, views, kind):
    other = tiny_model(attention=kind)
    # Contexts of means use the same attention over slices, so that pictures of one latent are compared.
    level = quality_level(QUALITY, "cpu")
    latents = dict(enumerate(one.y_hat for one in model.quantised(views, level)))
    sizes, sides = dict.fromkeys(range(3), (72, 100)), model.sides(3)
    with torch.no_grad():
        first, second = (candidate.shown(latents, sizes, level, sides_of=sides) for candidate in (model, other))
    assert not torch.equal(first[0], second[0])


def test_separate_decoding_is_decoding_without_sides(model, views):
    separate = forward(tiny_model(joint_decoding=False), views)["x_hat"]
    alone = forward(model, views, sides_of=[[], [], []])["x_hat"]
    together = forward(model, views)["x_hat"]
    for index in range(3):
        assert torch.equal(separate[index], alone[index])
        assert torch.equal(alone[index], forward(model, [views[index]])["x_hat"][0])
        assert not torch.equal(alone[index], together[index])


def test_published_replacements_of_the_contexts(model, views):
    level = quality_level(QUALITY, "cpu")
    with torch.no_grad():
        first, second = (one.quantised(views, level)[0].y_hat for one in (model, tiny_model(global_parallax=False)))
    assert not torch.equal(first, second)
    concatenated = tiny_model(channel_parallax=False)
    assert sum(p.numel() for p in concatenated.entropy.channel.parameters()) > 0
    assert forward(concatenated, views)["x_hat"][0].shape == views[0].shape


def test_sides_are_the_nearest_in_coding_order():
    assert nearest_sides(5, 2) == [[1, 2], [0, 2], [1, 3], [2, 4], [3, 2]]
    assert nearest_sides(1, 5) == [[]]
    assert needed_views([0], nearest_sides(9, 2)) == {0, 1, 2, 3}


def test_quality_moves_rate(model, views):
    sizes = [len(model.compress(views[:1], quality=quality)["strings"][0][0]) for quality in (1.0, 4.3, 8.0)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_wrong_use_is_told(model, views):
    with pytest.raises(ArchiveError):
        model.decompress([[b"\xff" * 7]], [(720, 1000)])
    fresh = tiny_model()
    with pytest.raises(ShapeError, match="eval"):
        fresh.train().compress(views)
    with pytest.raises(ShapeError, match="scale_table"):
        fresh.update(scale_table=[0.1])
    assert not fresh.update()
    assert fresh.update(force=True)
