"""ns-mvc-depth's work: files, names, and a transforms.json that our own reader takes back."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.cli.depth import Depth
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.pipeline.export_depth import export_depth
from nerfstudio_mvc.splatting.prior import estimate_depth

SAMPLE = Path(__file__).parents[2] / "examples" / "data" / "nerfstudio"


@pytest.fixture(autouse=True)
def _keep_signal_handler():
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def test_depth_of_the_sample_comes_back_through_transforms_json(tmp_path):
    report = export_depth(SAMPLE, tmp_path / "depth", method="sparse")
    transforms = json.loads(report.transforms.read_text("utf-8"))
    source = load_capture(SAMPLE)
    expected = estimate_depth(source, method="sparse")
    assert report.views == len(transforms["frames"]) == len(source.views) == 8
    for view, frame in zip(source.views, transforms["frames"], strict=True):
        assert (report.output_dir / frame["file_path"]).resolve() == view.image_path.resolve()
        depth_map = expected.maps[view.view_idx]
        stored = np.load(report.output_dir / frame["depth_file_path"]) * 0.001
        np.testing.assert_allclose(stored, np.where(depth_map.valid, depth_map.depth, 0), rtol=1e-5)
        assert (report.output_dir / "previews" / f"{Path(view.name).name}.png").is_file()
    shutil.copytree(SAMPLE / "images", tmp_path / "again" / "images")
    for frame in transforms["frames"]:
        frame["file_path"] = f"images/{Path(frame['file_path']).name}"
    (tmp_path / "again" / "transforms.json").write_text(json.dumps(transforms))
    for ours, theirs in zip(load_capture(tmp_path / "again").views, source.views, strict=True):
        np.testing.assert_allclose(ours.cam_from_world, theirs.cam_from_world, atol=1e-9)
        assert ours.camera.params == pytest.approx(theirs.camera.params)


def test_an_existing_folder_needs_force(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        export_depth(SAMPLE, tmp_path, method="sparse")
    export_depth(SAMPLE, tmp_path, method="sparse", file_format="png", force=True)
    assert (tmp_path / "note").read_text() == "mine"
    assert len(list((tmp_path / "depths").glob("*.png"))) == 8


def test_the_command_prints_how_to_train(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        arguments = ["--data", str(SAMPLE), "--output-dir", str(tmp_path / "out"), "--method", "sparse"]
        run_command(Depth, "ns-mvc-depth", arguments)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "ns-train depth-nerfacto --data" in out
    assert "sparse points" in out
    with pytest.raises(SystemExit) as stop:
        run_command(Depth, "ns-mvc-depth", ["--data", str(tmp_path / "none"), "--output-dir", str(tmp_path / "x")])
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
