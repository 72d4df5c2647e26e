"""The paper's model: what it codes is what it decodes, every part learns, every switch does what it says."""

import pytest
import torch
from tiny_paper import UNIT, tiny_model, view_inputs

from nerfstudio_mvc.codecs.lmvic.paper.model import ViewGeometry
from nerfstudio_mvc.entropy.latent_coding import quality_level, read_latent
from nerfstudio_mvc.errors import ArchiveError, ShapeError
from nerfstudio_mvc.geometry.cameras import crop_view

QUALITY = 6.5


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def inputs():
    return view_inputs()


@torch.no_grad()
def run_chain(model, inputs, quality=QUALITY):
    results, state = [], None
    for picture, depth, geometry in inputs:
        results.append(model(picture, depth, geometry=geometry, reference=state, quality=quality))
        state = results[-1]["state"]
    return results


def same(first, second) -> bool:
    return torch.equal(first.y, second.y) and torch.equal(first.z, second.z) and torch.equal(first.rows, second.rows)


def test_strings_hold_the_symbols_of_forward_and_decode_to_its_pictures(model, inputs):
    encoder_state, decoder_state = None, None
    level = quality_level(QUALITY, "cpu")
    for (picture, depth, geometry), expected in zip(inputs, run_chain(model, inputs), strict=True):
        coded = model.compress(picture, depth, geometry=geometry, reference=encoder_state, quality=QUALITY)
        shown = model.decompress(
            coded["strings"], coded["shape"], geometry=geometry, reference=decoder_state, quality=QUALITY
        )
        encoder_state, decoder_state = coded["state"], shown["state"]
        for part, strings, entropy, tables in (
            ("image", coded["strings"][0], model.image_entropy, model.tables.image),
            ("depth", coded["strings"][1], model.depth_entropy, model.tables.depth),
        ):
            found = read_latent(strings[0], entropy, tables, level=level, size=(5, 7))
            assert same(found, expected["symbols"][part])
            assert expected["symbols"][part].y.abs().sum() > 20
        assert torch.equal(shown["x_hat"], expected["x_hat"])
        assert torch.equal(decoder_state.depth, expected["state"].depth)
        assert torch.equal(shown["x_hat"], torch.floor(shown["x_hat"] * 255 + 0.5) / 255)


def test_bytes_agree_with_likelihoods(inputs):
    model = tiny_model()
    with torch.no_grad():
        # Wide tables, as a trained model would choose: escapes cost more than the likelihoods' floor says.
        model.image_entropy.scales.base_rows += 16
    picture = torch.cat([inputs[0][0], inputs[1][0]], 2)
    coded = model.compress(picture, quality=8.0)
    with torch.no_grad():
        likelihoods = model(picture, quality=8.0)["likelihoods"]
    bits = -sum(likelihoods[name].log2().sum() for name in ("y", "z"))
    assert len(coded["strings"][0][0]) * 8 == pytest.approx(float(bits), rel=0.01, abs=48)


def test_items_of_a_batch_are_coded_as_if_alone(model, inputs):
    batch = torch.cat([inputs[0][0], inputs[1][0]])
    together = model.compress(batch, quality=QUALITY)
    for item in range(2):
        alone = model.compress(batch[item : item + 1], quality=QUALITY)
        with torch.no_grad():
            symbols = model(batch, quality=QUALITY)["symbols"]["image"]
        level = quality_level(QUALITY, "cpu")
        string = together["strings"][0][item]
        read = read_latent(string, model.image_entropy, model.tables.image, level=level, size=(5, 7))
        assert torch.equal(read.y[0], symbols.y[item])
        assert len(alone["strings"][0][0]) == pytest.approx(len(string), abs=8)


def test_gradients_reach_every_parameter(inputs):
    model = tiny_model().train()
    loss, state = 0.0, None
    for picture, depth, geometry in inputs[:2]:
        result = model(picture, depth, geometry=geometry, reference=state, quality=QUALITY)
        state = result["state"]
        bits = -sum(values.log2().sum() for values in result["likelihoods"].values())
        loss = loss + bits / 7200 + 50 * (result["x_hat"] - picture).square().mean()
        loss = loss + 50 * (result["depth_hat"] - depth / UNIT).square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_picture_trains_the_depth_through_the_warp(inputs):
    model = tiny_model().train()
    first = model(inputs[0][0], inputs[0][1], geometry=inputs[0][2], quality=QUALITY)
    second = model(inputs[1][0], inputs[1][1], geometry=inputs[1][2], reference=first["state"], quality=QUALITY)
    (second["x_hat"] - inputs[1][0]).square().mean().backward()
    gradient = model.depth_decoder.last.weight.grad
    assert gradient.abs().sum() > 0
    assert torch.isfinite(gradient).all()


