"""What training with mvc-splatfacto leaves is found by compression, and never archived."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.capture.views import PRIOR_FOLDER
from nerfstudio_mvc.nerfstudio_plugin.prior_hook import leave_prior
from nerfstudio_mvc.splatting.gaussian_files import read_gaussians
from nerfstudio_mvc.splatting.left_prior import GAUSSIANS_NAME

TURNED = np.array([[0.0, -1, 0, 2], [1, 0, 0, -1], [0, 0, 1, 0.5]])
SCALE = 0.25


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "garden")


def parameters(points: np.ndarray) -> dict[str, torch.Tensor]:
    """Splatfacto's, of a Gaussian at each of `points`, where nerfstudio has put them."""
    count = len(points)
    means = SCALE * (points @ TURNED[:, :3].T + TURNED[:, 3])
    return {
        "means": torch.tensor(means, dtype=torch.float32).requires_grad_(),
        "scales": torch.full((count, 3), np.log(0.3 * SCALE)),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).expand(count, 4),
        "opacities": torch.full((count, 1), 3.0),
        "features_dc": torch.zeros(count, 3),
        "features_rest": torch.zeros(count, 15, 3),
    }


def pipeline(data: Path) -> SimpleNamespace:
    """As much of nerfstudio's as is asked."""
    world = SimpleNamespace(dataparser_transform=torch.tensor(TURNED), dataparser_scale=SCALE)
    dataparser = SimpleNamespace(config=SimpleNamespace(data=data))
    return SimpleNamespace(datamanager=SimpleNamespace(dataparser=dataparser, train_dataparser_outputs=world))


def wall() -> np.ndarray:
    """In front of the cameras, which stand at z = 1 and look along -z."""
    x, y = np.meshgrid(np.linspace(-3, 3, 25), np.linspace(-3, 3, 25))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, -2.0)], axis=1)


@pytest.mark.parametrize("named", ["", "transforms.json"])
def test_compression_uses_what_is_left_and_leaves_it_out(capture: Path, tmp_path: Path, named: str) -> None:
    said = leave_prior(parameters(wall()), pipeline(capture / named), run=tmp_path / "mvc-splatfacto" / "now", step=7)
    assert said.startswith("625 Gaussians left in")
    left = read_gaussians(capture / PRIOR_FOLDER / GAUSSIANS_NAME).gaussians
    np.testing.assert_allclose(left.means, wall(), atol=1e-5)
    np.testing.assert_allclose(np.exp(left.log_scales), 0.3, rtol=1e-5)
    for attachments in ("lean", "all"):
        report = compress_capture(capture, tmp_path / f"{attachments}.mvc", codec=RawCodec(), attachments=attachments)
        assert "left by ns-train, mvc-splatfacto now, step 7" in report.depth
        assert [item.path for item in report.left_out if "mvc-splatfacto" in item.reason] == [PRIOR_FOLDER]
        assert report.warnings == ()


def test_cameras_that_changed_since_are_told_in_a_line(capture: Path, tmp_path: Path) -> None:
    leave_prior(parameters(wall()), pipeline(capture), run=tmp_path / "mvc-splatfacto" / "now", step=7)
    transforms = capture / "transforms.json"
    transforms.write_text(transforms.read_text().replace('"fl_x": 52.8', '"fl_x": 52.9'))
    report = compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec())
    (line,) = report.warnings
    assert "other cameras" in line
    assert "left by" not in report.depth


def test_training_goes_on_where_nothing_can_be_left(capture: Path, tmp_path: Path) -> None:
    run = tmp_path / "run" / "now"
    broken = parameters(wall()) | {"opacities": torch.zeros(3, 1)}
    assert leave_prior(broken, pipeline(capture), run=run, step=1).startswith("no depth prior is left")
    archive = tmp_path / "a.mvc"
    archive.write_bytes(b"")
    assert "archive" in leave_prior(parameters(wall()), pipeline(archive), run=run, step=1)
    (capture / PRIOR_FOLDER).write_text("in the way")
    assert "cannot be written" in leave_prior(parameters(wall()), pipeline(capture), run=run, step=1)
