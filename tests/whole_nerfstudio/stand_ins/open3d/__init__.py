"""In place of open3d, 950 MB: the one function that nerfstudio reads points with."""

from pathlib import Path
from types import SimpleNamespace

from nerfstudio_mvc.capture.ply_points import read_ply_points


def _read_point_cloud(path: str) -> SimpleNamespace:
    points, colors = read_ply_points(Path(path))
    return SimpleNamespace(points=points, colors=colors / 255)


io = SimpleNamespace(read_point_cloud=_read_point_cloud)
