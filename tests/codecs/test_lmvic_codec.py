"""LMVIC through its interface: decodes to what the encoder saw, needs only what it says, refuses nonsense."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_lmvic import plane_views, tiny_codec

from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.group_strings import read_quality
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError, ShapeError
from nerfstudio_mvc.layers.pictures import to_picture


@pytest.fixture(scope="module")
def codec():
    return tiny_codec()


@pytest.fixture(scope="module")
def sources():
    return plane_views()


@pytest.fixture(scope="module")
def encoded(codec, sources):
    return codec.encode_group(0, sources, quality=5.0)


def cameras(sources):
    return [source.view for source in sources]


def with_payload(coded: CodedGroup, position: int, name: str, payload: bytes) -> CodedGroup:
    view = coded.views[position]
    changed = tuple(replace(s, payload=payload) if s.name == name else s for s in view.substreams)
    views = list(coded.views)
    views[position] = CodedView(view.view_idx, changed)
    return CodedGroup(coded.group_idx, tuple(views))


def test_decoder_shows_what_the_encoder_predicted_from(codec, sources, encoded):
    decoded = codec.decode_group(encoded.coded, cameras(sources), quality=5.0)
    assert sorted(decoded) == [0, 1, 2, 3]
    for view_idx, pixels in decoded.items():
        assert pixels.dtype == np.uint8
        assert pixels.shape == (72, 100, 3)
        assert np.array_equal(pixels, encoded.reconstructions[view_idx])


def references(encoded) -> list[list[int]]:
    return [
        [position for s in view.substreams if s.name == "references" for position in s.payload]
        for view in encoded.coded.views
    ]


def test_views_are_predicted_from_both_sides_or_from_those_before(codec, sources, encoded):
    assert [view.view_idx for view in encoded.coded.views] == [0, 1, 2, 3]
    # 0, 2, then 1 between them, then 3.
    assert [set(found) for found in references(encoded)] == [set(), {0, 2}, {0}, {1, 2}]
    chain = LmvicCodec(
        codec.model, codec.tables, fingerprint="", switches=LmvicSwitches(between=False), pictures="learned"
    )
    assert references(chain.encode_group(0, sources, quality=5.0)) == [[], [0], [1, 0], [2, 1]]


def test_views_that_need_each_other_are_an_archive_error(codec, sources, encoded):
    circle = with_payload(encoded.coded, 2, "references", bytes([1]))
    for wanted in (None, [1], [3]):
        with pytest.raises(ArchiveError, match="needs it"):
            codec.decode_group(circle, cameras(sources), quality=5.0, wanted=wanted)


def test_views_without_depth_are_coded_alone(codec, sources):
    bare = [replace(source, depth=None, depth_valid=None) for source in sources[:2]]
    encoded = codec.encode_group(0, bare, quality=3.0)
    assert [[s.name for s in view.substreams] for view in encoded.coded.views] == [["image"], ["image"]]
    decoded = codec.decode_group(encoded.coded, cameras(bare), quality=3.0)
    assert np.array_equal(decoded[1], encoded.reconstructions[1])


def test_wanted_views_alone_decode_to_the_same_pixels(codec, sources, encoded):
    seen = []
    decoded = codec.decode_group(
        encoded.coded, cameras(sources), quality=5.0, wanted={2}, on_view=lambda idx, _: seen.append(idx)
    )
    assert list(decoded) == [2]
    assert seen == [0, 2]
    assert np.array_equal(decoded[2], encoded.reconstructions[2])


def test_symbols_are_the_same_on_one_and_two_threads(codec, sources, encoded):
    strings = {substream.name: substream.payload for substream in encoded.coded.views[0].substreams}
    payload, quality = strings["image"], read_quality(strings, sources[0].view, otherwise=5.0)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(codec.images.read_symbols(payload, (72, 100), quality=quality))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0].y, found[1].y)
    assert torch.equal(found[0].rows, found[1].rows)
    written = codec.images.symbols_of(to_picture(sources[0].pixels, "cpu"), None, quality=quality)
    assert torch.equal(found[0].y, written.y)
    assert torch.equal(found[0].z, written.z)


def test_quality_moves_the_size(codec, sources):
    sizes = [codec.encode_group(0, sources[:1], quality=q).coded.payload_bytes for q in (1.0, 4.5, 8.0)]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize(
    ("position", "name", "payload"),
    [(2, "references", bytes([2])), (2, "references", bytes([0, 1, 0])), (1, "depth", b""), (1, "depth", b"\xff" * 9)],
)
def test_impossible_strings_are_archive_errors(codec, sources, encoded, position, name, payload):
    damaged = with_payload(encoded.coded, position, name, payload)
    with pytest.raises(ArchiveError):
        codec.decode_group(damaged, cameras(sources), quality=5.0)


def test_random_image_strings_give_pixels_or_an_archive_error(codec, sources, encoded):
    rng = np.random.default_rng(0)
    for length in (0, 3, 50, 2000):
        damaged = with_payload(encoded.coded, 0, "image", rng.bytes(length))
        try:
            decoded = codec.decode_group(damaged, cameras(sources), quality=5.0, wanted={0})
        except ArchiveError:
            continue
        assert decoded[0].shape == (72, 100, 3)


def test_missing_image_string_is_an_archive_error(codec, sources, encoded):
    first = CodedView(0, (Substream("depth", b""),))
    with pytest.raises(ArchiveError, match="has no picture"):
        codec.decode_group(CodedGroup(0, (first, *encoded.coded.views[1:])), cameras(sources), quality=5.0)


def test_pixels_of_another_size_are_refused(codec, sources):
    with pytest.raises(ShapeError, match="view 0"):
        codec.encode_group(0, [replace(sources[0], pixels=sources[0].pixels[1:])], quality=5.0)


@pytest.mark.parametrize("size", [(1, 1), (16, 64), (47, 130), (130, 47), (33, 17), (200, 7)])
def test_pictures_of_one_or_few_blocks(codec, sources, size):
    height, width = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    view = replace(sources[0].view, width=width, height=height)
    encoded = codec.encode_group(0, [replace(sources[0], view=view, pixels=pixels)], quality=5.0)
    decoded = codec.decode_group(encoded.coded, [view], quality=5.0)
    assert np.array_equal(decoded[0], encoded.reconstructions[0])
