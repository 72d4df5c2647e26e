"""compare_dataparsers.py ORIGINAL RESTORED: what nerfstudio's two dataparsers make of both folders, field by field.

Prints a JSON list of [how it was parsed, views, names of fields that differ].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

CAMERAS = ("fx", "fy", "cx", "cy", "width", "height", "camera_to_worlds", "distortion_params", "camera_type", "times")


def config(folder: Path, parser: str, factor: int):
    if parser == "colmap":
        return ColmapDataParserConfig(data=folder, colmap_path=Path("colmap/sparse/0"), downscale_factor=factor)
    interval = {"eval_mode": "interval", "eval_interval": 4}
    return NerfstudioDataParserConfig(data=folder, downscale_factor=factor, load_3D_points=True, **interval)


def fields(folder: Path, parser: str, factor: int, split: str) -> dict:
    outputs = config(folder, parser, factor).setup().get_dataparser_outputs(split)
    return {
        "files": [path.relative_to(folder).as_posix() for path in outputs.image_filenames],
        "missing": [path.name for path in outputs.image_filenames if not path.is_file()],
        **{name: getattr(outputs.cameras, name) for name in CAMERAS},
        "scale": outputs.dataparser_scale,
        "transform": outputs.dataparser_transform,
        "box": outputs.scene_box.aabb,
        "masks": outputs.mask_filenames,
        **{f"metadata {name}": value for name, value in outputs.metadata.items()},
    }


def same(one, other) -> bool:
    if torch.is_tensor(one):
        return torch.is_tensor(other) and one.shape == other.shape and bool((one == other).all())
    return one == other


original, restored = (Path(word).resolve() for word in sys.argv[1:])
found = []
for parser, factor in (("nerfstudio", 1), ("nerfstudio", 2), ("nerfstudio", 8), ("colmap", 1)):
    for split in ("train", "val"):
        one, other = (fields(folder, parser, factor, split) for folder in (original, restored))
        differ = [name for name in sorted({*one, *other}) if not same(one.get(name), other.get(name))]
        if one["missing"] or one.get("metadata points3D_xyz") is None:
            differ.append("nothing to compare")
        found.append([f"{parser}, {factor}, {split}", len(one["files"]), differ])
print(json.dumps(found))
