"""Every way of coding that ships, on a window of two views of the sample, sparse points included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from small_captures import SAMPLE

from nerfstudio_mvc import compress_capture, open_archive
from nerfstudio_mvc.pipeline.reports import CompressReport

GOLDEN = Path(__file__).parent / "golden"
FIGURES = GOLDEN / "figures.json"
LEFT, TOP, WIDTH, HEIGHT = 512, 320, 256, 192
FRAMES = (0, 1)  # of the sample's: neighbours

WAYS: dict[str, dict[str, Any]] = {
    "av1": {"codec": "av1"},
    "lmvic": {"codec": "lmvic"},
    "lmvic_fast": {"codec": "lmvic", "effort": "fast"},
    "lmvic_learned": {"codec": "lmvic", "pictures": "learned"},
    "parahydra": {"codec": "parahydra"},
}
"""Name -> options; each has a golden archive, its decoded pixels and a line of figures."""


def write_two_views(root: Path) -> Path:
    """The same window of two views, and the sample's points."""
    transforms = json.loads((SAMPLE / "transforms.json").read_text())
    frames = sorted(transforms["frames"], key=lambda frame: frame["file_path"])
    camera = {"w": WIDTH, "h": HEIGHT, "cx": transforms["cx"] - LEFT, "cy": transforms["cy"] - TOP}
    transforms.update({**camera, "frames": [frames[idx] for idx in FRAMES]})
    (root / "images").mkdir(parents=True)
    (root / "transforms.json").write_text(json.dumps(transforms))
    shutil.copyfile(SAMPLE / transforms["ply_file_path"], root / transforms["ply_file_path"])
    for frame in transforms["frames"]:
        photograph = Image.open(SAMPLE / frame["file_path"]).crop((LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT))
        photograph.save(root / frame["file_path"], quality=95)
    return root


def compress_two_views(capture: Path, archive: Path, way: str) -> CompressReport:
    """An archive of `write_two_views` without anything but photographs, cameras and depth."""
    return compress_capture(capture, archive, depth="sparse", attachments="none", device="cpu", **WAYS[way])


def decoded_views(archive: Path) -> np.ndarray:
    """All views of an archive below each other. uint8 [2 H, W, 3]"""
    with open_archive(archive, device="cpu") as source:
        return np.concatenate([source.read_view(view.name) for view in source.views])


def coded_bytes(report: CompressReport) -> int:
    """Strings of photographs and depth: what the container around them takes is another matter."""
    return report.image_bytes + report.depth_bytes
