"""LMVIC with AV1 for its pictures: decodes to what the encoder saw, whatever codes the pictures otherwise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic import codec as codec_module
from nerfstudio_mvc.codecs.lmvic.av1_pictures import Av1Coder, Av1Trials
from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.learned import prediction_search
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.coded import CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.video.av1_sequence import has_encoder

pytestmark = pytest.mark.skipif(not has_encoder(), reason="there is no ffmpeg that codes AV1")


@pytest.fixture(scope="module")
def codec():
    return tiny_codec(av1_pictures=True, network_pictures=False)


@pytest.fixture(scope="module")
def sources():
    return plane_views(3)


@pytest.fixture(scope="module")
def encoded(codec, sources):
    return codec.encode_group(0, sources, quality=5.0)


def cameras(sources):
    return [source.view for source in sources]


def picture(seed=0, size=(40, 56)) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_both_code_when_nobody_says_otherwise_and_the_cheaper_one_is_taken(codec, sources, monkeypatch):
    both = LmvicCodec(codec.model, codec.tables, fingerprint="")
    assert list(both.coders) == ["av1", "image"]
    assert isinstance(both.tools.trials, Av1Trials)
    coded = both.encode_group(0, sources[:1], quality=5.0).coded.views[0]
    # The network is untrained.
    assert "av1" in {substream.name for substream in coded.substreams}
    monkeypatch.setattr(Av1Coder, "encode", lambda self, x, reference, *, quality: (bytes(99999), x))
    coded = both.encode_group(0, sources[:1], quality=5.0).coded.views[0]
    assert "image" in {substream.name for substream in coded.substreams}


@pytest.mark.parametrize("in_doubt", [True, False])
def test_av1_codes_a_view_once_and_finds_by_itself_what_moved(codec, sources, monkeypatch, in_doubt):
    monkeypatch.setattr(prediction_search, "NOTHING_SHARED_BITS", 100.0 if in_doubt else -100.0)
    calls = []
    encode, trial = Av1Coder.encode, Av1Trials.encode

    def noted(self, x, reference, **quality):
        calls.append("coded")
        return encode(self, x, reference, **quality)

    def alone_is_cheaper(self, x, reference, **quality):
        if x.shape[-2:] == (72, 100):  # a whole view
            calls.append("tried")
        length, shown = trial(self, x, reference, **quality)
        return (bytes(0) if reference is None else length), shown

    monkeypatch.setattr(Av1Coder, "encode", noted)
    monkeypatch.setattr(Av1Trials, "encode", alone_is_cheaper)
    switches = LmvicSwitches(network_pictures=False, sequences=False, finer_references=False)
    codec = LmvicCodec(codec.model, codec.tables, fingerprint="", switches=switches)
    coded = codec.encode_group(0, sources[:2], quality=5.0).coded.views
    names = {substream.name for substream in coded[1].substreams}
    assert "motion" not in names
    assert calls.count("coded") == 2
    assert ("references" in names) != in_doubt
    assert ("tried" in calls) == in_doubt


def test_the_decoder_shows_what_the_encoder_saw(sources, encoded):
    names = [{substream.name for substream in view.substreams} for view in encoded.coded.views]
    assert all("av1" in found and "image" not in found for found in names)
    assert sum("references" in found for found in names) == 2
    # What a decoder would itself code with does not matter.
    for decoder in (tiny_codec(av1_pictures=True), tiny_codec(av1_pictures=False)):
        decoded = decoder.decode_group(encoded.coded, cameras(sources), quality=5.0)
        for source in sources:
            pixels = decoded[source.view.view_idx]
            assert np.array_equal(pixels, encoded.reconstructions[source.view.view_idx])
            assert psnr_db(pixels, source.pixels) > 33


def test_predicted_views_take_less_than_they_would_alone(sources, encoded):
    alone = tiny_codec(av1_pictures=True, network_pictures=False, predict=False).encode_group(0, sources, quality=5.0)
    assert encoded.coded.views[1].payload_bytes < 0.6 * alone.coded.views[1].payload_bytes


def test_higher_qualities_are_better_and_larger():
    x, last_bytes, last_psnr = picture(), 0, 0.0
    reference = Reference((x + 0.3 * picture(1)).clamp(0, 1), torch.ones(1, 1, 40, 56))
    for quality in (3.0, 4.5, 6.0, 8.0):
        payload, shown = Av1Coder().encode(x, reference, quality=quality)
        psnr = -10 * float(torch.log10((shown - x).square().mean()))
        assert len(payload) > last_bytes
        assert psnr > last_psnr + 0.5
        last_bytes, last_psnr = len(payload), psnr


def test_trials_come_near_what_coding_gives():
    x = picture()
    near = Reference((x + 0.2 * picture(1)).clamp(0, 1), torch.ones(1, 1, 40, 56))
    for reference in (None, near):
        payload, shown = Av1Coder().encode(x, reference, quality=6.0)
        tried, seen = Av1Trials().encode(x, reference, quality=6.0)
        assert len(tried) == pytest.approx(len(payload), rel=0.2)
        assert float((seen - x).square().mean()) == pytest.approx(float((shown - x).square().mean()), rel=0.3)


def test_impossible_levels_are_refused():
    payload, _ = Av1Coder().encode(picture(), None, quality=3.0)
    for damaged in (b"", payload[:1], b"\x00\x00" + payload[2:], b"\xff\xff" + payload[2:]):
        with pytest.raises(ArchiveError):
            Av1Coder().decode(damaged, (40, 56), None, quality=3.0)


def test_a_view_with_two_pictures_is_refused(codec, sources, encoded):
    first = encoded.coded.views[0]
    twice = CodedView(first.view_idx, (*first.substreams, Substream("image", b"")))
    damaged = replace(encoded.coded, views=(twice, *encoded.coded.views[1:]))
    with pytest.raises(ArchiveError, match="or two"):
        codec.decode_group(damaged, cameras(sources), quality=5.0)


def test_the_network_codes_where_there_is_no_encoder(codec, sources, monkeypatch):
    monkeypatch.setattr(codec_module, "has_encoder", lambda: False)
    encoded = tiny_codec(av1_pictures=True).encode_group(0, sources[:1], quality=3.0)
    assert "image" in {substream.name for substream in encoded.coded.views[0].substreams}
