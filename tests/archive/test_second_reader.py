"""FORMAT.md says enough: a reader that was written from it finds what ours finds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import second_reader
from PIL import Image
from small_archive import MODEL, colmap_model, make_views, nerfstudio_ply, write_archive

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.archive.colmap_files import (
    image_file_bytes,
    parse_cameras,
    parse_images,
    parse_points,
    point_file_bytes,
    rows_of,
)
from nerfstudio_mvc.archive.colmap_packing import FAR, PLANE_ERROR_STEPS, PLANE_RANKS, pack_model
from nerfstudio_mvc.archive.colmap_prediction import expected_errors, expected_pixels
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import no_cameras
from nerfstudio_mvc.codecs.lossless.jpeg_xl import jpeg_of_jxl
from nerfstudio_mvc.pipeline.encode_view import encode_view

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


def check(path: Path) -> None:
    views, files = second_reader.read(path)
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
                assert [(part.name, part.payload) for part in coded.substreams] == views[coded.view_idx].strings
                assert checks[coded.view_idx] == views[coded.view_idx].pixel_check
        assert files == dict(reader.read_attachments())


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_archives(path: Path) -> None:
    check(path)


def test_attached_files_of_many_kinds(written: Path) -> None:
    check(written)


@pytest.mark.parametrize("kind", ["pair", "alone", "resized", "float64", "unknown camera", "no points"])
def test_models_of_colmap(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "capture"
    views = make_views(root, 1)
    folder = root / MODEL
    colmap_model(folder, points=300, double=kind == "float64")
    if kind in ("pair", "resized", "float64"):
        (root / "sparse_pc.ply").write_bytes(nerfstudio_ply(root))
    images = parse_images((folder / "images.bin").read_bytes())
    match kind:
        case "alone":
            (folder / "points3D.bin").unlink()
        case "resized":
            for axis in "xy":
                images.key_points[axis] *= 1280 / 1008
        case "unknown camera":
            camera = struct.pack("<QIiQQ4d", 1, 1, 8, 1280, 851, 900.0, 640.0, 425.0, 0.1)
            (folder / "cameras.bin").write_bytes(camera)
        case "no points":
            images.key_points["id"] = -1
            (folder / "points3D.bin").write_bytes(bytes(8))
    (folder / "images.bin").write_bytes(image_file_bytes(images))
    write_archive(tmp_path / "a.mvc", root, views, [[0]])
    check(tmp_path / "a.mvc")


def test_a_model_whose_key_points_are_where_its_points_appear(tmp_path: Path) -> None:
    """So that ranks and errors are expected ones."""
    root = tmp_path / "capture"
    views = make_views(root, 1)
    folder = root / MODEL
    colmap_model(folder, points=300)
    camera_file = parse_cameras((folder / "cameras.bin").read_bytes())
    images = parse_images((folder / "images.bin").read_bytes())
    points = parse_points((folder / "points3D.bin").read_bytes())
    rows = rows_of(points.links["image"].astype(np.int64), images.image_ids)
    of_points = np.repeat(np.arange(len(points.points)), points.points["length"].astype(np.int64))
    xyz = points.points["xyz"][of_points]
    expected = expected_pixels(xyz, rows, image_file=images, camera_file=camera_file)
    places = images.starts[rows] + points.links["key_point"]
    noise = np.random.default_rng(0).normal(scale=0.7, size=expected.shape)
    images.key_points["x"][places], images.key_points["y"][places] = (expected + noise).astype(np.float32)
    points.points["error"] = expected_errors(expected, images.key_points[places], of_points, point_count=300)
    (folder / "images.bin").write_bytes(image_file_bytes(images))
    (folder / "points3D.bin").write_bytes(point_file_bytes(points))
    write_archive(tmp_path / "a.mvc", root, views, [[0]])
    contents = [(folder / name).read_bytes() for name in ("images.bin", "points3D.bin")]
    planes = dict(pack_model(*contents, camera_file=camera_file)[1])
    assert planes[PLANE_RANKS].count(FAR) < len(places) / 2
    assert len(planes[PLANE_ERROR_STEPS]) > 250
    check(tmp_path / "a.mvc")


def test_a_lossless_archive_gives_the_files_of_its_photographs(tmp_path: Path) -> None:
    """JPEG, what packs well, and what does not."""
    root = tmp_path / "photographs"
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).resize((320, 240)).save(root / "a.jpg", quality=90)
    Image.new("RGB", (32, 24), (9, 8, 7)).save(root / "b.bmp")
    Image.fromarray(pixels).save(root / "c.png")
    archive = tmp_path / "a.mvc"
    capture = load_capture(root, estimate_cameras=no_cameras, whole_pictures=True)
    compress_capture(capture, archive, quality="lossless")
    check(archive)
    views, _ = second_reader.read(archive)
    for view in views:
        (payload,) = [payload for name, payload in view.strings if name == "original"]
        file, jpeg_xl = second_reader.original(payload)
        assert (file is None) == (view.name == "a.jpg")
        if file is None:
            file = jpeg_of_jxl(jpeg_xl, width=320, height=240, what=view.name)
        assert file == (root / view.name).read_bytes()


def test_a_photograph_encoded_by_itself(tmp_path: Path) -> None:
    """The document says where everything stands that joining such files takes."""
    segment, exif = b"\xff\xed\x00\x0ccaptions..", Image.Exif()
    exif[0x010F] = "maker"
    Image.new("RGB", (64, 48), (90, 80, 70)).save(tmp_path / "a.jpg", exif=exif, comment=b"a comment")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:] + b"a film")
    encode_view(tmp_path / "a.jpg", tmp_path / "a.mvcv", quality=3, effort="fast")
    check(tmp_path / "a.mvcv")
    (view,), files = second_reader.read(tmp_path / "a.mvcv")
    assert (view.name, view.size, view.camera, files) == ("a.jpg", (64, 48), None, {})
    assert second_reader.other_bytes(dict(view.strings)["file"]) == (segment, b"a film")
    metadata = second_reader.image_metadata(tmp_path / "a.mvcv")[0]
    assert metadata["comment"] == b"a comment"
    assert metadata["exif"] == Image.open(tmp_path / "a.jpg").info["exif"]
