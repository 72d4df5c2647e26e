"""The stream of a group: views hang on what they say and on nothing else, sizes and views without depth included."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tiny_lmvic
from tiny_lmvic import plane_views

from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.frame_head import FrameHead, read_frame
from nerfstudio_mvc.codecs.lmvic.group_strings import stream_order
from nerfstudio_mvc.codecs.lmvic.slots import SlotPlan
from nerfstudio_mvc.codecs.lmvic.stream_plan import plan_group
from nerfstudio_mvc.codecs.lmvic.stream_rate import stream_rate
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.video.colour import PlaneFormat
from nerfstudio_mvc.video.speeds import SPEEDS


def tiny_codec(**switches: bool) -> LmvicCodec:
    codec = tiny_lmvic.tiny_codec(pictures="av1", **switches)
    codec.speeds = SPEEDS["fast"]
    return codec


@pytest.fixture(scope="module")
def sources():
    """Twelve views, more than there are slots; the second half seen from farther apart."""
    return plane_views(12)


@pytest.fixture(scope="module")
def encoded(sources):
    return tiny_codec().encode_group(3, sources, quality=5.0)


def strings_of(encoded):
    return [{part.name: part.payload for part in view.substreams} for view in encoded.coded.views]


def changed(coded: CodedGroup, position: int, name: str, payload: bytes | None) -> CodedGroup:
    view = coded.views[position]
    parts = [part for part in view.substreams if part.name != name]
    parts += [] if payload is None else [Substream(name, payload)]
    views = list(coded.views)
    views[position] = CodedView(view.view_idx, tuple(parts))
    return CodedGroup(coded.group_idx, tuple(views))


def gap(coded: CodedGroup, position: int) -> CodedGroup:
    """A group as an archive gives it back whose view at `position` is damaged."""
    views = [CodedView(view.view_idx, () if at == position else view.substreams) for at, view in enumerate(coded.views)]
    return CodedGroup(coded.group_idx, tuple(views))


def test_decodes_to_what_the_encoder_saw(sources, encoded):
    views = [source.view for source in sources]
    seen = []
    decoded = tiny_codec().decode_group(
        encoded.coded, views, quality=5.0, on_view=lambda view_idx, size: seen.append((view_idx, size))
    )
    assert sum(size for _, size in seen) == encoded.coded.payload_bytes
    for source in sources:
        pixels = decoded[source.view.view_idx]
        assert np.array_equal(pixels, encoded.reconstructions[source.view.view_idx])
        assert psnr_db(source.pixels, pixels) > 27
    assert encoded.coded.coding_order == tuple(range(12))


def test_every_view_alone_decodes_from_what_it_hangs_on_and_nothing_else(sources, encoded):
    views, codec = [source.view for source in sources], tiny_codec()
    plan = {planned.position: planned for planned in plan_group(views, LmvicSwitches())}
    for position in range(12):
        coded = encoded.coded
        hangs_on = {position, *plan[position].ancestors}
        for other in set(range(12)) - hangs_on:
            # The head says when a view would be decoded; what follows may be anything.
            head, _ = read_frame(strings_of(encoded)[other]["frame"], what="")
            coded = changed(coded, other, "frame", head.pack(b"not AV1"))
        shown = codec.decode_group(coded, views, quality=5.0, wanted=[position])
        assert list(shown) == [position]
        assert np.array_equal(shown[position], encoded.reconstructions[position])
    assert min(len(plan[position].ancestors) for position in range(2, 12)) < 9


def test_neighbours_pay(sources, encoded):
    alone = tiny_codec(predict=False).encode_group(0, sources, quality=5.0)
    assert encoded.coded.payload_bytes < 0.7 * alone.coded.payload_bytes


def test_quality_says_how_finely(sources):
    coded = [tiny_codec().encode_group(0, sources[:3], quality=quality) for quality in (2.0, 4.5, 7.0)]
    sizes = [one.coded.payload_bytes for one in coded]
    psnr = [
        np.mean([psnr_db(source.pixels, one.reconstructions[source.view.view_idx]) for source in sources[:3]])
        for one in coded
    ]
    assert sizes == sorted(sizes)
    assert psnr == sorted(psnr)
    assert psnr[2] > psnr[0] + 6


def test_sizes_without_depth_and_single_views(sources):
    wide = plane_views(3, height=40, width=70)
    without = [replace(source, depth=None, depth_valid=None) for source in sources[3:5]]
    mixed = [
        replace(source, view=replace(source.view, view_idx=idx))
        for idx, source in enumerate([*sources[:3], *wide, *without])
    ]
    for group in (mixed, mixed[-2:], mixed[:1]):
        found = tiny_codec().encode_group(0, group, quality=5.0)
        views = [source.view for source in group]
        for wanted in (None, *([view.view_idx] for view in views)):
            shown = tiny_codec().decode_group(found.coded, views, quality=5.0, wanted=wanted)
            for view_idx, pixels in shown.items():
                assert np.array_equal(pixels, found.reconstructions[view_idx])


def test_exactly_the_views_that_hang_on_a_damaged_one_are_lost(sources, encoded):
    views = [source.view for source in sources]

    def order(strings, view):
        return stream_order(strings, encoded.coded, views, [view.view_idx], most=2)

    chains = [set(order(strings_of(encoded), view)) for view in views]
    assert len(set(map(len, chains))) > 2
    for damaged in range(len(views)):
        strings = strings_of(encoded)
        strings[damaged] = {}
        for view, chain in zip(views, chains, strict=True):
            if damaged not in chain:
                assert set(order(strings, view)) == chain
                continue
            with pytest.raises(ArchiveError):
                tiny_codec().decode_group(gap(encoded.coded, damaged), views, quality=5.0, wanted=[view.view_idx])


@pytest.mark.parametrize("name", ["frame", "depth", "references"])
def test_damage_gives_pixels_or_an_archive_error(sources, encoded, name):
    rng, views = np.random.default_rng(0), [source.view for source in sources]
    refused = 0
    for position, length in itertools.product((0, 1, 4), (0, 3, 30, 300)):
        damaged = changed(encoded.coded, position, name, rng.bytes(length))
        try:
            tiny_codec().decode_group(damaged, views, quality=5.0)
        except ArchiveError:
            refused += 1
    assert refused >= 6


def test_slots_are_named_only_of_views_one_hangs_on():
    plan = SlotPlan(0)
    first = plan.name(2, nearest=0, ancestors={0}, wanted=5, needed={2, 4})
    assert len(first.named) == 2  # the key frame's and its copy's
    second = plan.name(1, nearest=0, ancestors={0}, wanted=5, needed={2, 4})
    assert first.refresh not in second.named
    third = plan.name(4, nearest=2, ancestors={0, 2}, wanted=5, needed={4})
    assert third.named[0] == first.refresh
    assert second.refresh not in third.named


def test_views_that_others_hang_on_are_finer():
    rate = stream_rate(5.0, ["key", *["chain"] * 7, *["between"] * 8])
    points = [rate.of_level(level) for level in ("key", "chain", "between")]
    assert points[0].quantizer < points[1].quantizer < points[2].quantizer
    assert points[0].quality > points[1].quality > points[2].quality
    assert points[1].quality == pytest.approx(5.0, abs=0.2)
    # Few views: the key view counts for more of the bytes.
    assert stream_rate(5.0, ["key", "between"]).quantizer > rate.quantizer


def test_heads_come_back():
    heads = [
        FrameHead(3, 4.5, (0, 7), (1, 5)),
        FrameHead(0, 8.0, (64, 255), form=PlaneFormat(1000, (1, -2, 3)), copy=b"tiny"),
    ]
    for head in heads:
        assert read_frame(head.pack(b"unit"), what="") == (head, b"unit")
        for length in range(8):
            with pytest.raises(ArchiveError, match="somewhere"):
                read_frame(head.pack(b"")[: length - 9], what="somewhere") if length < 6 else read_frame(
                    b"\0" * length, what="somewhere"
                )
