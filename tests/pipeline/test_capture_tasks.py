"""A compression cut into tasks: the bytes of one run, and nothing done twice or by the wrong hands."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree, write_nerfstudio_capture

from colmap_io.records import Camera, Model
from colmap_io.records import Image as PosedImage
from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.errors import CaptureError, OutputError
from nerfstudio_mvc.pipeline import capture_tasks as module
from nerfstudio_mvc.pipeline.capture_tasks import code_group, finish_capture, prepare_capture
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.prior import DepthPrior


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=6)


def options_with(codec: RawCodec) -> CompressOptions:
    return CompressOptions(codec=codec, group_size=2)


def depth_of(value: float, calls: list[int]):
    """An `estimate_depth` that counts its calls."""

    def estimate(capture, **_):
        calls.append(len(capture.views))
        grid = np.full((4, 6), value, np.float32)
        return DepthPrior(tuple(DepthMap(grid, grid > 0) for _ in capture.views), "gaussians", "made up")

    return estimate


def test_tasks_make_the_file_of_one_run(capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "estimate_depth", depth_of(2.0, calls := []))
    monkeypatch.setattr("nerfstudio_mvc.pipeline.compress.estimate_depth", depth_of(2.0, []))
    alone = compress_capture(capture, tmp_path / "alone.mvc", options_with(RawCodec()))
    codec = RawCodec()
    options, archive = options_with(codec), tmp_path / "tasks.mvc"
    prepared = prepare_capture(capture, archive, options)
    for task in prepared.groups:
        code_group(task)
    report = finish_capture(capture, archive, options, prepared)
    assert archive.read_bytes() == (tmp_path / "alone.mvc").read_bytes()
    assert report.psnr_db == pytest.approx(alone.psnr_db)
    assert report.depth == "made up"
    assert codec.depths == dict.fromkeys(range(6), (4, 6))
    assert {path.name for path in tmp_path.iterdir()} == {"capture", "alone.mvc", "tasks.mvc", ".tasks.mvc.source"}
    assert calls == [6]


def test_what_was_done_before_a_stop_is_not_done_again(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "estimate_depth", depth_of(2.0, calls := []))
    codec = RawCodec()
    options, archive = options_with(codec), tmp_path / "a.mvc"
    first = prepare_capture(capture, archive, options)
    code_group(first.groups[1])
    code_group(first.groups[1])
    second = prepare_capture(capture, archive, options)
    assert [task.group_idx for task in second.groups] == [0, 2]
    assert calls == [6]
    for task in second.groups:
        code_group(task)
    assert codec.encoded_groups == [1, 0, 2]
    # Other options: what lies there is thrown away, not refused.
    assert len(prepare_capture(capture, archive, CompressOptions(codec=codec, group_size=2, quality=3)).groups) == 3


def test_a_photograph_that_changes_meanwhile_ends_the_capture(capture: Path, tmp_path: Path) -> None:
    options, archive = CompressOptions(codec=RawCodec(), group_size=2, depth="none"), tmp_path / "a.mvc"
    prepared = prepare_capture(capture, archive, options)
    for task in prepared.groups:
        code_group(task)
    Image.new("RGB", (48, 32)).save(capture / "images" / "frame_00002.png")
    with pytest.raises(CaptureError, match="changed while it was compressed"):
        finish_capture(capture, archive, options, prepared)
    assert not archive.exists()


def test_a_group_does_not_get_into_the_folder_of_another_run(capture: Path, tmp_path: Path) -> None:
    archive, codec = tmp_path / "a.mvc", RawCodec()
    (task, *_) = prepare_capture(capture, archive, options_with(codec)).groups
    other = prepare_capture(capture, archive, CompressOptions(codec=codec, group_size=2, quality=3))
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="another run has taken its work folder"):
        code_group(task)
    assert tree(tmp_path) == before
    assert other.groups
    assert codec.encoded_groups == []


def test_groups_share_the_folder_and_a_whole_run_waits_outside(capture: Path, tmp_path: Path) -> None:
    archive, refused = tmp_path / "a.mvc", []

    class Intruded(RawCodec):
        def encode_group(self, group_idx, *arguments, **settings):
            if group_idx == 0:
                code_group(first.groups[1])  # beside this one
                with pytest.raises(OutputError, match="is being written by another run"):
                    compress_capture(capture, archive, codec=RawCodec(), group_size=2)
                refused.append(True)
            return super().encode_group(group_idx, *arguments, **settings)

    codec = Intruded()
    first = prepare_capture(capture, archive, options_with(codec))
    code_group(first.groups[0])
    assert refused
    assert codec.encoded_groups == [1, 0]


def test_estimated_cameras_are_kept_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = tmp_path / "capture"
    capture.mkdir()
    names = ["a.png", "b.png", "c.png"]
    for idx, name in enumerate(names):
        Image.new("RGB", (48, 32), (80 * idx, 10, 20)).save(capture / name)

    def estimate(folder, names, *, sizes, num_threads, on_progress=None):
        assert num_threads == 1  # repeats exactly
        camera = Camera(1, "PINHOLE", 48, 32, (50.0, 50.0, 24.0, 16.0))
        images = [
            PosedImage(idx + 1, np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.1 * idx, 0.0, 1.0]), 1, name)
            for idx, name in enumerate(names[:2])
        ]
        return Model((camera,), tuple(images))

    monkeypatch.setattr(module, "estimate_cameras", estimate)
    options, archive = CompressOptions(codec=RawCodec(), depth="none"), tmp_path / "a.mvc"
    prepared = prepare_capture(capture, archive, options)
    monkeypatch.setattr(module, "estimate_cameras", None)
    for task in prepared.groups:
        code_group(pickle.loads(pickle.dumps(task)))
    report = finish_capture(capture, archive, options, prepared)
    assert report.views == 3
