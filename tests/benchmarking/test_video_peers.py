"""Sequences give photographs back in their order and size, and cost less than key frames where views are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.benchmarking.ffmpeg_pipe import ffmpeg_encoders
from nerfstudio_mvc.benchmarking.libaom_peer import libaom_peers
from nerfstudio_mvc.benchmarking.peers import make_peers
from nerfstudio_mvc.benchmarking.video_peers import ARRANGEMENTS, ENCODERS, video_peers
from nerfstudio_mvc.cli.eval import Eval
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.video.speeds import SPEEDS

needs_ffmpeg = pytest.mark.skipif(not ffmpeg_encoders(), reason="imageio-ffmpeg is not installed")


def moving_picture(count: int, width: int = 168, height: int = 136) -> list[np.ndarray]:
    """A smooth pattern with some texture that moves 3 pixels from one photograph to the next."""
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(30, 226, (20, 30, 3), np.uint8))
    wide = np.asarray(coarse.resize((width + 3 * count, height), Image.Resampling.BICUBIC))
    return [np.ascontiguousarray(wide[:, 3 * index : 3 * index + width]) for index in range(count)]


def size_of(name: str, photographs: list[np.ndarray], setting: int) -> int:
    (peer,) = make_peers([name])
    return sum(map(len, peer.encode(iter(photographs), setting)))


@needs_ffmpeg
@pytest.mark.parametrize("encoder", ["av1", *(encoder.peer for encoder in ENCODERS)])
def test_photographs_come_back_in_order_and_better_at_a_higher_setting(encoder: str) -> None:
    photographs = moving_picture(3, 100, 66)
    (peer,) = make_peers([encoder])
    psnrs = []
    for setting in (peer.start, peer.start + 12):
        files = peer.encode(iter(photographs), setting)
        assert len(files) == 1
        decoded = list(peer.decode(files))
        assert [image.shape for image in decoded] == [(66, 100, 3)] * 3
        psnrs.append([psnr_db(*pair) for pair in zip(photographs, decoded, strict=True)])
    assert min(psnrs[0]) > 28
    assert np.mean(psnrs[0]) + 1 < np.mean(psnrs[1])


@needs_ffmpeg
@pytest.mark.parametrize("encoder", ["av1", "hevc", "svt"])
def test_what_views_share_is_paid_once(encoder: str) -> None:
    photographs = moving_picture(4)
    (peer,) = make_peers([encoder])
    assert 1.5 * size_of(encoder, photographs, peer.start) < size_of(f"{encoder}-intra", photographs, peer.start)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["av1", "svt"])
def test_another_size_begins_another_sequence(name: str) -> None:
    photographs = [*moving_picture(2, 100, 66), *moving_picture(2, 66, 100), *moving_picture(1, 100, 66)]
    (peer,) = make_peers([name])
    files = peer.encode(iter(photographs), peer.start)
    assert len(files) == 3
    decoded = list(peer.decode(files))
    assert all(psnr_db(*pair) > 28 for pair in zip(photographs, decoded, strict=True))


def test_every_peer_says_what_it_measures() -> None:
    peers = (*libaom_peers(4), *video_peers("default"))
    assert len({peer.name for peer in peers}) == len({peer.description for peer in peers}) == len(peers) == 12
    assert len(peers) == (1 + len(ENCODERS)) * len(ARRANGEMENTS)
    for peer in peers:
        assert peer.start in peer.settings
        assert ("our coding order" in peer.description) == (peer.order == "coding")
        assert any(sampling in peer.description for sampling in ("4:4:4", "4:2:0"))
    others = (*libaom_peers(5), *video_peers("fast"))
    assert {peer.description for peer in others}.isdisjoint(peer.description for peer in peers)


def test_av1_is_measured_at_the_speed_of_the_archives_unless_told_otherwise(tmp_path: Path) -> None:
    capture, archive = write_nerfstudio_capture(tmp_path / "capture", views=2), tmp_path / "a.mvc"
    compress_capture(capture, archive, codec=RawCodec(), depth="none", effort="high")
    assert Eval(data=(capture,), archive=(archive,))._archives_speed() == SPEEDS["high"].stream
    assert Eval(data=(capture,))._archives_speed() == SPEEDS["default"].stream
    (peer,) = make_peers(["av1"], av1_speed=2)
    assert "speed 2" in peer.description
