"""The sharpest frame of each part of a video, as PNG. Decoding is imageio-ffmpeg's business, which brings an ffmpeg."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.processing.photographs import write_whole_image

Progress = Callable[[str, int, int], None]


def extract_frames(
    video: Path, folder: Path, *, target: int, prefix: str, on_progress: Progress | None = None
) -> list[str]:
    """Write the sharpest frame of each of `target` equally long parts of a video to `folder`, turned as it is shown.

    Args:
        video: any file that ffmpeg reads.
        folder: frames that are there already are not written again.
        target: about how many frames; all of them where there are no more.
        prefix: of their names, which go on with a number from 1.
        on_progress: called with ("frames", done, total).

    Returns:
        The names, in order.

    Raises:
        CaptureError: it cannot be decoded.
        OSError: `folder` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = on_progress or (lambda stage, done, total: None)
    names = []
    try:
        for part, parts, frame in _sharpest(video, target):
            name = f"{prefix}{part + 1:05d}.png"
            if not (folder / name).exists():
                write_whole_image(folder / name, frame)
            names.append(name)
            report("frames", part + 1, parts)
    except (RuntimeError, IndexError, ValueError, AssertionError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split("=== stderr ===")[0].split())[:120] or type(error).__name__
        raise CaptureError(f"{video}: cannot be read as a video ({reason}); convert it, for instance to MP4") from None
    if not names:
        raise CaptureError(f"{video}: there are no frames in it; give another video")
    return names


def check_video(video: Path) -> None:
    """Raise CaptureError where there is no such file."""
    if not video.is_file():
        what = "is a folder" if video.is_dir() else "there is no such file"
        raise CaptureError(f"{video}: {what}; give a video (for a folder of photographs: ns-mvc-process-data images)")


def _sharpest(video: Path, target: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """(number of the part, how many there are, its sharpest frame [H, W, 3]) of each part that has frames."""
    # Each frame once: phones take them at uneven times, and ffmpeg would repeat some and drop others.
    frames = imageio_ffmpeg.read_frames(os.fspath(video), output_params=["-fps_mode", "passthrough"])
    with closing(frames):
        found = next(frames)
        width, height = found["size"]
        count = round(found["fps"] * found["duration"]) or imageio_ffmpeg.count_frames_and_secs(os.fspath(video))[0]
        parts = max(1, min(target, count))
        current, best, best_sharpness = 0, None, -1.0
        for number, content in enumerate(frames):
            frame = np.frombuffer(content, np.uint8).reshape(height, width, 3)
            part = min(number * parts // max(count, 1), parts - 1)
            if part != current and best is not None:
                yield current, parts, best
                best, best_sharpness = None, -1.0
            current, score = part, sharpness(frame)
            if score > best_sharpness:
                best, best_sharpness = frame, score
        if best is not None:
            yield current, parts, best


def sharpness(frame: np.ndarray) -> float:
    """Variance of the Laplacian of the green channel at half the size: higher is sharper. uint8 [H, W, 3]"""
    height, width = (side // 2 * 2 for side in frame.shape[:2])
    green = frame[:height, :width, 1].astype(np.float32)
    half = (green[0::2, 0::2] + green[1::2, 0::2] + green[0::2, 1::2] + green[1::2, 1::2]) / 4
    inner = half[1:-1, 1:-1]
    laplacian = half[:-2, 1:-1] + half[2:, 1:-1] + half[1:-1, :-2] + half[1:-1, 2:] - 4 * inner
    return float(laplacian.var()) if laplacian.size else 0.0
