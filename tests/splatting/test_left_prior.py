"""Gaussians that training left in a capture: taken where they fit its cameras, named and passed over where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_scene as scene

from nerfstudio_mvc.capture.views import PRIOR_FOLDER
from nerfstudio_mvc.splatting.capture_gaussians import fit_photographs, scene_frame, training_view
from nerfstudio_mvc.splatting.fitting import FittingSettings
from nerfstudio_mvc.splatting.gaussian_files import read_gaussians
from nerfstudio_mvc.splatting.left_prior import (
    GAUSSIANS_NAME,
    RECORD_NAME,
    find_left_prior,
    fingerprint_of_cameras,
    write_left_prior,
)
from nerfstudio_mvc.splatting.prior import estimate_depth
from nerfstudio_mvc.splatting.workers import Workers

POSITIONS = [(-0.6, 0.0, 0.0), (0.0, 0.1, 0.0), (0.6, 0.0, 0.0)]


@pytest.fixture
def capture(tmp_path: Path):
    views = [scene.look_at(index, at, size=(96, 72)) for index, at in enumerate(POSITIONS)]
    return scene.capture(views, tmp_path / "scene", point_count=400)


@pytest.fixture(scope="module")
def gaussians(tmp_path_factory: pytest.TempPathFactory):
    """Fitted to the scene, in world units."""
    views = [scene.look_at(index, at, size=(96, 72)) for index, at in enumerate(POSITIONS)]
    capture = scene.capture(views, tmp_path_factory.mktemp("fitted"), point_count=400)
    frame = scene_frame(capture)
    photographs = [training_view(view, frame, long_side=96) for view in capture.views]
    with Workers() as workers:
        found = fit_photographs(capture, photographs, FittingSettings(96, 60, 800), device="cpu", workers=workers)
    return found.gaussians.moved(offset=-frame.offset * frame.scale, scale=1 / frame.scale)


def leave(capture, gaussians) -> Path:
    return write_left_prior(
        capture.root, gaussians, cameras=fingerprint_of_cameras(capture.views), made_by="ns-train, step 9"
    )


def test_what_is_left_is_found_and_read_back(capture, gaussians) -> None:
    assert find_left_prior(capture) is None
    folder = leave(capture, gaussians)
    assert folder == capture.root / PRIOR_FOLDER
    left = find_left_prior(capture)
    assert (left.fits, left.made_by) == (True, "ns-train, step 9")
    read = read_gaussians(left.gaussians).gaussians
    for name, array in read.arrays().items():
        expected = gaussians.harmonics[:, :1] if name == "harmonics" else gaussians.arrays()[name]
        np.testing.assert_array_equal(array, expected, err_msg=name)
    assert {path.name for path in folder.iterdir()} == {GAUSSIANS_NAME, RECORD_NAME}


def test_depth_is_taken_from_it_rather_than_fitted(capture, gaussians) -> None:
    leave(capture, gaussians)
    stages = set()
    prior = estimate_depth(capture, on_progress=lambda stage, done, total: stages.add(stage))
    assert "left by ns-train, step 9" in prior.note
    assert stages == {"depth"}
    for view, found in zip(capture.views, prior.maps, strict=True):
        height, width = found.depth.shape
        exact = scene.picture(view, height=height, width=width).depth
        assert np.median(np.abs(np.log(found.depth / exact))) < 0.1
    assert estimate_depth(capture, method="sparse").method == "sparse"


def test_other_cameras_and_damage_are_named_and_passed_over(capture, gaussians) -> None:
    def warnings_of(changed) -> list[str]:
        said: list[str] = []
        few = replace(changed, points=changed.points[:20], point_colors=changed.point_colors[:20])
        few = replace(few, views=tuple(replace(view, point_idxs=np.arange(20)) for view in few.views))
        assert estimate_depth(few, on_warning=said.append).method == "sparse"  # as if nothing had been left
        return said

    folder = leave(capture, gaussians)
    first, *others = capture.views
    camera = replace(first.camera, params=(*first.camera.params[:-1], first.camera.params[-1] + 0.01))
    moved = first.cam_from_world.copy()
    moved[0, 3] += 1e-9
    for other in (replace(first, camera=camera), replace(first, cam_from_world=moved), replace(first, name="x.png")):
        (line,) = warnings_of(replace(capture, views=(other, *others)))
        assert "other cameras" in line
    content = (folder / GAUSSIANS_NAME).read_bytes()
    (folder / GAUSSIANS_NAME).write_bytes(content[:-100])
    (line,) = warnings_of(capture)
    assert GAUSSIANS_NAME in line
    for damage in (b"", b"[]", b'{"version": 2}', b'{"version": 1}', b"\xff", b"[" * 9999):
        (folder / RECORD_NAME).write_bytes(damage)
        (line,) = warnings_of(capture)
        assert RECORD_NAME in line
        assert "\n" not in line
