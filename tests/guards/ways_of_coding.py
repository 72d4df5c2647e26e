"""Every way of coding that ships, on a window of some views of the sample, sparse points included."""

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
WIDTH, HEIGHT = 256, 192
PLACES: dict[str, tuple[int, int, tuple[int, ...]]] = {"parahydra_three": (256, 612, (0, 1, 2))}
"""Left, top and frames of the sample that a way is tried on. Of these the second has two sides, one of which closes in
.2214 of its cells; the first leaves one out that closes in .2191."""
USUAL_PLACE = (512, 320, (0, 1))

WAYS: dict[str, dict[str, Any]] = {
    "av1": {"codec": "av1"},
    "lmvic": {"codec": "lmvic"},
    "lmvic_fast": {"codec": "lmvic", "effort": "fast"},
    "lmvic_learned": {"codec": "lmvic", "pictures": "learned"},
    "parahydra": {"codec": "parahydra"},
    "parahydra_three": {"codec": "parahydra", "quality": 3.0, "effort": "fast"},
}
"""Name -> options; each has a golden archive, its decoded pixels and a line of figures."""


def write_views(root: Path, way: str) -> Path:
    """The same window of neighbours, and the sample's points."""
    left, top, chosen = PLACES.get(way, USUAL_PLACE)
    transforms = json.loads((SAMPLE / "transforms.json").read_text())
    frames = sorted(transforms["frames"], key=lambda frame: frame["file_path"])
    camera = {"w": WIDTH, "h": HEIGHT, "cx": transforms["cx"] - left, "cy": transforms["cy"] - top}
    transforms.update({**camera, "frames": [frames[idx] for idx in chosen]})
    (root / "images").mkdir(parents=True)
    (root / "transforms.json").write_text(json.dumps(transforms))
    shutil.copyfile(SAMPLE / transforms["ply_file_path"], root / transforms["ply_file_path"])
    for frame in transforms["frames"]:
        photograph = Image.open(SAMPLE / frame["file_path"]).crop((left, top, left + WIDTH, top + HEIGHT))
        photograph.save(root / frame["file_path"], quality=95)
    return root


def compress_views(capture: Path, archive: Path, way: str) -> CompressReport:
    """An archive of `write_views` without anything but photographs, cameras and depth."""
    return compress_capture(capture, archive, depth="sparse", attachments="none", device="cpu", **WAYS[way])


def decoded_views(archive: Path) -> np.ndarray:
    """All views of an archive below each other. uint8 [V H, W, 3]"""
    with open_archive(archive, device="cpu") as source:
        return np.concatenate([source.read_view(view.name) for view in source.views])


def coded_bytes(report: CompressReport) -> int:
    """Strings of photographs and depth: what the container around them takes is another matter."""
    return report.image_bytes + report.depth_bytes
