"""Codec parahydra through its interface and through archives: views coded alone, decoded together."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from small_captures import write_nerfstudio_capture
from tiny_lmvic import plane_views

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.codecs.parahydra import joint_decoding
from nerfstudio_mvc.codecs.parahydra.codec import ParaHydraCodec
from nerfstudio_mvc.codecs.parahydra.joint_decoding import candidates_of
from nerfstudio_mvc.codecs.parahydra.merging import MOST_SIDES
from nerfstudio_mvc.codecs.parahydra.stills import decode_still
from nerfstudio_mvc.coded import CodedGroup, CodedView
from nerfstudio_mvc.errors import ArchiveError, WeightsError
from nerfstudio_mvc.pipeline.compress import compress_capture
from nerfstudio_mvc.pipeline.decompress import decompress_archive
from nerfstudio_mvc.pipeline.explain import explain_view
from nerfstudio_mvc.pipeline.open_archive import open_archive
from nerfstudio_mvc.weights.store import open_codec

QUALITY = 2.0


@pytest.fixture(scope="module")
def codec():
    return ParaHydraCodec(effort="fast")


@pytest.fixture(scope="module")
def sources():
    """Neighbours with the noise of a sensor each: what they have in common is the scene."""
    rng = np.random.default_rng(0)
    noisy = []
    for source in plane_views(8, height=96, width=144):
        pixels = np.clip(source.pixels * 0.6 + 50 + rng.normal(0, 6, source.pixels.shape), 0, 255)
        noisy.append(replace(source, pixels=pixels.astype(np.uint8)))
    return noisy


@pytest.fixture(scope="module")
def encoded(codec, sources):
    return codec.encode_group(0, sources, quality=QUALITY)


def cameras(sources):
    return [source.view for source in sources]


def test_groups_of_any_number_decode_to_what_the_encoder_saw(codec, sources, encoded):
    for count in (1, 2, 3, 4, 6, 8):
        group = encoded if count == 8 else codec.encode_group(0, sources[:count], quality=QUALITY)
        decoded = codec.decode_group(group.coded, cameras(sources[:count]), quality=5.0)
        assert sorted(decoded) == list(range(count))
        for view_idx, pixels in decoded.items():
            assert np.array_equal(pixels, group.reconstructions[view_idx])
        # A view is coded as if alone, whatever is beside it.
        assert group.coded.views == encoded.coded.views[:count]


def test_a_group_of_one_is_a_still(codec, sources):
    group = codec.encode_group(0, sources[:1], quality=QUALITY)
    still = decode_still(group.coded.views[0].substreams, (96, 144))
    assert np.array_equal(group.reconstructions[0], still.pixels)


def gain(photograph, still, shown):
    """By how many dB `shown` is nearer to the photograph than `still`."""
    errors = [np.square(one.astype(float) - photograph).mean() for one in (still, shown)]
    return 10 * np.log10(errors[0] / errors[1])


def test_views_help_each_other(sources, encoded):
    gains = []
    for position, source in enumerate(sources):
        still = decode_still(encoded.coded.views[position].substreams, (96, 144)).pixels
        errors = [
            np.square(shown.astype(float) - source.pixels).mean()
            for shown in (still, encoded.reconstructions[position])
        ]
        gains.append(10 * np.log10(errors[0] / errors[1]))
    assert np.mean(gains) > 0.1


def test_views_that_are_coded_finely_stay_as_they_are(codec):
    group = codec.encode_group(0, plane_views(2, height=96, width=144), quality=8)
    for view, shown in zip(group.coded.views, group.reconstructions.values(), strict=True):
        assert np.array_equal(shown, decode_still(view.substreams, (96, 144)).pixels)


def test_repainting_a_view_changes_no_byte_of_another(codec, sources, encoded):
    repainted = [*sources[:2], replace(sources[2], pixels=255 - sources[2].pixels), *sources[3:4]]
    again = codec.encode_group(0, repainted, quality=QUALITY).coded
    for position in (0, 1, 3):
        assert again.views[position] == encoded.coded.views[position]
    assert again.views[2] != encoded.coded.views[2]


def test_an_unrelated_neighbour_does_no_harm(codec, sources):
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (24, 36, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    group = codec.encode_group(0, [sources[0], replace(sources[1], pixels=noise)], quality=QUALITY)
    still = decode_still(group.coded.views[0].substreams, (96, 144)).pixels
    assert gain(sources[0].pixels, still, group.reconstructions[0]) > -0.05


def test_cameras_and_depth_are_of_no_use(codec, sources, encoded):
    blind = [
        replace(s, depth=None, depth_valid=None, view=replace(s.view, cam_from_world=np.eye(4))) for s in sources[:2]
    ]
    assert codec.encode_group(0, blind, quality=QUALITY).coded.views == encoded.coded.views[:2]
    assert not codec.wants_depth


def test_wanted_views_are_decoded_as_in_the_whole_group(codec, sources, encoded):
    decoded = codec.decode_group(encoded.coded, cameras(sources), quality=QUALITY, wanted={6})
    assert list(decoded) == [6]
    assert np.array_equal(decoded[6], encoded.reconstructions[6])


def test_a_damaged_side_view_is_left_out_and_a_damaged_view_is_told(codec, sources, encoded):
    views = list(encoded.coded.views[:3])
    views[1] = CodedView(1, (replace(views[1].substreams[0], payload=b"\x12"), views[1].substreams[1]))
    damaged = CodedGroup(0, tuple(views))
    decoded = codec.decode_group(damaged, cameras(sources[:3]), quality=QUALITY, wanted={0, 2})
    error = np.square(decoded[0].astype(float) - sources[0].pixels).mean()
    assert 10 * np.log10(65025 / error) > 25
    with pytest.raises(ArchiveError, match=r'view 1 "images/1.png"'):
        codec.decode_group(damaged, cameras(sources[:3]), quality=QUALITY)


def test_views_of_other_sizes_are_no_candidates_and_small_ones_stay_alone(codec, sources):
    sizes = {0: (96, 144), 1: (90, 144), 2: (96, 144), 3: (96, 144), 5: (96, 144), 6: (96, 144), 7: (96, 144)}
    assert candidates_of(0, sizes) == [2, 3, 5, 6]
    small = [
        replace(s, pixels=np.ascontiguousarray(s.pixels[:20, :30]), view=replace(s.view, height=20, width=30))
        for s in sources[:2]
    ]
    group = codec.encode_group(0, [small[0], sources[2], small[1]], quality=QUALITY)
    decoded = codec.decode_group(group.coded, [s.view for s in (small[0], sources[2], small[1])], quality=QUALITY)
    assert decoded[0].shape == (20, 30, 3)


def test_explains_which_side_helped_where(codec, sources, encoded):
    pictures = codec.explain(encoded.coded, cameras(sources), 3)
    assert np.array_equal(pictures["merged"], encoded.reconstructions[3])
    titles = [title for title in pictures if title.startswith("side")]
    assert len(titles) == 3 * MOST_SIDES
    (consistency,) = (pictures[title] for title in titles if title.startswith("side 1") and "consistency" in title)
    assert (consistency[..., 1] == 170).mean() > 0.3  # green


def test_sides_are_limited(monkeypatch, sources, encoded):
    stills = {p: decode_still(v.substreams, (96, 144)) for p, v in enumerate(encoded.coded.views)}
    assert len(joint_decoding.JointDecoder(stills).shown(3).sides) == MOST_SIDES
    monkeypatch.setattr(joint_decoding, "LEAST_CLOSED", 1.1)
    assert joint_decoding.JointDecoder(stills).shown(3).sides == ()


def test_random_strings_give_pixels_or_an_archive_error(codec, sources, encoded):
    rng = np.random.default_rng(0)
    view = encoded.coded.views[0]
    for name, length in (("av1", 0), ("av1", 300), ("errors", 0), ("errors", 9)):
        strings = tuple(replace(s, payload=rng.bytes(length)) if s.name == name else s for s in view.substreams)
        try:
            decoded = codec.decode_group(CodedGroup(0, (CodedView(0, strings),)), cameras(sources[:1]), quality=QUALITY)
        except ArchiveError:
            continue
        assert decoded[0].shape == (96, 144, 3)


def test_a_capture_goes_through_an_archive_and_single_views_come_out(tmp_path):
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, size=(96, 80))
    report = compress_capture(capture, tmp_path / "a.mvc", codec="parahydra", quality=4, effort="fast")
    assert report.codec == "parahydra"
    assert report.depth_bytes == 0
    restored = decompress_archive(tmp_path / "a.mvc", tmp_path / "out")
    assert len(restored.views) == 3
    assert not restored.differing_views
    with open_archive(tmp_path / "a.mvc") as archive:
        assert archive.read_view(restored.views[1]).shape == (80, 96, 3)
    names = explain_view(tmp_path / "a.mvc", restored.views[1], tmp_path / "why")
    assert {"alone.png", "merged.png", "merged minus alone.png"} <= set(names)
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == sorted(names)
    assert all(read_image(tmp_path / "why" / name).pixels.shape == (80, 96, 3) for name in names)
    with pytest.raises(WeightsError, match="--weights"):
        open_codec("parahydra", fingerprint="0123456789ab")


def test_bare_photographs_need_no_cameras(tmp_path, monkeypatch):
    monkeypatch.setattr("nerfstudio_mvc.pipeline.compress.estimate_cameras", None)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index, source in enumerate(plane_views(3, height=96, width=144)):
        Image.fromarray(source.pixels).save(folder / f"{index}.png")
    report = compress_capture(folder, tmp_path / "a.mvc", codec="parahydra", quality=4, effort="fast")
    assert report.views == 3
    assert not [warning for warning in report.warnings if "camera" in warning]
    restored = decompress_archive(tmp_path / "a.mvc", tmp_path / "out")
    assert sorted(restored.views) == ["0.png", "1.png", "2.png"]
    assert not restored.differing_views
