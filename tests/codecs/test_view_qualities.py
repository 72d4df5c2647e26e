"""Which views are coded finer, and that the decoder knows."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic.learned import view_qualities as module
from nerfstudio_mvc.codecs.lmvic.learned.view_qualities import expected_references, view_qualities, weights
from nerfstudio_mvc.coded import CodedGroup, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.group_order import order_within_group


@pytest.fixture(scope="module")
def sources():
    return plane_views(4)


@pytest.fixture
def half_is_inherited(monkeypatch):
    monkeypatch.setattr(module, "_saved_share", lambda *_, **__: 0.5)


def qualities_of(sources, quality=5.0, **switches):
    codec = tiny_codec(**switches)
    order = order_within_group([source.view for source in sources])
    return view_qualities(sources, order, quality=quality, tools=codec.learned.tools)


def test_a_view_counts_for_all_that_come_from_it():
    chain = {0: [], 1: [0], 2: [1]}
    assert weights(chain, [0, 1, 2], inherited=0.5).tolist() == [1 + 0.5 * 1.5, 1.5, 1]
    between = {0: [], 2: [0], 1: [2, 0]}
    assert weights(between, [0, 2, 1], inherited=0.5).tolist() == pytest.approx([1 + 0.5 * 1.3 + 0.2, 1, 1.3])


def test_references_that_are_expected_are_those_that_are_taken(sources):
    order = order_within_group([source.view for source in sources])
    expected = expected_references([source.view for source in sources], order, count=2)
    coded = tiny_codec().encode_group(0, sources, quality=5.0).coded
    for position, view in enumerate(coded.views):
        strings = {string.name: string.payload for string in view.substreams}
        assert list(strings.get("references", b"")) == expected[position]


@pytest.mark.usefixtures("half_is_inherited")
def test_references_are_finer_and_the_mean_stays(sources):
    found = qualities_of(sources)
    assert found[0] == max(found) > 5 > min(found)
    assert abs(np.mean(found) - 5) < 1 / 16
    assert all((quality * 16).is_integer() for quality in found)
    assert max(qualities_of(sources, 8.0)) == 8
    assert min(qualities_of(sources, 1.0)) == 1


def test_views_that_explain_nothing_are_coded_alike(monkeypatch, sources):
    monkeypatch.setattr(module, "_saved_share", lambda *_, **__: -0.1)
    assert qualities_of(sources, 4.3) == [4.3] * 4


def test_without_depth_or_prediction_all_are_coded_alike(sources):
    assert qualities_of([replace(source, depth=None) for source in sources]) == [5.0] * 4
    assert qualities_of(sources, predict=False) == [5.0] * 4
    assert qualities_of(sources, finer_references=False) == [5.0] * 4
    assert qualities_of(sources[:1]) == [5.0]


def test_a_photograph_that_repeats_another_saves_most_of_its_bits(sources):
    """The trial itself: with `inherited` near one the first of two weighs nearly two."""
    twins = [sources[0], replace(sources[1], view=replace(sources[0].view, view_idx=1), pixels=sources[0].pixels)]
    shared = {"quality": 5.0, "tools": tiny_codec().learned.tools}
    other = replace(
        twins[1], pixels=np.random.default_rng(0).integers(0, 255, sources[0].pixels.shape).astype(np.uint8)
    )
    assert module._saved_share(twins, 1, 0, **shared) > module._saved_share([twins[0], other], 1, 0, **shared)


@pytest.mark.usefixtures("half_is_inherited")
def test_the_decoder_follows(sources):
    codec = tiny_codec()
    encoded = codec.encode_group(0, sources, quality=5.0)
    cameras = [source.view for source in sources]
    said = [string.payload[0] for view in encoded.coded.views for string in view.substreams if string.name == "quality"]
    assert len(set(said)) > 1
    for view_idx, pixels in codec.decode_group(encoded.coded, cameras, quality=5.0).items():
        assert np.array_equal(pixels, encoded.reconstructions[view_idx])


@pytest.mark.parametrize("written", [b"", b"\x00", b"\x81", b"\x50\x50"])
def test_a_damaged_quality_is_refused(sources, written):
    codec = tiny_codec()
    encoded = codec.encode_group(0, sources[:1], quality=5.0)
    view = encoded.coded.views[0]
    damaged = replace(view, substreams=(Substream("quality", written), *view.substreams))
    with pytest.raises(ArchiveError, match="quality"):
        codec.decode_group(CodedGroup(0, (damaged,)), [sources[0].view], quality=5.0)
