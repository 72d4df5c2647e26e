"""Polycam's raw export: nerfstudio's cameras of it, and everything that lies in the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.errors import CaptureError

STAMPS = (2208045000, 2208045433, 2208046001)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Three pictures, raw and corrected, with cameras of either; depth and confidence of the first two; a mesh."""
    root = tmp_path / "14_feb_2026"
    rng = np.random.default_rng(3)
    for number, stamp in enumerate(STAMPS):
        for kind, width in (("", 64), ("corrected_", 62)):
            picture = root / f"keyframes/{kind}images/{stamp}.jpg"
            camera = root / f"keyframes/{kind}cameras/{stamp}.json"
            for path in (picture, camera):
                path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
            coarse.resize((width, 48), Image.Resampling.BICUBIC).save(picture)
            turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
            pose = np.column_stack([turn * np.sign(np.linalg.det(turn)), rng.normal(size=3)])
            told = {"fx": 50.5 + number, "fy": 50.25, "cx": 31.5, "cy": 24, "width": width, "height": 48}
            told |= {f"t_{row}{column}": pose[row, column] for row in range(3) for column in range(4)}
            camera.write_text(json.dumps({**told, "blur_score": 3.0 * number, "timestamp": stamp}))
    for number, stamp in enumerate(STAMPS[:2]):
        for folder, mode in (("depth", np.uint16), ("confidence", np.uint8)):
            (root / "keyframes" / folder).mkdir(exist_ok=True)
            plane = rng.integers(0, 250, (12, 16)).astype(mode) + number
            Image.fromarray(plane.astype(mode)).save(root / f"keyframes/{folder}/{stamp}.png")
    (root / "raw.glb").write_bytes(rng.bytes(300))
    (root / "mesh_info.json").write_text("{}")
    (root / "thumbnail.jpg").write_bytes((root / f"keyframes/images/{STAMPS[0]}.jpg").read_bytes())
    return root


def nerfstudio_matrix(camera: Path) -> np.ndarray:
    told = json.loads(camera.read_text())
    return np.array([[told[f"t_{row}{column}"] for column in range(4)] for row in (2, 0, 1)])


def test_everything_comes_back_and_trains(export: Path, tmp_path: Path) -> None:
    given = tree(export)
    report = compress_capture(export, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    assert any("3 of 6 photographs have no camera" in warning for warning in report.warnings)
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out", codec=RawCodec())
    restored = tree(tmp_path / "out")
    transforms = json.loads(restored.pop("transforms.json"))
    assert restored.keys() == given.keys()
    pictures = {f"keyframes/{kind}images/{stamp}.jpg" for kind in ("", "corrected_") for stamp in STAMPS}
    assert {name for name in given if given[name] != restored[name]} <= pictures
    with ArchiveReader(tmp_path / "a.mvc") as reader:
        assert {view.name for view in reader.manifest.views} == pictures
        assert reader.manifest.kind == "polycam"
    assert len(transforms["frames"]) == 3
    for number, (stamp, frame) in enumerate(zip(STAMPS, transforms["frames"], strict=True)):
        assert frame["file_path"] == f"keyframes/corrected_images/{stamp}.jpg"
        camera = export / f"keyframes/corrected_cameras/{stamp}.json"
        np.testing.assert_allclose(frame["transform_matrix"][:3], nerfstudio_matrix(camera), atol=1e-12)
        intrinsics = {**transforms, **frame}
        assert [intrinsics[key] for key in ("fl_x", "fl_y", "cx", "cy")] == [50.5 + number, 50.25, 31.5, 24]
        assert (intrinsics["w"], intrinsics["h"]) == (62, 48)
    again = load_capture(tmp_path / "out")
    assert again.kind == "nerfstudio"
    assert again.views[0].name == "keyframes/corrected_images/2208045000.jpg"


def test_raw_pictures_where_none_are_corrected_and_cameras_that_are_missing(export: Path) -> None:
    for path in (export / "keyframes/corrected_cameras").iterdir():
        path.unlink()
    (export / f"keyframes/cameras/{STAMPS[1]}.json").unlink()
    capture = load_capture(export)
    assert [view.camera is not None for view in capture.views] == [True, True, False, False, False, False]
    assert [view.name for view in capture.views[:3]] == [f"keyframes/images/{STAMPS[idx]}.jpg" for idx in (0, 2, 1)]


def test_a_camera_that_makes_no_sense_is_named(export: Path) -> None:
    camera = export / f"keyframes/corrected_cameras/{STAMPS[1]}.json"
    told = json.loads(camera.read_text())
    for wrong in ({**told, "t_03": "far"}, {**told, "width": 9}, {key: told[key] for key in told if key != "fx"}, 7):
        camera.write_text(json.dumps(wrong))
        with pytest.raises(CaptureError, match=str(STAMPS[1])):
            load_capture(export)
