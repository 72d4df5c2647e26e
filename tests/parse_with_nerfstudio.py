"""Run in an interpreter that has nerfstudio: parse capture folders with its own dataparser, print what it made of them.

python parse_with_nerfstudio.py FOLDER...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig


def parse(folder: Path) -> dict:
    """Files, cameras and points of a folder, as JSON values."""
    config = NerfstudioDataParserConfig(data=folder, downscale_factor=1, eval_mode="all", load_3D_points=True)
    outputs = config.setup().get_dataparser_outputs("train")
    cameras = outputs.cameras
    return {
        "images": [path.relative_to(folder).as_posix() for path in outputs.image_filenames],
        "missing": [path.name for path in outputs.image_filenames if not path.is_file()],
        "sizes": [[int(w), int(h)] for w, h in zip(cameras.width.flatten(), cameras.height.flatten(), strict=True)],
        "intrinsics": [[float(value) for value in (c.fx, c.fy, c.cx, c.cy)] for c in cameras],
        "distortion": None if cameras.distortion_params is None else cameras.distortion_params.tolist(),
        "camera_to_worlds": cameras.camera_to_worlds.tolist(),
        "scale": float(outputs.dataparser_scale),
        "transform": outputs.dataparser_transform.tolist(),
        "points": outputs.metadata["points3D_xyz"].tolist() if "points3D_xyz" in outputs.metadata else [],
        "colors": outputs.metadata["points3D_rgb"].tolist() if "points3D_rgb" in outputs.metadata else [],
    }


if __name__ == "__main__":
    print(json.dumps([parse(Path(folder).resolve()) for folder in sys.argv[1:]]))
