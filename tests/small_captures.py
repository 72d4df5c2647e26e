"""Tiny nerfstudio captures on disk, for tests that need files and little realism."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from colmap_io.model_folder import read_model, write_model

SAMPLE = Path(__file__).parent.parent / "examples" / "data" / "nerfstudio"


def write_nerfstudio_capture(
    root: Path, *, views: int = 5, size: tuple[int, int] = (48, 32), suffix: str = ".png"
) -> Path:
    """A nerfstudio folder with `views` smooth photographs on an arc, images_2 beside them, and a file of notes."""
    width, height = size
    rng = np.random.default_rng(7)
    (root / "images").mkdir(parents=True)
    (root / "images_2").mkdir()
    (root / "masks").mkdir()
    frames = []
    for index in range(views):
        name = f"frame_{index + 1:05d}{suffix}"
        coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(root / "images" / name)
        coarse.resize((width // 2, height // 2), Image.Resampling.BICUBIC).save(root / "images_2" / name)
        pose = np.eye(4)
        pose[:3, 3] = (0.1 * index, 0.02 * index**2, 1.0)
        frames.append({"file_path": f"images/{name}", "transform_matrix": pose.tolist()})
    transforms = {
        "camera_model": "OPENCV",
        "w": width,
        "h": height,
        "fl_x": 1.1 * width,
        "fl_y": 1.1 * width,
        "cx": width / 2,
        "cy": height / 2,
        "k1": 0.01,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "frames": frames,
    }
    (root / "transforms.json").write_text(json.dumps(transforms, indent=3))
    (root / "masks" / "notes with ünïcode.txt").write_bytes(b"carried along\x00\xff" * 40)
    return root


def write_sample_corner(root: Path, *, width: int = 320, height: int = 256) -> Path:
    """The sample capture cropped to its photographs' upper left corners, without points: the same paths, in seconds."""
    transforms = json.loads((SAMPLE / "transforms.json").read_text())
    # A crop that keeps the upper left corner keeps focal lengths and principal point.
    transforms.update({"w": width, "h": height})
    transforms.pop("ply_file_path", None)
    (root / "images").mkdir(parents=True)
    (root / "transforms.json").write_text(json.dumps(transforms))
    for path in (SAMPLE / "images").iterdir():
        Image.open(path).crop((0, 0, width, height)).save(root / "images" / path.name, quality=95)
    return root


def write_reduced_sample(root: Path, *, factor: int = 4) -> Path:
    """The sample capture with smaller photographs, with its points and COLMAP's model."""
    transforms = json.loads((SAMPLE / "transforms.json").read_text())
    size = tuple(transforms[side] // factor for side in ("w", "h"))
    transforms |= {name: transforms[name] / factor for name in ("fl_x", "fl_y", "cx", "cy")} | {
        "w": size[0],
        "h": size[1],
    }
    (root / "images").mkdir(parents=True)
    (root / "transforms.json").write_text(json.dumps(transforms))
    shutil.copy(SAMPLE / transforms["ply_file_path"], root)
    model = read_model(SAMPLE / "colmap/sparse/0")
    cameras = tuple(
        replace(
            camera, width=size[0], height=size[1], params=(*np.divide(camera.params[:4], factor), *camera.params[4:])
        )
        for camera in model.cameras
    )
    write_model(replace(model, cameras=cameras), root / "colmap/sparse/0")
    for path in (SAMPLE / "images").iterdir():
        Image.open(path).resize(size, Image.Resampling.BICUBIC).save(root / "images" / path.name, quality=95)
    return root


def tree(root: Path) -> dict[str, bytes]:
    """Every file below `root` by its POSIX path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
