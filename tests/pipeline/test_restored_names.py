"""Photographs turned into another format never take the name of another file."""

from __future__ import annotations

import numpy as np

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.pipeline.restored_names import restored_names

CAMERA = Camera(1, "PINHOLE", 8, 8, (8.0, 8.0, 4.0, 4.0))


def names_of(names: list[str], image_format: str, **options) -> list[str]:
    views = [View(view_idx, name, None, 8, 8, CAMERA, np.eye(4)) for view_idx, name in enumerate(names)]
    return list(restored_names(views, image_format, **options).values())


def test_photographs_of_one_stem() -> None:
    names = ["images/a.jpg", "images/a.tif", "images/a.PNG", "images/b.JPG", "c/b.webp"]
    assert names_of(names, "keep") == names
    assert names_of(names, "jpg") == ["images/a.jpg", "images/a.tif.jpg", "images/a.PNG.jpg", "images/b.JPG", "c/b.jpg"]
    assert names_of(names, "png") == [
        "images/a.jpg.png",
        "images/a.tif.png",
        "images/a.PNG",
        "images/b.png",
        "c/b.png",
    ]


def test_files_that_are_no_photographs_keep_their_names() -> None:
    taken = ["images/a.png", "images/b.PNG", "images/c.png", "images/c.jpg.png"]
    found = names_of(["images/a.jpg", "images/b.jpg", "images/c.jpg", "images/d.jpg"], "png", taken=taken)
    assert found == ["images/a.jpg.png", "images/b.jpg.png", "images/c.jpg.2.png", "images/d.png"]


def test_no_two_names_are_one_where_case_does_not_count() -> None:
    found = names_of(["a.jpg", "A.jpeg", "a.JPEG.png", "A.JPG", "a.tif"], "png", taken=["a.tif.png"])
    assert len({name.casefold() for name in found}) == len(found)
    assert "a.tif.png" not in found
