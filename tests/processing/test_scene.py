"""The folder that photographs become: what ns-process-data would write, and the photographs as they were."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sfm_stand_in import PHOTOGRAPHS, SAMPLE, StandIn
from small_captures import tree

from nerfstudio_mvc.capture.ply_points import read_ply_points
from nerfstudio_mvc.errors import CaptureError, OptionError, OutputError
from nerfstudio_mvc.pipeline.progress import Warned
from nerfstudio_mvc.processing import scene
from nerfstudio_mvc.processing.scene import process_images
from nerfstudio_mvc.processing.settings import ProcessSettings

PARSER_PACKAGES = Path(sys.prefix) / "nerfstudio-parser"  # tools/make_env.sh puts them there
needs_nerfstudio = pytest.mark.skipif(
    find_spec("nerfstudio") is None and not PARSER_PACKAGES.is_dir(), reason="nerfstudio is not installed"
)
FLAT = ProcessSettings(num_downscales=0)


def copy_photographs(folder: Path, names: slice = slice(None), *, prefix: str = "") -> Path:
    folder.mkdir(parents=True)
    for path in PHOTOGRAPHS[names]:
        shutil.copy(path, folder / f"{prefix}{path.name}")
    return folder


def transforms(folder: Path) -> dict:
    return json.loads((folder / "transforms.json").read_text())


def run_nerfstudio(program: str, *arguments: object) -> dict:
    environment = dict(os.environ)
    if find_spec("nerfstudio") is None:
        environment["PYTHONPATH"] = str(PARSER_PACKAGES)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.strip().splitlines()[-1])


AS_NERFSTUDIO_WRITES_AND_READS = """
import json, sys, types
from pathlib import Path
for name in ("appdirs", "requests", "rawpy", "nerfstudio.utils.colormaps"):  # for other things than this
    sys.modules.setdefault(name, types.ModuleType(name))
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.process_data.colmap_utils import colmap_to_json

ours, theirs = (Path(word).resolve() for word in sys.argv[1:])
colmap_to_json(ours / "colmap/sparse/0", theirs)
(theirs / "images").symlink_to(ours / "images")
found = []
for folder in (ours, theirs):
    parser = NerfstudioDataParserConfig(data=folder, downscale_factor=1).setup()
    for split in ("train", "val"):
        outputs = parser.get_dataparser_outputs(split)
        cameras = outputs.cameras
        found.append({
            "images": [path.relative_to(folder).as_posix() for path in outputs.image_filenames],
            "type": cameras.camera_type.tolist(),
            "scale": outputs.dataparser_scale,
            "transform": outputs.dataparser_transform.tolist(),
            **{name: getattr(cameras, name).tolist() for name in
               ("fx", "fy", "cx", "cy", "width", "height", "distortion_params", "camera_to_worlds")},
        })
