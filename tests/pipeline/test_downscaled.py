"""Smaller copies get the names and sizes nerfstudio gives them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from colmap_io.records import Camera
from nerfstudio_mvc.archive.attachments import DownscaledFolder
from nerfstudio_mvc.capture.image_files import read_image, write_image
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.pipeline.downscaled import downscaled_name, shrink, shrink_metadata


def view(name: str, view_idx: int = 0) -> View:
    return View(view_idx, name, None, 8, 6, Camera(1, "PINHOLE", 8, 6, (1.0,) * 4), np.eye(4))


def folder(suffix: str = "") -> DownscaledFolder:
    return DownscaledFolder("images_4", "images", suffix, (0,), ((2, 1),), 0)


def test_names() -> None:
    assert downscaled_name(folder(), view("images/left/a.jpg"), restored="images/left/a.jpg") == "images_4/left/a.jpg"
    assert downscaled_name(folder(".png"), view("images/a.jpg"), restored="images/a.jpg") == "images_4/a.png"
    assert downscaled_name(folder(), view("photos/a.jpg"), restored="photos/a.jpg") is None
    # nerfstudio looks for a copy of the name that transforms.json has.
    assert downscaled_name(folder(), view("images/b/a.jpg"), restored="images/b/a.png") == "images_4/b/a.png"
    assert downscaled_name(folder(".jpg"), view("images/a.tif"), restored="images/a.tif.png") == "images_4/a.tif.png"


def test_flat_stays_flat_in_any_size() -> None:
    assert shrink(np.zeros((851, 1280, 3), np.uint8), (640, 426)).shape == (426, 640, 3)
    assert set(np.unique(shrink(np.full((64, 48, 3), 77, np.uint8), (12, 16)))) == {77}


def test_alpha_shrinks_with_its_photograph(tmp_path) -> None:
    Image.new("LA", (16, 8), (90, 128)).save(tmp_path / "a.png")
    photograph = read_image(tmp_path / "a.png")
    smaller = shrink(photograph.pixels, (4, 2))
    write_image(tmp_path / "b.png", smaller, shrink_metadata(photograph.metadata, smaller))
    copy = Image.open(tmp_path / "b.png")
    assert (copy.mode, copy.size, copy.getpixel((1, 1))) == ("LA", (4, 2), (90, 128))
