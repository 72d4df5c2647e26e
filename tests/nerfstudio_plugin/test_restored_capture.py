"""An archive restored for training: once, exactly, with a transforms.json whatever it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, open_archive
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.nerfstudio_plugin.cache_bound import BOUND_VARIABLE
from nerfstudio_mvc.nerfstudio_plugin.restored_capture import CACHE_VARIABLE, default_cache, restored_capture
from nerfstudio_mvc.pipeline import decompress
from nerfstudio_mvc.pipeline.progress import Event
from nerfstudio_mvc.video.libaom import has_libaom

pytestmark = pytest.mark.skipif(not has_libaom(), reason="there is no libaom")


def only_colmap(capture: Path) -> None:
    """Leave the capture its photographs, and a COLMAP model in the place of transforms.json."""
    (capture / "transforms.json").unlink()
    model = capture / "sparse" / "0"
    model.mkdir(parents=True)
    names = sorted(path.name for path in (capture / "images").iterdir())
    images = [f"{idx} 1 0 0 0 {0.1 * idx} 0 1 1 {name}\n\n" for idx, name in enumerate(names, 1)]
    (model / "cameras.txt").write_text("1 PINHOLE 48 32 50 50 24 16\n")
    (model / "images.txt").write_text("".join(images))
    (model / "points3D.txt").write_text("")


@pytest.fixture(scope="module", params=["nerfstudio", "colmap"])
def archive(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    capture = write_nerfstudio_capture(folder / "capture", views=3)
    if request.param == "colmap":
        only_colmap(capture)
    compress_capture(capture, folder / "a.mvc", codec="av1", effort="fast", quality=4)
    return folder / "a.mvc"


def test_it_is_restored_once_and_exactly(tmp_path: Path, archive: Path, monkeypatch) -> None:
    folder = restored_capture(archive, tmp_path / "cache")
    monkeypatch.setattr(decompress, "decompress_archive", lambda *_, **__: pytest.fail("restored again"))
    assert restored_capture(archive, tmp_path / "cache") == folder
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    assert len(frames) == 3
    with open_archive(archive) as source:
        for frame in frames:
            name = Path(frame["file_path"])
            (view,) = [view for view in source.views if Path(view.name).stem == name.stem]
            assert np.array_equal(np.asarray(Image.open(folder / name)), source.read_view(view.name))


def test_another_archive_of_that_name_is_another_folder(tmp_path: Path, archive: Path) -> None:
    first = restored_capture(archive, tmp_path / "cache")
    other = tmp_path / archive.name
    other.write_bytes(archive.read_bytes()[:-1])  # its ZIP comment is cut: no archive any more
    with pytest.raises(ArchiveError):
        restored_capture(other, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [first.name]


def test_one_that_another_process_has_restored_meanwhile_is_taken(tmp_path: Path, archive: Path, monkeypatch) -> None:
    restore = decompress.decompress_archive

    def twice(*arguments, **settings):
        restore(*arguments, **settings)
        restore(*arguments, **settings)

    monkeypatch.setattr(decompress, "decompress_archive", twice)
    assert (restored_capture(archive, tmp_path / "cache") / "transforms.json").is_file()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file"):
        restored_capture(tmp_path / "none.mvc", tmp_path / "cache")


def test_a_file_that_was_moved_leaves_its_folder(tmp_path: Path, archive: Path) -> None:
    file = tmp_path / "run" / "scene.mvc"
    file.parent.mkdir()
    file.write_bytes(archive.read_bytes())
    folder = restored_capture(file, tmp_path / "cache")
    file.unlink()
    warnings: list[Event] = []
    assert restored_capture(file, tmp_path / "cache", on_event=warnings.append) == folder
    assert [str(file) in event.message and str(folder) in event.message for event in warnings] == [True]
    with pytest.raises(ArchiveError, match="no such file"):
        restored_capture(tmp_path / "other" / "scene.mvc", tmp_path / "cache")


def test_the_cache_makes_room_but_not_of_what_was_just_restored(tmp_path: Path, archive: Path, monkeypatch) -> None:
    monkeypatch.setenv(BOUND_VARIABLE, "0")
    cache = tmp_path / "cache"
    older = cache / ("older-" + "0" * 16)
    older.mkdir(parents=True)
    (cache / f"{older.name}.used").touch()
    folder = restored_capture(archive, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "nerfstudio_mvc"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here"
