"""AV1 through the codec interface: decodes to what the encoder saw, any sizes, part of a group; refuses damage."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.av1.codec import PROFILE, Av1Codec
from nerfstudio_mvc.codecs.av1.rate import crf_of_quality
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError, ShapeError, WeightsError
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.video import libaom
from nerfstudio_mvc.video.libaom import LibaomError
from nerfstudio_mvc.video.rate import Rate, rate_of_crf
from nerfstudio_mvc.weights.store import open_codec

WIDTH, HEIGHT = 67, 41


def photograph(shift: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin((columns + 3 * shift) / a) * np.cos(rows / b) for a, b in ((3, 4), (5, 3), (7, 6))]
    return np.clip(np.stack(waves, -1) * 90 + 128, 0, 255).astype(np.uint8)


def source(view_idx: int, pixels: np.ndarray) -> SourceView:
    height, width = pixels.shape[:2]
    camera = Camera(1, "PINHOLE", width, height, np.array([width, width, width / 2, height / 2], np.float64))
    return SourceView(View(view_idx, f"images/{view_idx}.png", None, width, height, camera, np.eye(4)), pixels)


def views(sources: list[SourceView]) -> list[View]:
    return [each.view for each in sources]


def with_string(coded: CodedGroup, position: int, name: str, payload: bytes | None) -> CodedGroup:
    """`coded` with one string replaced, or left out where `payload` is None."""
    changed = list(coded.views)
    strings = [s for s in changed[position].substreams if s.name != name]
    changed[position] = replace(
        changed[position], substreams=tuple(strings if payload is None else [*strings, Substream(name, payload)])
    )
    return CodedGroup(coded.group_idx, tuple(changed))


@pytest.fixture(scope="module")
def sources():
    """Four views of one size and a tall one among them, in an order that is not that of their numbers."""
    return [
        source(7, photograph(0)),
        source(2, photograph(1)),
        source(4, photograph(0, width=24, height=57)),
        source(3, photograph(2)),
        source(0, photograph(3)),
    ]


@pytest.fixture(scope="module")
def encoded(sources):
    return Av1Codec().encode_group(3, sources, quality=5.0)


def test_decodes_to_what_the_encoder_saw(sources, encoded):
    assert encoded.coded.group_idx == 3
    assert encoded.coded.coding_order == (7, 2, 4, 3, 0)
    seen = []
    decoded = Av1Codec().decode_group(
        encoded.coded, views(sources), quality=5.0, on_view=lambda view_idx, size: seen.append((view_idx, size))
    )
    assert sorted(view_idx for view_idx, _ in seen) == [0, 2, 3, 4, 7]
    assert sum(size for _, size in seen) == encoded.coded.payload_bytes
    for each in sources:
        pixels = decoded[each.view.view_idx]
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, encoded.reconstructions[each.view.view_idx])
        assert psnr_db(each.pixels, pixels) > 28


def test_later_views_are_predicted_and_sizes_do_not_mix(encoded):
    strings = {view.view_idx: {s.name: s.payload for s in view.substreams} for view in encoded.coded.views}
    assert ["levels" in strings[view_idx] for view_idx in (7, 2, 4, 3, 0)] == [True, False, True, False, False]
    assert sum(len(strings[view_idx]["image"]) for view_idx in (2, 3, 0)) < 2 * len(strings[7]["image"])


def test_a_wanted_view_needs_only_the_strings_before_it(sources, encoded):
    head = CodedGroup(3, encoded.coded.views[:2])
    alone = Av1Codec().decode_group(head, views(sources)[:2], quality=5.0, wanted=[2])
    assert list(alone) == [2]
    assert np.array_equal(alone[2], encoded.reconstructions[2])
    tall = Av1Codec().decode_group(with_string(encoded.coded, 0, "image", b""), views(sources), quality=5, wanted={4})
    assert np.array_equal(tall[4], encoded.reconstructions[4])


@pytest.mark.parametrize("size", [(1, 1), (16, 5)])
def test_single_small_views(size):
    lone = source(0, photograph(0, *size))
    group = Av1Codec().encode_group(0, [lone], quality=8.0)
    assert group.reconstructions[0].shape == (size[1], size[0], 3)
    assert np.abs(group.reconstructions[0].astype(int) - lone.pixels).mean() < 12


@pytest.mark.parametrize(
    ("position", "name", "payload"),
    [
        (0, "image", bytes(range(256)) * 4),
        (0, "image", b""),
        (1, "image", b""),
        (1, "image", b"\xff" * 300),
        (0, "image", None),
        (0, "levels", None),
        (0, "levels", b"\xff\xff"),
        (0, "levels", b"\x80"),
        (0, "levels", b"\xff\x43\0\0"),
        (0, "levels", b"\xff\xc3\0\0\0"),
        (0, "levels", b"\xff\x43\0\0\0\0"),
    ],
)
def test_damage_is_an_archive_error_in_one_line(sources, encoded, position, name, payload):
    damaged = with_string(encoded.coded, position, name, payload)
    with pytest.raises(ArchiveError) as caught:
        Av1Codec().decode_group(damaged, views(sources), quality=5.0)
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_end_in_pixels_or_an_archive_error(sources, encoded, seed):
    rng = np.random.default_rng(seed)
    position = int(rng.integers(len(sources)))
    image = bytearray(encoded.coded.views[position].substreams[-1].payload)
    for at in rng.integers(0, len(image), 3):
        image[at] ^= int(rng.integers(1, 256))
    damaged = with_string(encoded.coded, position, "image", bytes(image[: rng.integers(1, len(image) + 1)]))
    try:
        decoded = Av1Codec().decode_group(damaged, views(sources), quality=5.0)
    except ArchiveError:
        return
    assert {idx: pixels.shape for idx, pixels in decoded.items()} == {
        each.view.view_idx: each.pixels.shape for each in sources
    }


def test_a_stream_of_larger_frames_is_refused(sources, encoded):
    large = Av1Codec().encode_group(0, [source(0, photograph(0, 640, 360))], quality=1.0)
    (levels, image) = large.coded.views[0].substreams
    claimed = CodedGroup(0, (CodedView(4, (levels, image)),))
    with pytest.raises(ArchiveError, match="damaged"):
        Av1Codec().decode_group(claimed, [sources[2].view], quality=5.0)


def test_without_libaom_the_remedy_is_named(monkeypatch, sources, encoded):
    libaom._library.cache_clear()
    monkeypatch.setenv(libaom.VARIABLE, "/nowhere/libaom.so")
    try:
        with pytest.raises(LibaomError, match="pip install"):
            Av1Codec().encode_group(0, sources, quality=5.0)
        with pytest.raises(LibaomError, match="pip install"):  # and no ArchiveError: nothing is damaged
            Av1Codec().decode_group(encoded.coded, views(sources), quality=5.0)
    finally:
        libaom._library.cache_clear()


def test_pixels_must_fit_their_view(sources):
    with pytest.raises(ShapeError, match="expected uint8"):
        Av1Codec().encode_group(0, [replace(sources[0], pixels=sources[0].pixels[1:])], quality=5.0)


def test_rates_between_whole_steps():
    assert rate_of_crf(30.0) == Rate(30, 1023)
    assert rate_of_crf(30.5).crf == 30
    assert rate_of_crf(30.999).levels < rate_of_crf(30.5).levels < 1023
    crfs = [crf_of_quality(quality) for quality in np.arange(1, 8.01, 0.25)]
    assert crfs == sorted(crfs, reverse=True)


def test_opens_without_weights(tmp_path):
    assert open_codec("av1", fingerprint=PROFILE).fingerprint == PROFILE
    with pytest.raises(WeightsError, match="no weights"):
        open_codec("av1", weights=tmp_path / "any.safetensors")
    with pytest.raises(WeightsError, match="update nerfstudio_mvc"):
        open_codec("av1", fingerprint="av1-444-16bit-9")


def test_needs_no_torch():
    program = "import sys, nerfstudio_mvc.codecs.av1.codec; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "False"
