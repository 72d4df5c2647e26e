"""The small model with CompressAI's verbs: strings hold what forward estimates, training has gradients."""

import pytest
import torch
from tiny_lmvic import plane_views, tiny_weights

from nerfstudio_mvc.codecs.lmvic.learned.single_view import SingleViewCodec
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.weights.checkpoint import unpack


@pytest.fixture(scope="module")
def net():
    checkpoint = unpack(tiny_weights(), source="x")
    return SingleViewCodec(checkpoint.model, checkpoint.tables).eval()


@pytest.fixture(scope="module")
def pictures():
    return torch.cat([to_picture(source.pixels, "cpu") for source in plane_views(2)])


def bits_of(result) -> float:
    return float(-sum(values.log2().sum() for values in result["likelihoods"].values()))


def test_strings_decode_to_forward_and_cost_its_likelihoods(net, pictures):
    reference = Reference(pictures.flip(0), torch.ones(2, 1, *pictures.shape[-2:]))
    for own in (None, reference):
        coded = net.compress(pictures, reference=own, quality=6.0)
        estimated = net(pictures, reference=own, quality=6.0)
        shown = net.decompress(coded["strings"], coded["shape"], reference=own, quality=6.0)
        assert torch.equal(shown["x_hat"], estimated["x_hat"])
        assert estimated["likelihoods"]["y"].shape[0] == 2
        written = 8 * sum(len(string) for string in coded["strings"][0])
        # The string also says how rows are moved, which is worth more than it costs.
        assert 0.8 * written < bits_of(estimated) + 200
        assert written < bits_of(estimated) * 1.05 + 1500


def test_training_reaches_the_networks_and_estimates_what_is_coded(net, pictures):
    model = unpack(tiny_weights(), source="x").model
    trained = SingleViewCodec(model.requires_grad_(True)).train()
    padded = pictures[..., :64, :96]
    result = trained(padded, quality=6.0)
    loss = -sum(values.log2().sum() for values in result["likelihoods"].values())
    (loss / 6144 + (result["x_hat"] - padded).square().mean()).backward()
    for name in ("transform.analysis", "h_a.0.weight", "scales.split_rows.weight", "means.mean.weight", "z_log_scale"):
        gradient = dict(model.named_parameters())[name].grad
        assert gradient is not None, name
        assert gradient.abs().sum() > 0, name


def test_tables_come_from_update_and_wrong_use_is_told(net, pictures):
    fresh = SingleViewCodec(net.model).eval()
    with pytest.raises(ShapeError, match="update"):
        fresh.compress(pictures)
    assert fresh.update()
    assert not fresh.update()
    assert fresh.compress(pictures[:1])["shape"] == (72, 100)
    with pytest.raises(ShapeError, match="scale_table"):
        fresh.update(scale_table=[0.1])
    fresh.train()
    with pytest.raises(ShapeError, match="eval"):
        fresh.compress(pictures)
    with pytest.raises(ShapeError, match="multiples of 16"):
        fresh(pictures)
    net.eval()
