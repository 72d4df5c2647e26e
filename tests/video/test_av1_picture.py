"""Single pictures of AV1: by themselves, and as inter frames of pictures that both sides have."""

import numpy as np
import pytest

from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.video import av1_picture
from nerfstudio_mvc.video.av1_picture import decode_picture, encode_picture
from nerfstudio_mvc.video.av1_sequence import has_encoder
from nerfstudio_mvc.video.colour import MAX_LEVELS, PlaneFormat, planes_from_rgb, rgb_from_planes

pytestmark = pytest.mark.skipif(not has_encoder(), reason="there is no ffmpeg that codes AV1")

PLANES = PlaneFormat(MAX_LEVELS, None)


def photograph(height=90, width=150, *, shift=0) -> np.ndarray:
    """Blobs of colour under fine grain, moved to the right by `shift` pixels. uint8 [H, W, 3]"""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(30, 220, (12, 22, 3)), np.ones((10, 10, 1)))
    pixels = (coarse + rng.integers(-20, 20, coarse.shape))[:height, 20 - shift : 20 - shift + width]
    return pixels.clip(0, 255).astype(np.uint8)


def planes(**where) -> np.ndarray:
    return planes_from_rgb(photograph(**where), PLANES)


def psnr(found: np.ndarray, pixels: np.ndarray) -> float:
    return psnr_db(rgb_from_planes(found, PLANES), pixels)


def test_a_picture_by_itself_comes_back():
    payload = encode_picture(planes(), None, crf=20)
    found = decode_picture(payload, None, width=150, height=90)
    assert found.dtype == np.uint16
    assert psnr(found, photograph()) > 33


def test_a_picture_that_its_reference_explains_takes_little():
    alone = encode_picture(planes(shift=3), None, crf=30)
    reference = planes()
    before = reference.copy()
    payload = encode_picture(planes(shift=3), reference, crf=30)
    found = decode_picture(payload, reference, width=150, height=90)
    assert np.array_equal(reference, before)
    assert psnr(found, photograph(shift=3)) > 27
    assert len(payload) < 0.5 * len(alone)


def test_intra_tools_are_left_out_only_where_the_reference_shows_most(monkeypatch):
    options_of, encode_units = [], av1_picture.encode_units

    def listening(pictures, *, options, **size):
        options_of.append(" ".join(options))
        return encode_units(pictures, options=options, **size)

    monkeypatch.setattr(av1_picture, "encode_units", listening)
    picture, unlike = planes(), planes()[:, ::-1, ::-1].copy()
    half = np.where(np.arange(150) < 75, picture, unlike)  # of the blocks: too few
    for reference, cheap in ((picture, True), (half, False), (unlike, False)):
        payload = encode_picture(picture, reference, crf=30)
        assert ("enable-smooth-intra=0" in options_of[-1]) == cheap
        assert psnr(decode_picture(payload, reference, width=150, height=90), photograph()) > 27


def test_what_the_encoders_own_key_frame_lacks_is_made_up_for(monkeypatch):
    reference = planes()
    noise = np.random.default_rng(2).normal(0, 24, reference.shape)
    picture = np.clip(reference + noise, 0, MAX_LEVELS).astype(np.uint16)

    def bytes_and_error() -> tuple[int, float]:
        payload = encode_picture(picture, reference, crf=20)
        found = decode_picture(payload, reference, width=150, height=90)
        return len(payload), np.square(found - picture.astype(float)).mean()

    length, error = bytes_and_error()
    monkeypatch.setattr(av1_picture.EarlyUnit, "wait", lambda early, limit_s: None)
    plain_length, plain_error = bytes_and_error()
    assert length <= plain_length
    assert error < 0.98 * plain_error


def test_blocks_that_are_not_predicted_are_coded_as_they_are():
    picture, reference = planes(), planes()
    reference[:, :, 80:] = 500
    coded = np.clip(reference.astype(int) + 9, 0, 1023).astype(np.uint16)
    given = av1_picture._compensated(picture, reference, coded, av1_picture._explained(picture[0], reference[0]))
    assert np.array_equal(given[:, :, :80], np.clip(picture[:, :, :80].astype(int) + 9, 0, 1023))
    assert np.array_equal(given[:, :, 80:], picture[:, :, 80:])


def test_a_reference_that_another_machine_rounds_differently_decodes_all_the_same():
    reference = planes()
    payload = encode_picture(planes(shift=3), reference, crf=30)
    expected = decode_picture(payload, reference, width=150, height=90).astype(int)
    rounded = reference ^ np.random.default_rng(1).integers(0, 2, reference.shape, np.uint16)
    found = decode_picture(payload, rounded, width=150, height=90).astype(int)
    assert np.abs(found - expected).max() <= 8
    assert np.abs(found - expected).mean() < 1


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 40), (65, 129)])
@pytest.mark.parametrize("with_reference", [False, True])
def test_any_size(size, with_reference):
    height, width = size
    if with_reference and min(size) < av1_picture.SMALLEST_SIDE:
        pytest.skip("coded by itself")
    picture = planes(height=height, width=width)
    reference = planes(height=height, width=width, shift=1) if with_reference else None
    payload = encode_picture(picture, reference, crf=10)
    found = decode_picture(payload, reference, width=width, height=height)
    assert np.abs(found.astype(int) - picture).mean() < 40


def test_damage_is_an_archive_error():
    reference = planes()
    payload = encode_picture(planes(shift=3), reference, crf=40)
    for damaged in (b"", payload[:1], payload[:12], b"\x0a\xff" + payload[2:], payload[1:], b"\x0a\x7f"):
        with pytest.raises(ArchiveError):
            decode_picture(damaged, reference, width=150, height=90)
    with pytest.raises(ArchiveError):
        decode_picture(payload, planes(height=80, width=100), width=100, height=80)
    with pytest.raises(ArchiveError):
        decode_picture(b"nonsense", None, width=150, height=90)


def test_a_key_frame_that_does_not_fit_is_noticed(monkeypatch):
    reference = planes()
    payload = encode_picture(planes(shift=3), reference, crf=40)
    lossy = ("-cpu-used", "8", "-crf", "40", "-aom-params", "sb-size=128")
    monkeypatch.setattr(av1_picture, "_LOSSLESS", lossy)
    with pytest.raises(ArchiveError, match="too different"):
        decode_picture(payload, reference, width=150, height=90)


def test_an_encoder_whose_fast_key_frames_do_not_fit_codes_slow_ones(monkeypatch):
    decoded_after = av1_picture._decoded_after

    def fast_fails(anchored, payload, *, usage):
        return decoded_after(anchored, payload, usage=usage) if usage == av1_picture._SLOW else None

    monkeypatch.setattr(av1_picture, "_decoded_after", fast_fails)
    av1_picture._usage.cache_clear()
    try:
        assert (
            psnr(
                decode_picture(encode_picture(planes(shift=3), planes(), crf=20), planes(), width=150, height=90),
                photograph(shift=3),
            )
            > 35
        )
    finally:
        av1_picture._usage.cache_clear()
