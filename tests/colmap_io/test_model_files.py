"""COLMAP's files, binary and text: nothing is lost on the way, and damage ends in a ModelError."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from colmap_io import binary_format, text_format
from colmap_io.errors import ModelError
from colmap_io.model_folder import find_models, read_model, write_model
from colmap_io.records import Camera, Frame, FrameData, Image, Model, Points3D, Rig, RigSensor

SAMPLE = Path(__file__).parents[2] / "examples/data/nerfstudio/colmap/sparse/0"
KINDS = ("cameras", "images", "points", "rigs", "frames")


def example_model() -> Model:
    """Two cameras in a rig, an image without key points, a name with spaces and one that is not UTF-8."""
    rng = np.random.default_rng(3)
    pose = tuple(rng.normal(size=7))
    return Model(
        cameras=(
            Camera(7, "OPENCV", 640, 480, tuple(rng.normal(size=8))),
            Camera(2, "SIMPLE_PINHOLE", 33, 44, (50.0, 16.5, 22.0)),
        ),
        images=(
            Image(
                9,
                rng.normal(size=4),
                rng.normal(size=3),
                7,
                "left/photo of a wall.jpg",
                rng.normal(size=(3, 2)),
                np.array([5, -1, 70]),
            ),
            Image(4, rng.normal(size=4), rng.normal(size=3), 2, "r\udcfcckseite.jpg"),
        ),
        points=Points3D(
            ids=np.array([70, 5, 6], np.uint64),
            xyz=rng.normal(size=(3, 3)),
            colors=np.array([[1, 2, 3], [255, 0, 9], [7, 7, 7]], np.uint8),
            errors=np.array([0.5, 0.1 + 0.2, -1.0]),
            track_starts=np.array([0, 1, 3, 3]),
            track_image_ids=np.array([9, 9, 4], np.uint32),
            track_point2d_idxs=np.array([2, 0, 1], np.uint32),
        ),
        rigs=(Rig(1, (RigSensor(0, 7), RigSensor(0, 2, pose), RigSensor(1, 5))), Rig(3, ())),
        frames=(Frame(1, 1, pose, (FrameData(0, 7, 9), FrameData(0, 2, 4))), Frame(2, 3, pose, ())),
    )


def assert_equal_models(first: Model, second: Model) -> None:
    assert first.cameras == second.cameras
    assert first.rigs == second.rigs
    assert first.frames == second.frames
    for one, other in zip((*first.images, first.points), (*second.images, second.points), strict=True):
        for field in fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_a_model_comes_back_from_its_folder(tmp_path: Path, kind) -> None:
    model = example_model()
    write_model(model, tmp_path / "sparse", kind=kind)
    assert_equal_models(read_model(tmp_path / "sparse"), model)


def test_a_model_without_rigs_stays_without(tmp_path: Path) -> None:
    model = example_model()
    write_model(Model(model.cameras, model.images, model.points), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cameras.bin", "images.bin", "points3D.bin"]
    assert read_model(tmp_path).rigs is None


def test_a_model_made_by_colmap_is_written_back_byte_for_byte(tmp_path: Path) -> None:
    write_model(read_model(SAMPLE), tmp_path)
    names = sorted(path.name for path in SAMPLE.iterdir())
    assert len(names) == 5
    for name in names:
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes(), name
    # ... also after a detour through text, which therefore keeps every bit of every number.
    write_model(read_model(SAMPLE), tmp_path / "text", kind="text")
    write_model(read_model(tmp_path / "text"), tmp_path / "back")
    for name in names:
        assert (tmp_path / "back" / name).read_bytes() == (SAMPLE / name).read_bytes(), name


def test_tracks_and_key_points_refer_to_each_other() -> None:
    model = read_model(SAMPLE)
    images = {image.image_id: image for image in model.images}
    points = model.points
    for image_id, image in images.items():
        here = points.track_image_ids == image_id
        ids = image.point3d_ids[points.track_point2d_idxs[here]]
        np.testing.assert_array_equal(ids, points.ids[points.track_rows[here]].astype(np.int64))
        assert here.sum() == (image.point3d_ids >= 0).sum()


def test_text_as_colmap_writes_it() -> None:
    images = text_format.read_images(
        "# comment\n\n1 1 0 0 0 0.5 0 -2 3 a b.jpg\r\n1.5 2.5 -1 3 4 8\n2 1 0 0 0 0 0 0 3 c.jpg\n\n"
    )
    assert [image.name for image in images] == ["a b.jpg", "c.jpg"]
    assert images[0].points2d.tolist() == [[1.5, 2.5], [3, 4]]
    assert images[0].point3d_ids.tolist() == [-1, 8]
    assert len(images[1].points2d) == 0
    assert text_format.read_rigs("1 2 CAMERA 1 CAMERA 2 0\n") == (Rig(1, (RigSensor(0, 1), RigSensor(0, 2))),)


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_noticed(kind: str) -> None:
    data = getattr(binary_format, f"write_{kind}")(getattr(example_model(), kind))
    read = getattr(binary_format, f"read_{kind}")
    for length in range(len(data)):
        with pytest.raises(ModelError):
            read(data[:length])
    with pytest.raises(ModelError, match="follow the last record"):
        read(data + b"\0")


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_end_in_a_value_or_a_model_error(kind: str) -> None:
    data = getattr(binary_format, f"write_{kind}")(getattr(example_model(), kind))
    read, write = getattr(binary_format, f"read_{kind}"), getattr(binary_format, f"write_{kind}")
    survivors = 0
    for position in range(len(data)):
        for flip in (0xFF, 0x01):
            damaged = bytearray(data)
            damaged[position] ^= flip
            try:
                value = read(bytes(damaged))
            except ModelError:
                continue
            assert write(value) == bytes(damaged)
            survivors += 1
    assert survivors


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_count_costs_no_memory(kind: str) -> None:
    read = getattr(binary_format, f"read_{kind}")
    tracemalloc.start()
    for count in (2**40, 2**64 - 1):
        with pytest.raises(ModelError, match="truncated"):
            read(struct.pack("<Q", count) + bytes(200))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@contextmanager
def suppress_into(complaints: list[str]) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        complaints.append(str(error))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_text_names_the_line(kind: str) -> None:
    text = getattr(text_format, f"write_{kind}")(getattr(example_model(), kind))
    read = getattr(text_format, f"read_{kind}")
    words = text.split(" ")
    complaints = []
    for index in range(len(words)):
        for damage in ("", "x", "1e999", "-5", "9" * 5000):
            with suppress_into(complaints):
                read(" ".join([*words[:index], damage, *words[index + 1 :]]))
    assert len(complaints) > 10
    assert all(".txt" in complaint for complaint in complaints)


def test_messages_name_file_and_folder(tmp_path: Path) -> None:
    write_model(example_model(), tmp_path)
    (tmp_path / "points3D.bin").write_bytes(b"\1\0\0\0\0\0\0\0")
    with pytest.raises(ModelError, match=r"points3D.bin: 1 points at byte 8 needs 51 bytes and 0 are left"):
        read_model(tmp_path)
    (tmp_path / "images.bin").unlink()
    with pytest.raises(ModelError, match=r"has cameras.bin but no images.bin"):
        read_model(tmp_path)


def test_a_model_of_known_poses_has_no_points(tmp_path: Path) -> None:
    write_model(example_model(), tmp_path)
    (tmp_path / "points3D.bin").unlink()
    assert len(read_model(tmp_path).points) == 0


def test_an_image_without_its_camera_is_refused(tmp_path: Path) -> None:
    model = example_model()
    write_model(Model(model.cameras[:1], model.images, model.points), tmp_path)
    with pytest.raises(ModelError, match="has camera 2, which is not in the model"):
        read_model(tmp_path)


def test_unknown_camera_model_number() -> None:
    with pytest.raises(ModelError, match="camera 1 has the unknown camera model number 99"):
        binary_format.read_cameras(struct.pack("<QIiQQ", 1, 1, 99, 10, 10))


@pytest.mark.parametrize("place", ["sparse/0", "colmap/sparse/0", "sparse", "."])
def test_the_model_is_found(tmp_path: Path, place: str) -> None:
    assert find_models(tmp_path) == []
    write_model(example_model(), tmp_path / place, kind="text")
    assert find_models(tmp_path) == [tmp_path / place]


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_the_sub_model_of_most_images_comes_first(tmp_path: Path, kind: str) -> None:
    model = example_model()
    smaller = Model(model.cameras, model.images[:1], model.points)
    for number, one in ((0, smaller), (2, model), (10, model)):
        write_model(one, tmp_path / f"sparse/{number}", kind=kind)
    assert [folder.name for folder in find_models(tmp_path)] == ["2", "10", "0"]
