"""Groups as one AV1 sequence: decoded to what the encoder saw, in part too; taken where cheaper; damage is refused."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic import codec as codec_module
from nerfstudio_mvc.codecs.lmvic import sequence_choice
from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.sequence_choice import sequence_saving
from nerfstudio_mvc.codecs.lmvic.sequence_pictures import SequenceCoder
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.video.av1_sequence import has_encoder

pytestmark = pytest.mark.skipif(not has_encoder(), reason="there is no ffmpeg that codes AV1")


def mixed_sizes():
    """Views of two sizes, whose numbers are not their positions."""
    sources = plane_views(4)
    small = sources[2].pixels[:40, :64].copy()
    camera = replace(sources[2].view.camera, width=64, height=40)
    sources[2] = replace(sources[2], view=replace(sources[2].view, width=64, height=40, camera=camera), pixels=small)
    return [replace(source, view=replace(source.view, view_idx=9 - n)) for n, source in enumerate(sources)]


def views(sources):
    return [source.view for source in sources]


class Halving(Restoration):
    """Corrects half of what a picture is darker than white: not good, and not nothing."""

    def __init__(self) -> None:
        self.seen = []

    def correction(self, decoded, reference, *, quality):
        self.seen.append((tuple(decoded.shape), reference, quality))
        return (1 - decoded) / 2


def test_the_decoder_shows_what_the_encoder_saw():
    sources = mixed_sizes()
    coded = SequenceCoder().encode(sources, quality=5.0)
    strings = {view_idx: string for view_idx, (string, _) in coded.items()}
    decoded = SequenceCoder().decode(strings, views(sources), quality=5.0, wanted=None)
    assert sorted(decoded) == [6, 7, 8, 9]
    for source in sources:
        assert np.array_equal(decoded[source.view.view_idx], coded[source.view.view_idx][1])
        assert psnr_db(source.pixels, decoded[source.view.view_idx]) > 30


def test_wanted_views_need_the_strings_before_them_alone():
    sources = mixed_sizes()
    coded = SequenceCoder().encode(sources, quality=5.0)
    seen = []
    found = SequenceCoder().decode(
        {view_idx: coded[view_idx][0] for view_idx in (9, 8)},
        views(sources),
        quality=5.0,
        wanted={8},
        on_view=lambda view_idx, size: seen.append((view_idx, size)),
    )
    assert list(found) == [8]
    assert np.array_equal(found[8], coded[8][1])
    assert seen == [(9, len(coded[9][0])), (8, len(coded[8][0]))]


def test_pictures_are_restored_where_that_helps():
    sources = plane_views(2)
    plain = SequenceCoder().encode(sources, quality=3.0)
    coder = SequenceCoder(Halving())
    with_network = coder.encode(sources, quality=3.0)
    assert {quality for _, _, quality in coder.restoration.seen} == {3.0}
    assert all(reference is None for _, reference, _ in coder.restoration.seen)
    for source in sources:
        idx = source.view.view_idx
        assert psnr_db(source.pixels, with_network[idx][1]) >= psnr_db(source.pixels, plain[idx][1])
        # Strengths take two bytes in any case.
        assert len(with_network[idx][0]) == len(plain[idx][0])
    strings = {view_idx: string for view_idx, (string, _) in with_network.items()}
    decoded = SequenceCoder(Halving()).decode(strings, views(sources), quality=3.0, wanted=None)
    for view_idx, pixels in decoded.items():
        assert np.array_equal(pixels, with_network[view_idx][1])


def test_strengths_without_a_network_are_refused():
    sources = plane_views(1)
    (string, _) = SequenceCoder().encode(sources, quality=3.0)[0]
    strong = string[:5] + b"\x01\x02" + string[7:]
    with pytest.raises(ArchiveError, match="does not hold"):
        SequenceCoder().decode({0: strong}, views(sources), quality=3.0, wanted=None)


@pytest.mark.parametrize(
    "damage", [None, b"", b"\xff\x43", b"\xff\xc3\0\0\0\0\0", b"\xff\x43\0\0\0\0", b"\xff\x43" + bytes(60)]
)
def test_damage_is_an_archive_error(damage):
    sources = plane_views(2)
    strings = {view_idx: string for view_idx, (string, _) in SequenceCoder().encode(sources, quality=3.0).items()}
    strings[0] = damage
    if damage is None:
        del strings[0]
    with pytest.raises(ArchiveError):
        SequenceCoder().decode(strings, views(sources), quality=3.0, wanted=None)


@pytest.fixture(scope="module")
def codec():
    return tiny_codec(av1_pictures=True, network_pictures=False, sequences=True)


def names(encoded):
    return [{substream.name for substream in view.substreams} for view in encoded.coded.views]


def test_a_group_becomes_a_sequence_where_that_is_cheaper(codec, monkeypatch):
    sources = plane_views(3)
    one_by_one = tiny_codec(av1_pictures=True, network_pictures=False).encode_group(0, sources, quality=5.0)
    # Views of a plane are the same picture moved: a sequence takes next to nothing for them.
    steps = []
    encoded = codec.encode_group(0, sources, quality=5.0, on_step=lambda *step: steps.append(step))
    assert names(encoded) == [{"sequence"}] * 3
    assert [done for _, done, _ in steps] == [1, 2, 3]
    assert {total for _, _, total in steps} == {3}
    assert encoded.coded.payload_bytes < one_by_one.coded.payload_bytes
    decoded = codec.decode_group(encoded.coded, views(sources), quality=5.0)
    for source in sources:
        assert np.array_equal(decoded[source.view.view_idx], encoded.reconstructions[source.view.view_idx])
    # Any codec decodes it.
    other = tiny_codec().decode_group(encoded.coded, views(sources), quality=5.0, wanted={1})
    assert np.array_equal(other[1], encoded.reconstructions[1])


def test_both_ways_are_tried_where_it_is_not_clear(codec, monkeypatch):
    sources = plane_views(2)
    monkeypatch.setattr(codec_module, "sequence_saving", lambda *arguments, **settings: 0.2)
    assert names(codec.encode_group(0, sources, quality=5.0)) == [{"sequence"}] * 2
    dear = {0: (bytes(10**6), sources[0].pixels), 1: (b"", sources[1].pixels)}
    monkeypatch.setattr(SequenceCoder, "encode", lambda self, sources, **settings: dear)
    assert all("av1" in found for found in names(codec.encode_group(0, sources, quality=5.0)))


def test_no_slow_sequence_where_frames_say_nothing_of_each_other(codec, monkeypatch):
    def fails(self, sources, **settings):
        raise AssertionError("a sequence was coded")

    monkeypatch.setattr(codec_module, "sequence_saving", lambda *arguments, **settings: 0.09)
    monkeypatch.setattr(SequenceCoder, "encode", fails)
    assert all("av1" in found for found in names(codec.encode_group(0, plane_views(2), quality=5.0)))


def test_a_sequence_saves_what_frames_tell_of_each_other():
    first, second = plane_views(2)
    noise = np.random.default_rng(0).integers(0, 256, first.pixels.shape).astype(np.uint8)
    savings = [
        sequence_saving([first, replace(second, pixels=pixels)], quality=5.0, rd_lambda=1e4)
        for pixels in (first.pixels, noise)
    ]
    assert savings[0] > 0.3  # a frame that is the one before it costs nothing
    assert savings[1] == 0


@pytest.mark.parametrize(
    ("large", "alike", "compared"),
    [(True, True, {(36, 50, 3)}), (False, True, {(36, 50, 3), (72, 100, 3)}), (False, False, {(36, 50, 3)})],
)
def test_half_the_size_says_all_of_large_views_and_of_those_that_share_nothing(monkeypatch, large, alike, compared):
    sizes, encode = set(), SequenceCoder.encode

    def noted(self, sources, **settings):
        sizes.update(source.pixels.shape for source in sources)
        return encode(self, sources, **settings)

    monkeypatch.setattr(SequenceCoder, "encode", noted)
    if large:
        monkeypatch.setattr(sequence_choice, "LARGE", 100 * 72)
    first, second = plane_views(2)
    noise = np.random.default_rng(0).integers(0, 256, first.pixels.shape).astype(np.uint8)
    sources = [first, replace(second, pixels=first.pixels if alike else noise)]
    saving = sequence_saving(sources, quality=5.0, rd_lambda=1e4)
    assert saving > 0.3 if alike else saving == 0
    assert sizes == compared


def test_views_of_one_row_are_compared_as_they_are():
    rows = [replace(s, view=replace(s.view, height=1), pixels=s.pixels[:1]) for s in plane_views(2)]
    assert -1 < sequence_saving(rows, quality=5.0, rd_lambda=1e4) < 1


def test_single_views_and_large_ones_are_no_sequence(codec, monkeypatch):
    def fails(self, sources, **settings):
        raise AssertionError("a sequence was tried")

    monkeypatch.setattr(SequenceCoder, "encode", fails)
    codec.encode_group(0, plane_views(1), quality=3.0)
    monkeypatch.setattr(sequence_choice, "LARGEST", 100)
    codec.encode_group(0, plane_views(2), quality=3.0)
    switches = replace(codec.switches, restoration=False, sequences=False)
    off = LmvicCodec(codec.model, codec.tables, fingerprint="", switches=switches)
    assert off.group_coder is None


def test_a_group_that_is_a_sequence_in_part_is_refused(codec):
    sources = plane_views(2)
    encoded = tiny_codec(av1_pictures=True, network_pictures=False).encode_group(0, sources, quality=3.0)
    first = CodedView(0, (Substream("sequence", b"\xff\x03\0\0" + bytes(9)),))
    with pytest.raises(ArchiveError):
        codec.decode_group(CodedGroup(0, (first, encoded.coded.views[1])), views(sources), quality=3.0)
