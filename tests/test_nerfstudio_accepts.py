"""Restored folders are read by nerfstudio's own dataparser, to the same cameras as the originals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from raw_codec import RawCodec

from colmap_io.model_folder import read_model
from nerfstudio_mvc import compress_capture, decompress_archive

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "data" / "nerfstudio"
OPEN3D_STAND_IN = Path(__file__).parent / "whole_nerfstudio" / "stand_ins"
PARSER_PACKAGES = Path(sys.prefix) / "nerfstudio-parser"  # tools/make_env.sh puts them there

pytestmark = [
    pytest.mark.nerfstudio,
    pytest.mark.skipif(
        find_spec("nerfstudio") is None and not PARSER_PACKAGES.is_dir(), reason="nerfstudio is not installed"
    ),
]


def parse(*folders: Path) -> list[dict]:
    packages = [] if find_spec("nerfstudio") else [PARSER_PACKAGES]
    packages += [] if find_spec("open3d") else [OPEN3D_STAND_IN, ROOT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, packages))}
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("parse_with_nerfstudio.py"), *folders],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.strip().splitlines()[-1])


def camera_distances(parsed: dict) -> np.ndarray:
    """Distances of all camera centres from each other, in units of the capture: free of the parser's own frame."""
    centers = np.array(parsed["camera_to_worlds"])[:, :, 3] / parsed["scale"]
    return np.linalg.norm(centers[:, None] - centers[None], axis=-1)


def test_restored_folders_parse_to_the_cameras_of_the_original(tmp_path: Path) -> None:
    lean, bare = tmp_path / "lean", tmp_path / "bare"
    compress_capture(SAMPLE, tmp_path / "lean.mvc", codec=RawCodec(), depth="none")
    decompress_archive(tmp_path / "lean.mvc", lean, codec=RawCodec())
    compress_capture(SAMPLE, tmp_path / "bare.mvc", codec=RawCodec(), depth="none", attachments="none")
    decompress_archive(tmp_path / "bare.mvc", bare, codec=RawCodec(), image_format="png")
    original, restored, remade = parse(SAMPLE, lean, bare)

    assert restored == original
    assert len(restored["points"]) == len(restored["colors"]) > 1000
    assert len(restored["images"]) == 8
    assert not restored["missing"]

    # The second folder's transforms.json was made from the stored cameras, in COLMAP's own world.
    assert [Path(name).stem for name in remade["images"]] == [Path(name).stem for name in original["images"]]
    assert not remade["missing"]
    for key in ("sizes", "intrinsics", "distortion"):
        np.testing.assert_array_equal(remade[key], original[key])
    np.testing.assert_allclose(camera_distances(remade), camera_distances(original), rtol=1e-4, atol=1e-5)  # float32


def test_a_third_of_the_photographs_without_a_camera(tmp_path: Path) -> None:
    """As ns-process-data leaves a folder: images/ keeps all of them, transforms.json those that were placed."""
    capture = tmp_path / "capture"
    shutil.copytree(SAMPLE, capture)
    transforms = json.loads((capture / "transforms.json").read_text())
    transforms["frames"] = [frame for idx, frame in enumerate(transforms["frames"]) if idx not in (1, 4, 6)]
    (capture / "transforms.json").write_text(json.dumps(transforms, indent=4))
    report = compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    assert any("3 of 8 photographs have no camera" in warning for warning in report.warnings)
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out", codec=RawCodec())
    original, restored = parse(capture, tmp_path / "out")
    assert restored == original
    assert len(restored["images"]) == 5
    assert not restored["missing"]
    assert len(list((tmp_path / "out/images").iterdir())) == 8


def test_points_of_a_colmap_folder_where_training_starts(tmp_path: Path) -> None:
    """transforms.json is made, and so is the file of points: those of the model, beside the cameras as they were."""
    capture = tmp_path / "capture"
    shutil.copytree(SAMPLE, capture, ignore=shutil.ignore_patterns("transforms.json", "*.ply"))
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out", codec=RawCodec())
    assert len(list((tmp_path / "out").glob("sparse_pc*.ply"))) == 1
    original, restored = parse(SAMPLE, tmp_path / "out")
    model = read_model(SAMPLE / "colmap/sparse/0")
    transform = np.array(restored["transform"])
    landed = (model.points.xyz @ transform[:, :3].T + transform[:, 3]) * restored["scale"]
    np.testing.assert_allclose(restored["points"], landed, rtol=1e-4, atol=1e-5)  # float32
    np.testing.assert_array_equal(restored["colors"], model.points.colors)
    np.testing.assert_allclose(point_distances(restored), point_distances(original), rtol=1e-3, atol=1e-4)


def point_distances(parsed: dict) -> np.ndarray:
    """Of every camera centre from its nearest point, in units of the capture."""
    centers = np.array(parsed["camera_to_worlds"])[:, :, 3]
    return np.linalg.norm(centers[:, None] - np.array(parsed["points"]), axis=-1).min(1) / parsed["scale"]
