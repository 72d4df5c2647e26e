"""Depth maps as files: units nerfstudio understands, 0 for unknown, previews that can be looked at."""

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.splatting.depth_files import DEFAULT_UNIT, unit_of, write_depth, write_preview
from nerfstudio_mvc.splatting.depth_map import DepthMap


def make_map(scale: float = 1.0) -> DepthMap:
    depth = np.linspace(2, 20, 48, dtype=np.float32).reshape(6, 8) * np.float32(scale)
    valid = np.ones((6, 8), bool)
    valid[0, :3] = False
    return DepthMap(depth, valid)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 3e5])
@pytest.mark.parametrize("ending", ["png", "npy"])
def test_files_times_unit_are_the_depth(tmp_path, scale, ending):
    depth_map = make_map(scale)
    unit = unit_of([None, depth_map]) if ending == "png" else DEFAULT_UNIT
    path = tmp_path / f"depth.{ending}"
    write_depth(path, depth_map, unit=unit)
    steps = np.load(path) if ending == "npy" else np.asarray(Image.open(path))
    assert steps.dtype == (np.float32 if ending == "npy" else np.uint16)
    assert (steps[~depth_map.valid] == 0).all()
    error = np.abs(steps * unit - depth_map.depth)[depth_map.valid]
    assert error.max() <= (unit / 2 if ending == "png" else 0) + 1e-6 * scale * 20


def test_the_unit_is_nerfstudios_own_where_it_serves_and_one_digit_otherwise():
    assert unit_of([make_map()]) == DEFAULT_UNIT
    assert unit_of([None]) == DEFAULT_UNIT
    for scale in (1e-4, 7.0, 3e5):
        unit = unit_of([make_map(scale)])
        assert float(f"{unit:.0e}") == unit
        assert 0.1 < 20 * scale / (unit * 65535) <= 1.001


def test_near_is_warm_far_is_cold_and_unseen_is_dark(tmp_path):
    write_preview(tmp_path / "a.png", make_map())
    colors = np.asarray(Image.open(tmp_path / "a.png")).astype(int)
    assert colors.shape == (6, 8, 3)
    assert colors[0, 4, 0] > colors[0, 4, 2]
    assert colors[5, 7, 2] > colors[5, 7, 0]
    assert colors[0, 0].sum() < colors[0, 3].sum()


def test_a_flat_map_has_a_preview(tmp_path):
    write_preview(tmp_path / "a.png", DepthMap(np.full((3, 3), 2.0, np.float32), np.zeros((3, 3), bool)))
    assert (tmp_path / "a.png").exists()
