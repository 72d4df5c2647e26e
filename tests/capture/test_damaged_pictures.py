"""Photographs that cannot be read are named at once and all together, before cameras or depth are looked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import load_photographs
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline import compress

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    root = write_nerfstudio_capture(tmp_path / "capture", views=6, suffix=".jpg")
    for path in (root / "images").iterdir():
        NOISE.save(path)
    return root


def test_all_are_named_before_anything_else_is_done(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(capture / "images/frame_00002.jpg", 0.6)
    cut(capture / "images/frame_00004.jpg", 0.6)
    (capture / "images/frame_00005.jpg").write_bytes(b"<html>not found</html>")
    NOISE.save(capture / "images/frame_00001.jpg", "PNG")
    cut(capture / "images/frame_00001.jpg", 0.9)
    monkeypatch.setattr(compress, "estimate_depth", lambda *_, **__: pytest.fail("depth was estimated"))
    with pytest.raises(CaptureError) as found:
        compress_capture(capture, capture.parent / "a.mvc", codec=RawCodec())
    message = str(found.value)
    assert "4 of 6 photographs" in message
    assert all(f"images/frame_0000{number}.jpg" in message for number in (1, 2, 4, 5))
    assert not any(f"frame_0000{number}.jpg" in message for number in (3, 6))
    assert "truncated" in message
    assert "not an image Pillow can read" in message
    with pytest.raises(CaptureError, match=r"frame_00005.jpg: unreadable"):
        load_capture(capture)


def test_bare_photographs_too(capture: Path) -> None:
    (capture / "transforms.json").unlink()
    for number in (1, 2):
        cut(capture / f"images/frame_0000{number}.jpg", 0.5)

    def nobody(*_, **__):
        pytest.fail("cameras were estimated")

    with pytest.raises(CaptureError, match="2 of 12 photographs"):
        load_capture(capture, estimate_cameras=nobody, whole_pictures=True)
    with pytest.raises(CaptureError, match=r"frame_00003.jpg: unreadable"):
        (capture / "images/frame_00003.jpg").write_bytes(b"")
        load_photographs(PhotographFiles(capture), estimate_cameras=nobody)


def test_those_without_a_camera_are_carried_as_they_are(capture: Path, tmp_path: Path) -> None:
    transforms = json.loads((capture / "transforms.json").read_text())
    transforms["frames"] = transforms["frames"][:3]
    (capture / "transforms.json").write_text(json.dumps(transforms))
    cut(capture / "images/frame_00005.jpg", 0.6)
    report = compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none", attachments="all")
    (warning,) = [warning for warning in report.warnings if "cannot be read" in warning]
    assert "images/frame_00005.jpg" in warning
    assert report.views == 5
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out", codec=RawCodec())
    given, restored = tree(capture), tree(tmp_path / "out")
    assert given.keys() == restored.keys()
    assert given["images/frame_00005.jpg"] == restored["images/frame_00005.jpg"]
