"""Folders like images_2: copies only if their pictures are, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.capture.smaller_copies import find_smaller_copies

SIZE = (161, 119)
NAMES = ["images/a.jpg", "images/b.jpg"]


def scene(shift: int = 0) -> Image.Image:
    """Noise of several scales on a wall, from a camera `shift` pixels further to the right."""
    rng = np.random.default_rng(5)
    wall = np.zeros((SIZE[1], SIZE[0] + 100, 3))
    for cells in (5, 20, 60):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, 2 * cells, 3), np.uint8))
        wall += np.asarray(coarse.resize((SIZE[0] + 100, SIZE[1]), Image.Resampling.BICUBIC), float) / 3
    return Image.fromarray(wall[:, shift : shift + SIZE[0]].astype(np.uint8))


def save(path: Path, picture: Image.Image, size: tuple[int, int] | None = None, way=Image.Resampling.LANCZOS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if size is None else picture.resize(size, way)).save(path, quality=85)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, shift in zip(NAMES, (0, 50), strict=True):
        save(tmp_path / name, scene(shift))
    return tmp_path


@pytest.mark.parametrize("way", [Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.NEAREST])
@pytest.mark.parametrize("size", [(80, 59), (81, 60), (80, 60)])
def test_copies_by_any_filter_and_rounding(root: Path, way: Image.Resampling, size: tuple[int, int]) -> None:
    for name, shift in zip(NAMES, (0, 50), strict=True):
        save(root / name.replace("images", "images_2"), scene(shift), size, way)
    (found,) = find_smaller_copies(root, NAMES)
    assert (found.folder, found.source) == ("images_2", "images")
    assert found.copies == {"images/a.jpg": "images_2/a.jpg", "images/b.jpg": "images_2/b.jpg"}
    assert found.sizes == (size, size)


def test_copies_of_another_ending(root: Path) -> None:
    save(root / "images_4/b.png", scene(50), (40, 29))
    (found,) = find_smaller_copies(root, NAMES)
    assert found.copies == {"images/b.jpg": "images_4/b.png"}


@pytest.mark.parametrize(
    ("shift", "size"), [(4, (80, 59)), (50, (80, 59)), (0, SIZE), (0, (79, 59)), (0, (80, 58)), (0, (40, 29))]
)
def test_other_pictures_and_other_sizes_are_no_copies(root: Path, shift: int, size: tuple[int, int]) -> None:
    """A step to the side, another photograph, a second walk at full size, sizes that are no half."""
    save(root / "images_2/a.jpg", scene(shift), size)
    save(root / "images_2/b.jpg", scene(50), (80, 59))
    assert find_smaller_copies(root, NAMES) == ()


def test_one_damaged_picture_makes_none_of_them_a_copy(root: Path) -> None:
    save(root / "images_2/a.jpg", scene(0), (80, 59))
    save(root / "images_2/b.jpg", scene(50), (80, 59))
    data = (root / "images_2/b.jpg").read_bytes()
    (root / "images_2/b.jpg").write_bytes(data[: len(data) // 2])
    assert find_smaller_copies(root, NAMES) == ()


def test_twins_that_differ_in_their_endings(root: Path) -> None:
    save(root / "images/a.png", scene(30))
    for ending, shift in (("jpg", 0), ("png", 30)):
        save(root / f"images_2/a.{ending}", scene(shift), (80, 59))
    (found,) = find_smaller_copies(root, [*NAMES, "images/a.png"])
    assert found.copies == {"images/a.jpg": "images_2/a.jpg", "images/a.png": "images_2/a.png"}
