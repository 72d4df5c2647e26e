"""What every codec promises through `MultiViewCodec`: the same checks for all, with models of a few channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tiny_lmvic
import tiny_paper
import tiny_parahydra
from tiny_lmvic import plane_views

from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.codecs.av1.codec import Av1Codec
from nerfstudio_mvc.codecs.interface import EncodedGroup, MultiViewCodec
from nerfstudio_mvc.codecs.parahydra.codec import ParaHydraCodec
from nerfstudio_mvc.coded import CodedGroup, CodedView
from nerfstudio_mvc.errors import ArchiveError, ShapeError
from nerfstudio_mvc.weights.store import open_codec

CODECS: dict[str, Callable[[], MultiViewCodec]] = {
    "av1": lambda: Av1Codec(effort="fast"),
    "lmvic": lambda: open_codec("lmvic", effort="fast"),
    "lmvic learned": tiny_lmvic.tiny_codec,
    "lmvic paper": tiny_paper.tiny_codec,
    "parahydra": lambda: ParaHydraCodec(effort="fast"),
    "parahydra paper": tiny_parahydra.tiny_codec,
}
QUALITY = 5.0


@pytest.fixture(scope="module")
def sources() -> list[SourceView]:
    """Three views whose numbers are not their positions; sizes are no multiples of anything."""
    views = plane_views(3, height=51, width=70)
    return [
        replace(source, view=replace(source.view, view_idx=idx)) for source, idx in zip(views, (5, 0, 3), strict=True)
    ]


@pytest.fixture(scope="module", params=CODECS)
def codec(request: pytest.FixtureRequest) -> MultiViewCodec:
    return CODECS[request.param]()


@pytest.fixture(scope="module")
def encoded(codec: MultiViewCodec, sources: list[SourceView]) -> EncodedGroup:
    return codec.encode_group(2, sources, quality=QUALITY)


def test_says_what_it_is_and_what_it_takes(codec: MultiViewCodec) -> None:
    assert codec.name
    assert codec.fingerprint
    assert isinstance(codec.wants_depth, bool)
    memory = [codec.group_memory(pixels) for pixels in ([10**6], [10**6] * 8, [12 * 10**6] * 8)]
    assert memory == [None] * 3 or 0 < memory[0] <= memory[1] < memory[2]


def test_keeps_numbers_and_order_and_leaves_its_input_alone(codec: MultiViewCodec, sources: list[SourceView]) -> None:
    before = [source.pixels.copy() for source in sources]
    told: list[tuple[int, int]] = []
    encoded = codec.encode_group(2, sources, quality=QUALITY, on_view=lambda *view: told.append(view))
    assert encoded.coded.group_idx == 2
    assert encoded.coded.coding_order == (5, 0, 3)
    assert sorted(view_idx for view_idx, _ in told) == [0, 3, 5]
    for source, pixels in zip(sources, before, strict=True):
        assert np.array_equal(source.pixels, pixels)
        shown = encoded.reconstructions[source.view.view_idx]
        assert shown.dtype == np.uint8
        assert shown.shape == pixels.shape


def test_the_same_group_makes_the_same_strings(
    codec: MultiViewCodec, sources: list[SourceView], encoded: EncodedGroup
) -> None:
    assert codec.encode_group(2, sources, quality=QUALITY).coded == encoded.coded


def test_decodes_to_what_the_encoder_showed(
    codec: MultiViewCodec, sources: list[SourceView], encoded: EncodedGroup
) -> None:
    views = [source.view for source in sources]
    told: list[int] = []
    decoded = codec.decode_group(encoded.coded, views, quality=QUALITY, on_view=lambda idx, _: told.append(idx))
    assert sorted(decoded) == sorted(told) == [0, 3, 5]
    for view_idx, pixels in decoded.items():
        assert np.array_equal(pixels, encoded.reconstructions[view_idx])
    for view in views:
        (alone,) = codec.decode_group(encoded.coded, views, quality=QUALITY, wanted={view.view_idx}).items()
        assert alone[0] == view.view_idx
        assert np.array_equal(alone[1], encoded.reconstructions[view.view_idx])


def test_better_quality_takes_more_bytes(
    codec: MultiViewCodec, sources: list[SourceView], encoded: EncodedGroup
) -> None:
    assert codec.encode_group(2, sources, quality=1.0).coded.payload_bytes < encoded.coded.payload_bytes


@pytest.mark.parametrize("count", [1, 2])
def test_codes_without_depth_and_single_views(codec: MultiViewCodec, sources: list[SourceView], count: int) -> None:
    bare = [replace(source, depth=None, depth_valid=None) for source in sources[:count]]
    encoded = codec.encode_group(0, bare, quality=QUALITY)
    decoded = codec.decode_group(encoded.coded, [source.view for source in bare], quality=QUALITY)
    assert all(np.array_equal(pixels, encoded.reconstructions[view_idx]) for view_idx, pixels in decoded.items())
    assert len(decoded) == count


def test_pixels_of_another_size_are_refused(codec: MultiViewCodec, sources: list[SourceView]) -> None:
    with pytest.raises(ShapeError, match="view 5"):
        codec.encode_group(0, [replace(sources[0], pixels=sources[0].pixels[1:])], quality=QUALITY)


def test_damage_that_a_checksum_missed_is_a_picture_or_one_error(
    codec: MultiViewCodec, sources: list[SourceView], encoded: EncodedGroup
) -> None:
    views, rng = [source.view for source in sources], np.random.default_rng(0)
    places = [(at, idx) for at, view in enumerate(encoded.coded.views) for idx in range(len(view.substreams))]
    for at, idx in places:
        payload = encoded.coded.views[at].substreams[idx].payload
        flipped = bytearray(payload)
        flipped[int(rng.integers(len(payload)))] ^= 1 << int(rng.integers(8))
        for wrong in (b"", payload[: len(payload) // 2], bytes(flipped), None):
            try:
                decoded = codec.decode_group(_with(encoded.coded, at, idx, wrong), views, quality=QUALITY)
            except ArchiveError:
                continue
            assert all(decoded[view.view_idx].shape == (view.height, view.width, 3) for view in views)


def _with(coded: CodedGroup, at: int, idx: int, payload: bytes | None) -> CodedGroup:
    """`coded` with another payload in one place, or without that substream."""
    own = list(coded.views[at].substreams)
    own[idx : idx + 1] = [] if payload is None else [replace(own[idx], payload=payload)]
    changed = CodedView(coded.views[at].view_idx, tuple(own))
    return CodedGroup(coded.group_idx, (*coded.views[:at], changed, *coded.views[at + 1 :]))