def test_a_first_view_has_zero_references_and_any_view_can_be_first(model, inputs):
    picture, depth, geometry = inputs[1]
    with torch.no_grad():
        first = model(picture, depth, geometry=geometry, quality=QUALITY)
        conditions = model.image_conditions(geometry, depth, None, picture)
        zero_features, _ = model.reference_features(torch.zeros(1, 3, 80, 112), None, None, size=(80, 112))
        alone = model(picture, quality=QUALITY)
    assert torch.equal(conditions.reference.half, zero_features.half)
    # Without a reference the picture does not hang on its own depth.
    assert same(first["symbols"]["image"], alone["symbols"]["image"])
    assert "depth_y" not in alone["likelihoods"]


def test_a_reference_changes_picture_and_depth(model, inputs):
    chain = run_chain(model, inputs[:2])
    alone = run_chain(model, inputs[1:2])
    for part in ("image", "depth"):
        assert not torch.equal(chain[1]["symbols"][part].y, alone[0]["symbols"][part].y)


def test_separate_ignores_the_reference(inputs):
    model = tiny_model(separate=True)
    chain, alone = run_chain(model, inputs[:2]), run_chain(model, inputs[1:2])
    for part in ("image", "depth"):
        assert same(chain[1]["symbols"][part], alone[0]["symbols"][part])


def test_concatenation_is_alignment_where_nothing_moved(inputs):
    aligned, concatenated = tiny_model(), tiny_model(alignment=False)
    moved = [run_chain(model, inputs[:2])[1] for model in (aligned, concatenated)]
    assert not torch.equal(moved[0]["symbols"]["image"].y, moved[1]["symbols"]["image"].y)
    assert same(moved[0]["symbols"]["depth"], moved[1]["symbols"]["depth"])
    state = run_chain(aligned, inputs[:1])[0]["state"]
    picture, _, geometry = inputs[0]
    with torch.no_grad():
        here, there = (
            model.image_conditions(geometry, state.depth, state, picture) for model in (aligned, concatenated)
        )
    # The last rows and columns are padding, where a warp reads the border of the flow instead of the map.
    inner = (..., slice(0, 32), slice(0, 48))
    assert torch.allclose(here.reference.half[inner], there.reference.half[inner], atol=1e-4)


def test_no_mask_leaves_out_the_gates_of_the_transforms_alone(inputs):
    masked, bare = tiny_model(), tiny_model(mask=False)
    state = run_chain(masked, inputs[:1])[0]["state"]
    picture, depth, geometry = inputs[1]
    with torch.no_grad():
        with_gates, without = (model.image_conditions(geometry, depth, state, picture) for model in (masked, bare))
        deep = bare.depth_conditions(geometry, state, (72, 100))
    assert with_gates.transform_gates is not None
    assert without.transform_gates is None
    assert deep.transform_gates is None
    assert torch.equal(with_gates.gates.hyper, without.gates.hyper)
    assert torch.equal(with_gates.reference.half, without.reference.half)


def test_no_depth_prediction_replaces_the_predicted_map_by_zeros(inputs):
    predicting, blind = tiny_model(), tiny_model(depth_prediction=False)
    state = run_chain(predicting, inputs[:1])[0]["state"]
    geometry = inputs[1][2]
    with torch.no_grad():
        first = blind.depth_conditions(geometry, None, (72, 100))
        later = blind.depth_conditions(geometry, state, (72, 100))
        seeing = predicting.depth_conditions(geometry, state, (72, 100))
    assert torch.equal(first.prediction.parameters, later.prediction.parameters)
    assert not torch.equal(seeing.prediction.parameters, later.prediction.parameters)
    assert torch.equal(seeing.gates.hyper, later.gates.hyper)


def test_views_of_other_sizes_can_refer_to_each_other(model, inputs):
    state = run_chain(model, inputs[:1])[0]["state"]
    picture, depth, geometry = inputs[1]
    view = geometry.views[0]
    small = ViewGeometry([crop_view(view, left=10, top=8, width=50, height=33)], UNIT)
    corner = (..., slice(8, 41), slice(10, 60))
    for candidate in (model, tiny_model(alignment=False)):
        with torch.no_grad():
            result = candidate(picture[corner], depth[corner], geometry=small, reference=state, quality=QUALITY)
        assert result["x_hat"].shape == (1, 3, 33, 50)


def test_quality_moves_rate(model, inputs):
    sizes = [len(model.compress(inputs[0][0], quality=quality)["strings"][0][0]) for quality in (1.0, 4.3, 8.0)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_wrong_use_is_told(model, inputs):
    picture, depth, geometry = inputs[0]
    with pytest.raises(ShapeError, match="geometry="):
        model(picture, depth)
    with pytest.raises(ShapeError, match="its picture"):
        model(picture[..., :-1], depth[..., :-1], geometry=geometry)
    coded = model.compress(picture, depth, geometry=geometry)
    with pytest.raises(ShapeError, match="geometry"):
        model.decompress(coded["strings"], coded["shape"])
    with pytest.raises(ArchiveError):
        model.decompress([[b"\xff" * 7], []], (720, 1000))
    fresh = tiny_model()
    with pytest.raises(ShapeError, match="eval"):
        fresh.train().compress(picture)
    with pytest.raises(ShapeError, match="scale_table"):
        fresh.update(scale_table=[0.1])
    assert not fresh.update()
    assert fresh.update(force=True)
