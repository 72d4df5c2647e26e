"""FORMAT.md says enough: a reader that was written from it finds what ours finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import second_reader
from small_archive import make_views, write_archive

from nerfstudio_mvc.archive.reader import ArchiveReader

TESTS = Path(__file__).parents[1]
GOLDEN = [*sorted((TESTS / "archive/golden").glob("*.mvc")), *sorted((TESTS / "guards/golden").glob("*.mvc"))]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """With what the golden ones have not: files of many kinds, in an entry of their own, twice, and a PLY file."""
    root = tmp_path / "capture"
    views = make_views(root, 3)
    rng = np.random.default_rng(1)
    for name, content in {
        "a.txt": b"text " * 999,
        "b.bin": rng.bytes(5000),
        "zeros.bin": bytes(3000),
        "again.bin": bytes(3000),
        "large.bin": bytes(33 << 20),
        "points.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 300\nproperty float x\nend_header\n"
        + rng.normal(size=300).astype("<f4").tobytes(),
    }.items():
        (root / name).write_bytes(content)
    write_archive(tmp_path / "a.mvc", root, views, [[2, 0], [1]])
    return tmp_path / "a.mvc"


def check(path: Path) -> set[str]:
    views, files, predicted = second_reader.read(path)
    with ArchiveReader(path) as reader:
        for view, found in zip(reader.views(), views, strict=True):
            assert (view.name, view.width, view.height) == (found.name, *found.size)
            assert (view.camera is None) == (found.camera is None)
            if view.camera is not None:
                assert (
                    vars(found.camera).items()
                    <= {name: getattr(view.camera, name) for name in vars(found.camera)}.items()
                )
                assert view.cam_from_world.tobytes() == found.cam_from_world.tobytes()
        for group_idx in range(len(reader.manifest.groups)):
            checks = reader.pixel_checks(group_idx)
            for coded in reader.read_group(group_idx).views:
                assert [(part.name, part.payload) for part in coded.substreams] == views[coded.view_idx].substreams
                assert checks[coded.view_idx] == views[coded.view_idx].pixel_check
        ours = dict(reader.read_attachments())
    assert files == {name: content for name, content in ours.items() if name not in predicted}
    return predicted


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_archives(path: Path) -> None:
    assert all(Path(name).name in ("images.bin", "points3D.bin", "sparse_pc.ply") for name in check(path))


def test_attached_files_of_many_kinds(written: Path) -> None:
    assert check(written) == set()