print(json.dumps(found))
"""


@needs_nerfstudio
@pytest.mark.nerfstudio
def test_nerfstudio_writes_and_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn(monkeypatch)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    theirs.mkdir()
    process_images(copy_photographs(tmp_path / "photos"), ours, FLAT)
    parsed = run_nerfstudio(AS_NERFSTUDIO_WRITES_AND_READS, ours, theirs)

    mine, reference = transforms(ours), transforms(theirs)
    assert set(mine) == set(reference)
    by_name = {frame["file_path"]: frame for frame in reference.pop("frames")}
    for frame in mine.pop("frames"):
        expected = by_name.pop(frame["file_path"])
        assert set(frame) == set(expected)
        assert frame["colmap_im_id"] == expected["colmap_im_id"]
        np.testing.assert_allclose(frame["transform_matrix"], expected["transform_matrix"], atol=1e-12)
    assert not by_name
    assert mine == reference

    for (points, colors), (their_points, their_colors) in [
        (read_ply_points(ours / "sparse_pc.ply"), read_ply_points(theirs / "sparse_pc.ply"))
    ]:
        np.testing.assert_allclose(points, their_points, atol=2e-6)  # six decimals of float32
        np.testing.assert_array_equal(colors, their_colors)

    assert len(parsed[0]["images"]) + len(parsed[1]["images"]) >= 8
    for field in parsed[0]:
        for split in (0, 1):
            if isinstance(parsed[split][field], list) and field != "images":
                np.testing.assert_allclose(parsed[split][field], parsed[2 + split][field], atol=1e-6)  # float32
            else:
                assert parsed[split][field] == parsed[2 + split][field]


def test_photographs_are_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn(monkeypatch)
    photos = copy_photographs(tmp_path / "photos")
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    report = process_images(photos, tmp_path / "scene")
    assert (report.photographs, report.without_camera, report.done_before) == (8, (), False)
    assert report.points == len(read_ply_points(tmp_path / "scene/sparse_pc.ply")[0]) > 1000
    for name, content in before.items():
        assert (tmp_path / "scene/images" / name).read_bytes() == content
        assert (tmp_path / "scene/images" / name).samefile(photos / name)  # no second copy on the disk
        assert (photos / name).read_bytes() == content
    for factor, size in ((2, (640, 425)), (4, (320, 212)), (8, (160, 106))):  # ffmpeg cuts 425.5 off
        folder = tmp_path / "scene" / f"images_{factor}"
        assert {path.name for path in folder.iterdir()} == set(before)
        assert {Image.open(path).size for path in folder.iterdir()} == {size}
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "scene"}  # nothing hidden stays


def test_photographs_are_copied_where_they_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    StandIn(monkeypatch)
    monkeypatch.setattr(os, "link", refuse)
    photos = copy_photographs(tmp_path / "photos")
    process_images(photos, tmp_path / "scene", FLAT)
    assert tree(tmp_path / "scene/images") == tree(photos)


def test_photographs_without_a_camera_are_named_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = (PHOTOGRAPHS[1].name, PHOTOGRAPHS[6].name)
    StandIn(monkeypatch, without=lost)
    events = []
    photos = copy_photographs(tmp_path / "photos")
    report = process_images(photos, tmp_path / "scene", FLAT, on_event=events.append)
    assert report.without_camera == lost
    (warning,) = [event.message for event in events if isinstance(event, Warned)]
    assert warning.startswith("2 of 8 photographs have no camera")
    assert all(name in warning for name in lost)
    assert tree(tmp_path / "scene/images") == tree(photos)
    assert len(transforms(tmp_path / "scene")["frames"]) == 6


def test_no_camera_at_all_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn(monkeypatch, without=[path.name for path in PHOTOGRAPHS])
    with pytest.raises(CaptureError, match="no cameras can be found for these 8 photographs"):
        process_images(copy_photographs(tmp_path / "photos"), tmp_path / "scene", FLAT)
    assert not (tmp_path / "scene").exists()


SPLITS = """
import json, sys
from pathlib import Path
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
found = {}
for mode in ("fraction", "filename"):
    parser = NerfstudioDataParserConfig(data=Path(sys.argv[1]), downscale_factor=1, eval_mode=mode).setup()
    for split in ("train", "val", "test"):
        found[f"{mode} {split}"] = [path.name for path in parser.get_dataparser_outputs(split).image_filenames]
