"""Frames of a video: the sharpest of each part, the right way up, under their numbers."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageFilter
from sfm_stand_in import PHOTOGRAPHS

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.processing import scene
from nerfstudio_mvc.processing.scene import process_video
from nerfstudio_mvc.processing.settings import ProcessSettings
from nerfstudio_mvc.processing.video_frames import extract_frames, sharpness

SIZE = (320, 208)
SHARP = (2, 5, 11)
"""Of twelve frames, those in focus: the third, the sixth, the last."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames without loss worth speaking of, numbered by the brightness of a patch."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    picture = Image.open(PHOTOGRAPHS[0]).resize(SIZE)
    blurred = picture.filter(ImageFilter.GaussianBlur(2))
    writer = imageio_ffmpeg.write_frames(
        str(path), SIZE, fps=12, codec="libx264", output_params=["-crf", "4"], macro_block_size=16
    )
    writer.send(None)
    for number in range(12):
        frame = (picture if number in SHARP else blurred).copy()
        frame.paste((20 * number,) * 3, (0, 0, 64, 64))
        writer.send(np.asarray(frame).tobytes())
    writer.close()
    return path


def number_of(path: Path) -> int:
    with Image.open(path) as frame:
        assert frame.size == SIZE
        return round(float(np.asarray(frame.convert("L"))[8:56, 8:56].mean()) / 20)


def test_the_sharpest_frame_of_each_part(video: Path, tmp_path: Path) -> None:
    progress = []
    names = extract_frames(
        video, tmp_path, target=3, prefix="frame_", on_progress=lambda *event: progress.append(event)
    )
    assert names == ["frame_00001.png", "frame_00002.png", "frame_00003.png"]
    assert [number_of(tmp_path / name) for name in names] == list(SHARP)
    assert progress[-1] == ("frames", 3, 3)


def test_all_frames_where_there_are_no_more(video: Path, tmp_path: Path) -> None:
    names = extract_frames(video, tmp_path, target=300, prefix="frame_")
    assert [number_of(tmp_path / name) for name in names] == list(range(12))


def test_blur_is_less_sharp_and_size_does_not_matter() -> None:
    picture = Image.open(PHOTOGRAPHS[0]).resize(SIZE)
    scores = [sharpness(np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)]
    assert scores == sorted(scores, reverse=True)
    assert sharpness(np.zeros((3, 5, 3), np.uint8)) == 0.0


def test_a_video_becomes_a_folder_and_a_stopped_one_goes_on(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def estimate(folder, names, *, sizes, on_progress=None, settings=None, scratch=None):
        asked.append((list(names), settings.matching))
        raise KeyboardInterrupt

    monkeypatch.setattr(scene, "estimate_cameras", estimate)
    settings = ProcessSettings(num_frames_target=4, eval_data=video)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            process_video(video, tmp_path / "scene", settings)
        monkeypatch.setattr(scene, "extract_frames", pytest.fail)  # the second time they are there
    names = [f"frame_{split}_{number:05d}.png" for split in ("train", "eval") for number in range(1, 5)]
    assert asked == [(names, "exhaustive")] * 2
    assert settings.mapping(video=False).matching == "exhaustive"
    assert ProcessSettings().mapping(video=True).matching == "sequential"
    assert ProcessSettings(matching_method="exhaustive").mapping(video=True).matching == "exhaustive"


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\x00\x01 no video" * 100)
    with pytest.raises(CaptureError, match=r"a\.mp4: cannot be read as a video") as caught:
        process_video(tmp_path / "a.mp4", tmp_path / "scene")
    assert "\n" not in str(caught.value)
    with pytest.raises(CaptureError, match="is a folder"):
        process_video(tmp_path, tmp_path / "scene")
