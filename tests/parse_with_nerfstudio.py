"""Run in an interpreter that has nerfstudio: parse capture folders with its own dataparser, print what it made of them.

python parse_with_nerfstudio.py FOLDER...
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig


def parse(folder: Path) -> dict:
    """Files, cameras and point count of a folder, as JSON values."""
    # nerfstudio reads points with open3d, 400 MB that tests do without; that file comes back byte for byte anyway.
    with_points = find_spec("open3d") is not None
    config = NerfstudioDataParserConfig(data=folder, downscale_factor=1, eval_mode="all", load_3D_points=with_points)
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
    }


if __name__ == "__main__":
    print(json.dumps([parse(Path(folder).resolve()) for folder in sys.argv[1:]]))