print(json.dumps(found))
"""


@needs_nerfstudio
@pytest.mark.nerfstudio
def test_eval_data_is_what_nerfstudio_evaluates_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = StandIn(monkeypatch, without=[PHOTOGRAPHS[7].name]).calls
    photos = copy_photographs(tmp_path / "photos", slice(0, 5))
    held_out = copy_photographs(tmp_path / "held out", slice(5, 8))
    process_images(photos, tmp_path / "scene", ProcessSettings(eval_data=held_out, num_downscales=0))
    found = run_nerfstudio(SPLITS, tmp_path / "scene")
    for mode in ("fraction", "filename"):
        assert found[f"{mode} train"] == [f"train_{path.name}" for path in PHOTOGRAPHS[:5]]
        # The last one has no camera.
        assert found[f"{mode} val"] == found[f"{mode} test"] == [f"eval_{path.name}" for path in PHOTOGRAPHS[5:7]]
    # Neighbours by name would never meet those of the other folder.
    assert calls[0][1].matching == "exhaustive"


def test_names_from_several_folders_lie_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn(monkeypatch)
    photos = tmp_path / "photos"
    copy_photographs(photos / "left", slice(0, 3))
    copy_photographs(photos / "right", slice(3, 8))
    process_images(photos, photos / "scene", FLAT)
    expected = [f"left_{path.name}" for path in PHOTOGRAPHS[:3]] + [f"right_{path.name}" for path in PHOTOGRAPHS[3:]]
    assert sorted(path.name for path in (photos / "scene/images").iterdir()) == expected
    # What was made there is no source of the next one.
    assert process_images(photos, photos / "scene", FLAT).done_before

    shutil.copy(PHOTOGRAPHS[0], photos / f"left_{PHOTOGRAPHS[0].name}")
    with pytest.raises(CaptureError, match=r"left/frame_00001.jpg and left_frame_00001.jpg would both be called"):
        process_images(photos, tmp_path / "other", FLAT)


def test_a_stopped_run_goes_on_to_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = copy_photographs(tmp_path / "photos")
    estimate = StandIn(monkeypatch)
    process_images(photos, tmp_path / "at once")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(scene, "estimate_cameras", interrupt)
    events = []
    with pytest.raises(KeyboardInterrupt):
        process_images(photos, tmp_path / "scene", on_event=events.append)
    assert events[-1] == Warned("what is done so far is kept: the same command goes on from there")
    assert not (tmp_path / "scene").exists()

    monkeypatch.setattr(scene, "estimate_cameras", estimate)
    monkeypatch.setattr("nerfstudio_mvc.processing.smaller_pictures.shrink", None)  # they are there already
    process_images(photos, tmp_path / "scene")
    assert tree(tmp_path / "scene") == tree(tmp_path / "at once")
    assert len(estimate.calls) == 2


def test_a_finished_run_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = copy_photographs(tmp_path / "photos")
    estimate = StandIn(monkeypatch)
    first = process_images(photos, tmp_path / "scene", FLAT)
    again = process_images(photos, tmp_path / "scene", FLAT)
    assert again.done_before
    assert (again.photographs, again.points) == (first.photographs, first.points)
    assert len(estimate.calls) == 1

    fisheye = ProcessSettings(num_downscales=0, camera_type="fisheye")
    with pytest.raises(OutputError, match="exists already and is not empty"):
        process_images(photos, tmp_path / "scene", fisheye)
    (tmp_path / "scene/notes.txt").write_text("mine")
    process_images(photos, tmp_path / "scene", ProcessSettings(num_downscales=0, camera_type="fisheye", force=True))
    assert estimate.calls[-1][1].camera_model == "OPENCV_FISHEYE"
    assert (tmp_path / "scene/notes.txt").read_text() == "mine"


def test_a_changed_photograph_is_not_taken_for_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = copy_photographs(tmp_path / "photos")
    StandIn(monkeypatch)
    process_images(photos, tmp_path / "scene", FLAT)
    shutil.copy(PHOTOGRAPHS[1], photos / PHOTOGRAPHS[0].name)
    with pytest.raises(OutputError, match="exists already"):
        process_images(photos, tmp_path / "scene", FLAT)


@pytest.mark.parametrize("damage", [b"no picture", None])
def test_a_damaged_photograph_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None) -> None:
    calls = StandIn(monkeypatch).calls
    photos = copy_photographs(tmp_path / "photos")
    damaged = photos / PHOTOGRAPHS[3].name
    damaged.write_bytes(damage or damaged.read_bytes()[:30000])
    with pytest.raises(CaptureError, match=rf"{damaged.name}: unreadable image") as caught:
        process_images(photos, tmp_path / "scene")
    assert "mvc-partial" not in str(caught.value)
    assert not calls  # found out before the long part


@pytest.mark.parametrize(
    ("name", "value"), [("num_downscales", -1), ("num_downscales", 7), ("max_image_size", 20), ("num_frames_target", 1)]
)
def test_settings_out_of_range(name: str, value: int) -> None:
    with pytest.raises(OptionError, match=name):
        ProcessSettings(**{name: value})


def test_the_key_of_a_folder_says_nothing_about_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn(monkeypatch)
    process_images(copy_photographs(tmp_path / "photos"), tmp_path / "scene", FLAT)
    record = (tmp_path / "scene/process_data.json").read_text()
    assert str(tmp_path) not in record  # it goes into archives
    assert len(json.loads(record)["key"]) == len(hashlib.sha256().hexdigest())
    assert SAMPLE.name not in record
