"""Switches and decisions of the encoder: each has its effect, and the decoder follows whatever was decided."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic.learned import codec as codec_module
from nerfstudio_mvc.codecs.lmvic.learned import prediction_search
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.learned.trial_coding import TILE_PX, TrialCost, _tiles, explained_bits
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, reference_picture
from nerfstudio_mvc.prediction.weighted_prediction import Photometric


@pytest.fixture(scope="module")
def sources():
    return plane_views(3)


def coded_with(sources, **switches):
    codec = tiny_codec(**switches)
    encoded = codec.encode_group(0, sources, quality=5.0)
    decoded = codec.decode_group(encoded.coded, [source.view for source in sources], quality=5.0)
    for view_idx, pixels in decoded.items():
        assert np.array_equal(pixels, encoded.reconstructions[view_idx])
    return [{s.name: s.payload for s in view.substreams} for view in encoded.coded.views]


@pytest.fixture(scope="module")
def usual(sources):
    return coded_with(sources)


def test_separate_views_refer_to_nothing(sources):
    assert all(set(strings) == {"image"} for strings in coded_with(sources, predict=False))


def test_one_reference(sources):
    assert [len(strings.get("references", b"")) for strings in coded_with(sources, two_references=False)] == [0, 1, 1]


@pytest.mark.parametrize("switch", ["align", "mask"])
def test_switches_of_both_sides_change_the_picture_and_decode(sources, usual, switch):
    strings = coded_with(sources, **{switch: False})
    assert strings[2]["references"] == usual[2]["references"]
    assert strings[2]["image"] != usual[2]["image"]


@pytest.mark.parametrize("switch", ["refine_depth", "depth_follows_quality"])
def test_depth_switches_change_the_depth(switch):
    rng = np.random.default_rng(0)
    bent = [replace(s, depth=s.depth * (1 + 0.1 * rng.random(s.depth.shape, np.float32))) for s in plane_views(2)]
    codecs = [tiny_codec(), tiny_codec(**{switch: False})]
    strings = [codec.encode_group(0, bent, quality=1.0).coded.views[1].substreams for codec in codecs]
    depths = [next(s.payload for s in found if s.name == "depth") for found in strings]
    assert depths[0] != depths[1]


@pytest.mark.parametrize("alone_is_cheaper", [True, False])
def test_a_doubtful_view_is_coded_in_the_cheaper_way(monkeypatch, sources, alone_is_cheaper):
    # The second way comes without a reference: what is counted as error decides.
    errors = iter([0.0, 2e6, 1e6] if alone_is_cheaper else [0.0, 1e6, 2e6])
    monkeypatch.setattr(codec_module, "error_bits", lambda *_, **__: next(errors))
    monkeypatch.setattr(prediction_search, "CLEARLY_GOOD_BITS", 100.0)
    strings = coded_with(sources[:2], decide_per_view=True)
    assert ("references" in strings[1]) != alone_is_cheaper


def test_a_clearly_predicted_view_is_coded_once(monkeypatch, sources):
    calls = []
    monkeypatch.setattr(codec_module, "error_bits", lambda *_, **__: calls.append(1) or 0.0)
    monkeypatch.setattr(prediction_search, "CLEARLY_GOOD_BITS", -1.0)
    assert "references" in coded_with(sources[:2], decide_per_view=True)[1]
    assert len(calls) == 2


def test_darker_views_say_so(monkeypatch, sources):
    monkeypatch.setattr(prediction_search.TrialCoder, "cost", lambda self, reference: _error(self, reference))
    darker = [sources[0], replace(sources[1], pixels=(sources[1].pixels * 0.92).astype(np.uint8))]
    assert "light" in coded_with(darker, gain_and_offset=True)[1]
    assert "light" not in coded_with(darker, gain_and_offset=False)[1]


def _error(trial, reference):
    """A trial by plain error: an untrained model makes little of a reference."""
    sample = trial._sample
    error = float((sample - (0.5 if reference is None else reference.picture)).square().mean())
    return TrialCost(bits=1.0, error_bits=error * 1e6)


def corrected(found):
    """`found` with corrections no search would come up with."""
    if not found.references:
        return found
    rng = np.random.default_rng(0)
    count = len(found.references)
    light = Photometric(rng.integers(-9, 10, (count, 3)), rng.integers(-9, 10, (count, 3)))
    return replace(found, light=light)


@pytest.fixture
def corrected_group(monkeypatch, sources):
    """A codec whose encoder applies corrections, and what it coded."""
    codec = tiny_codec()
    plain = codec_module.find_predictions

    def find(source, x, decoded, **rest):
        found = corrected(plain(source, x, decoded, **rest)[0])
        if not found.references:
            return (found,)
        reference = reference_picture(
            codec.images.inference.blend,
            source.view,
            torch.from_numpy(found.depth.depth()),
            [decoded[position] for position in found.references],
            light=found.light,
        )
        return (replace(found, reference=reference),)

    monkeypatch.setattr(codec_module, "find_predictions", find)
    return codec, codec.encode_group(0, sources, quality=5.0)


def test_decoder_applies_every_correction(sources, usual, corrected_group):
    codec, encoded = corrected_group
    strings = {s.name: s.payload for s in encoded.coded.views[2].substreams}
    assert {"light"} <= set(strings)
    assert strings["image"] != usual[2]["image"]
    decoded = codec.decode_group(encoded.coded, [source.view for source in sources], quality=5.0)
    for view_idx, pixels in decoded.items():
        assert np.array_equal(pixels, encoded.reconstructions[view_idx])


@pytest.mark.parametrize("name", ["light"])
def test_damaged_corrections_give_pixels_or_an_archive_error(sources, corrected_group, name):
    codec, encoded = corrected_group
    rng = np.random.default_rng(0)
    refused = 0
    for length in (0, 4, 30, 200):
        view = encoded.coded.views[1]
        strings = tuple(Substream(s.name, rng.bytes(length)) if s.name == name else s for s in view.substreams)
        views = (encoded.coded.views[0], CodedView(view.view_idx, strings), encoded.coded.views[2])
        try:
            codec.decode_group(CodedGroup(0, views), [s.view for s in sources], quality=5.0, wanted={1})
        except ArchiveError:
            refused += 1
    assert refused > 0


def test_unaligned_references_of_another_size_fit(sources):
    view = sources[0].view
    smaller = plane_views(1, height=60, width=64)[0]
    state = DecodedView(smaller.view, torch.rand(1, 3, 60, 64), None)
    codec = tiny_codec(align=False)
    found = reference_picture(codec.model.blend, view, torch.ones(4, 4), [state], align=False)
    assert found.picture.shape == (1, 3, view.height, view.width)
    assert bool(found.valid.all())


@pytest.mark.parametrize("size", [(72, 100), (757, 1008), (1008, 564), (3000, 4000), (128, 9000)])
def test_sampled_tiles_lie_in_the_view_and_are_a_full_rectangle(size):
    tiles = _tiles(*size)
    flat = [tile for row in tiles for tile in row]
    assert len({len(row) for row in tiles}) <= 1
    assert len(set(flat)) == len(flat)
    assert all(top + TILE_PX <= size[0] and left + TILE_PX <= size[1] for top, left in flat)
    assert len(flat) * TILE_PX**2 <= max(0.3 * size[0] * size[1], 0)


def test_lambda_is_that_of_the_quality_and_lies_between():
    table = tuple(0.002 * 2.0**index for index in range(8))
    assert [rd_lambda_of(table, quality) for quality in range(1, 9)] == pytest.approx(table)
    assert rd_lambda_of(table, 4.5) == pytest.approx((table[3] * table[4]) ** 0.5)


def test_a_good_reference_explains_more_than_a_bad_one():
    x = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    other = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(1))
    valid = torch.ones(1, 1, 64, 80)
    assert explained_bits(x, Reference(x, valid)) > 4
    assert explained_bits(x, Reference(x, 0 * valid)) == 0
    assert explained_bits(x, Reference(other, valid)) == pytest.approx(0, abs=0.05)
