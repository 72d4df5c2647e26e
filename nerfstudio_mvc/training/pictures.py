"""Random crops of photographs for training, read from decoded arrays on disk.

Photographs are decoded once into a cache folder of .npy files, which the operating system then keeps in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from nerfstudio_mvc.capture.image_files import IMAGE_SUFFIXES, read_image
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.training.crops import draw_crops


def photographs_below(folder: Path) -> list[Path]:
    """The image files of a folder and those in it, by name."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]


def nothing_to_train_on(crop_px: int) -> CaptureError:
    """What to raise where no photograph is large enough for a crop."""
    return CaptureError(
        f"there is no photograph of {crop_px}x{crop_px} pixels or more to train on: give folders of captures or "
        "stills, or a smaller --crop-px"
    )


class Pictures:
    """Photographs to draw crops from.

    Args:
        paths: image files; one given twice is drawn twice as often.
        cache: folder for the decoded arrays.
    """

    def __init__(self, paths: Sequence[Path], *, cache: Path) -> None:
        self.paths = list(paths)
        self.cache = cache

    def pixels(self, path: Path) -> np.ndarray:
        """uint8 [H, W, 3], mapped from the cache."""
        name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
        cached = self.cache / f"{name}.npy"
        if not cached.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            # Renamed when complete: another process of the team may look for it meanwhile.
            partial = cached.with_name(f"{name}.{os.getpid()}.npy")
            np.save(partial, read_image(path).pixels)
            os.replace(partial, cached)
        return np.load(cached, mmap_mode="r")

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> Tensor:
        """`count` random crops. float32 [count, 3, crop_px, crop_px], 0..1"""
        return draw_crops(lambda index: self.pixels(self.paths[index]), len(self.paths), count, crop_px, rng)
