"""images_2, images_4, images_8 beside the photographs, where nerfstudio looks for them, in the sizes it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.cores import available_cores
from nerfstudio_mvc.pipeline.downscaled import shrink, shrink_metadata
from nerfstudio_mvc.processing.photographs import write_whole_image

Progress = Callable[[str, int, int], None]


def make_smaller_pictures(
    root: Path, names: Sequence[str], *, num_downscales: int, on_progress: Progress | None = None
) -> int:
    """Write ``images_2/..`` and so on, halved `num_downscales` times; those that are there stay. How many were made.

    Args:
        root: the capture folder.
        names: POSIX paths of the photographs below it.
        num_downscales: 0 makes none.
        on_progress: called with ("smaller copies", done, total).

    Raises:
        CaptureError: a photograph cannot be read.
        OSError: the folder cannot be written.
    """
    factors = [2**power for power in range(1, num_downscales + 1)]
    missing = {
        name: targets
        for name in names
        if (targets := {factor: place for factor in factors if not (place := _place(root, name, factor)).exists()})
    }
    for factor in factors if missing else ():
        (root / f"images_{factor}").mkdir(exist_ok=True)
    report = on_progress or (lambda stage, done, total: None)
    with ThreadPoolExecutor(available_cores()) as pool:
        try:
            for done, _ in enumerate(pool.map(lambda item: _shrink_one(root / item[0], item[1]), missing.items()), 1):
                report("smaller copies", done, len(missing))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sum(map(len, missing.values()))


def _place(root: Path, name: str, factor: int) -> Path:
    return root / f"images_{factor}" / PurePosixPath(name).name


def _shrink_one(photograph: Path, targets: dict[int, Path]) -> None:
    image = read_image(photograph)
    height, width = image.pixels.shape[:2]
    for factor, target in targets.items():
        smaller = shrink(image.pixels, (max(1, width // factor), max(1, height // factor)))
        write_whole_image(target, smaller, shrink_metadata(image.metadata, smaller))
