"""Measured points survive the run, belong to exactly these photographs, and a strange file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.benchmarking.peer_points import PeerPoints, points_key
from nerfstudio_mvc.benchmarking.peers import make_peers
from nerfstudio_mvc.benchmarking.rate_curve import PeerPoint, RateCurve
from nerfstudio_mvc.errors import CaptureError, MvcError

POINTS = [PeerPoint(40, 1000, 30.0, 0.1, 0.01), PeerPoint(41, 1100, float("inf"), 0.1, 0.01)]
(JPEG,) = make_peers(["jpeg"])


def test_points_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "points.json"
    kept = PeerPoints(path)
    assert kept.get("a") == []
    kept.put("a", POINTS)
    kept.put("b", POINTS[:1])
    again = PeerPoints(path)
    assert again.get("a") == POINTS
    assert again.get("b") == POINTS[:1]
    assert list(path.parent.iterdir()) == [path]


def test_known_points_are_not_measured_again() -> None:
    photographs = [np.full((16, 16, 3), 90, np.uint8)]
    known = [PeerPoint(50, 1000, 30.0, 1.0, 0.1), PeerPoint(51, 1100, 31.0, 1.0, 0.1)]
    told = []
    curve = RateCurve(JPEG, photographs, known=known)
    equal = curve.at_psnr(30.5, on_photograph=lambda *progress: told.append(progress))
    assert equal.bytes == pytest.approx((1000 * 1100) ** 0.5)
    assert told == []


def test_a_key_tells_peers_photographs_and_their_order_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for level, path in enumerate(paths):
        Image.new("RGB", (8, 8), (level, 0, 0)).save(path)
    (fast,), (slow,) = make_peers(["avif"], avif_speed=9), make_peers(["avif"], avif_speed=2)
    keys = {points_key(peer, some) for peer in (JPEG, fast, slow) for some in (paths, paths[::-1], paths[:1])}
    assert len(keys) == 9
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    assert points_key(JPEG, [copy]) == points_key(JPEG, paths[:1])
    with pytest.raises(CaptureError, match="missing"):
        points_key(JPEG, [tmp_path / "missing.png"])


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[1]",
        b'{"a": 3}',
        b'{"a": [{"setting": 1}]}',
        b'{"a": [{"setting": 1, "bytes": 0, "psnr_db": 30, "encode_s": 1, "decode_s": 1}]}',
        b"[" * 100_000,
    ],
)
def test_a_strange_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "points.json"
    path.write_bytes(content)
    with pytest.raises(MvcError, match="remove it"):
        PeerPoints(path)
