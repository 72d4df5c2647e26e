"""From folder to archive to folder, for captures that are not as a textbook has them: all of it comes back."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree, write_nerfstudio_capture

from colmap_io.model_folder import write_model
from colmap_io.records import Camera, Model, Points3D
from colmap_io.records import Image as ModelImage
from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.ply_points import ply_of_points, read_ply_points

SIZE = (48, 32)


def there_and_back(capture: Path, *, image_format: str = "keep", **options) -> tuple[Path, tuple[str, ...]]:
    """The restored folder, and the warnings of compressing."""
    archive = capture.parent / "a.mvc"
    report = compress_capture(capture, archive, codec=RawCodec(), depth="sparse", force=True, **options)
    out = Path(tempfile.mkdtemp(prefix=f"out {image_format} ", dir=capture.parent))
    decompress_archive(archive, out, codec=RawCodec(), image_format=image_format)
    return out, report.warnings


def same_picture(a: Path, b: Path) -> bool:
    """Up to what `RawCodec` and a JPEG file lose."""
    first, second = (np.asarray(Image.open(path).convert("RGB"), float) for path in (a, b))
    return first.shape == second.shape and np.abs(first - second).mean() < 8


def edit(capture: Path, change) -> dict:
    transforms = json.loads((capture / "transforms.json").read_text())
    change(transforms)
    (capture / "transforms.json").write_text(json.dumps(transforms))
    return transforms


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=5)


def write_colmap_capture(root: Path, *, sub_models: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3),)) -> Path:
    """Four photographs and a model for each of the sub-models, with points before all cameras."""
    rng = np.random.default_rng(4)
    (root / "images").mkdir(parents=True)
    for index in range(4):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
        coarse.resize(SIZE, Image.Resampling.BICUBIC).save(root / f"images/{index}.png")
    camera = Camera(1, "OPENCV", *SIZE, (50.0, 50.0, 24.0, 16.0, 0.01, 0.0, 0.0, 0.0))
    points = Points3D(
        ids=np.arange(6, dtype=np.uint64),
        xyz=rng.normal(size=(6, 3)) + np.array([0, 0, 5]),
        colors=rng.integers(0, 256, (6, 3), np.uint8),
        errors=np.zeros(6),
        track_starts=np.zeros(7, np.int64),
    )
    for number, members in enumerate(sub_models):
        images = tuple(
            ModelImage(
                idx + 1, np.eye(4)[0], np.array([0.1 * idx, 0, 0]), 1, f"{idx}.png", np.zeros((0, 2)), np.zeros(0, int)
            )
            for idx in members
        )
        write_model(Model((camera,), images, points), root / f"sparse/{number}")
    return root


def test_photographs_without_a_camera_come_back_and_are_named(capture: Path) -> None:
    edit(capture, lambda transforms: transforms.update(frames=[transforms["frames"][idx] for idx in (0, 2, 3)]))
    out, warnings = there_and_back(capture, group_size=2)
    assert tree(out).keys() == tree(capture).keys()
    for name in ("images/frame_00002.png", "images/frame_00005.png"):
        assert same_picture(capture / name, out / name)
        assert any(name in warning and "no camera" in warning for warning in warnings)
    with ArchiveReader(capture.parent / "a.mvc") as reader:
        assert reader.manifest.without_geometry == (3, 4)
        assert [view.camera is None for view in reader.views()] == [False] * 3 + [True] * 2
        assert reader.manifest.groups[-1] == (3, 4)
        (copies,) = reader.manifest.downscaled
        assert len(copies.view_idxs) == 5
    assert (out / "transforms.json").read_bytes() == (capture / "transforms.json").read_bytes()


def test_masks_and_depth_beside_the_photographs_stay_what_they_are(capture: Path) -> None:
    """Named by transforms.json, by a word in their names, by another photograph's name, or by their pixels alone."""
    rng = np.random.default_rng(3)
    files = {}
    for name, mode in (
        ("frame_00001_mask.png", "RGB"),
        ("depth-00001.png", "RGB"),
        ("frame_00001.png.png", "RGB"),
        ("grey.png", "L"),
        ("frame_00002.jpg", "RGB"),
        ("m1.png", "RGB"),
    ):
        pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(capture / "images" / name)
        files[f"images/{name}"] = (capture / "images" / name).read_bytes()
    edit(capture, lambda transforms: transforms["frames"][0].update(semantics=["images/m1.png"]))
    out, warnings = there_and_back(capture)
    assert {name: (out / name).read_bytes() for name in files} == files
    assert warnings == ()


def test_masks_that_are_called_like_the_photographs(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, suffix=".jpg")
    masks = {}
    for index in range(3):
        path = capture / f"images/frame_{index + 1:05d}.png"
        Image.new("L", SIZE, 50 * index).save(path)
        masks[f"images/{path.name}"] = path.read_bytes()
    edit(
        capture,
        lambda transforms: [
            frame.update(mask_path=name) for frame, name in zip(transforms["frames"], masks, strict=True)
        ],
    )
    for image_format in ("keep", "png"):
        out, _ = there_and_back(capture, image_format=image_format)
        frames = json.loads((out / "transforms.json").read_text())["frames"]
        assert {frame["mask_path"]: (out / frame["mask_path"]).read_bytes() for frame in frames} == masks
        for index, frame in enumerate(frames):
            assert same_picture(capture / f"images/frame_{index + 1:05d}.jpg", out / frame["file_path"])


def test_files_elsewhere_are_carried_and_found_again(capture: Path, tmp_path: Path) -> None:
    """A linked folder, an absolute path inside, one outside, and one with dots."""
    store = tmp_path / "store"
    store.mkdir()
    for name in ("mask.png", "other.png", "far.png"):
        Image.new("L", SIZE, len(name)).save(store / name)
    (capture / "linked").symlink_to(store)
    (capture / "images/frame_00004.png").rename(store / "frame_00004.png")

    def change(transforms: dict) -> None:
        frames = transforms["frames"]
        frames[0]["mask_path"] = "linked/mask.png"
        frames[1]["file_path"] = str(capture / "images/frame_00002.png")
        frames[1]["mask_path"] = str(store / "other.png")
        frames[2]["mask_path"] = "../store/far.png"
        frames[3]["file_path"] = str(store / "frame_00004.png")

    edit(capture, change)
    for image_format in ("keep", "jpg"):
        out, _ = there_and_back(capture, image_format=image_format)
        frames = json.loads((out / "transforms.json").read_text())["frames"]
        paths = [frame[key] for frame in frames for key in ("file_path", "mask_path") if key in frame]
        assert not any(Path(path).is_absolute() or ".." in path for path in paths)
        assert all((out / path).is_file() for path in paths)
        for frame, name in zip(frames, ("mask.png", "other.png", "far.png"), strict=False):
            assert (out / frame["mask_path"]).read_bytes() == (store / name).read_bytes()
        assert same_picture(store / "frame_00004.png", out / frames[3]["file_path"])


def test_what_is_named_and_missing_is_said_at_once(capture: Path) -> None:
    edit(
        capture,
        lambda transforms: (
            transforms.update(ply_file_path="sparse_pc.ply"),
            transforms["frames"][0].update(mask_path="masks/0.png"),
        ),
    )
    out, warnings = there_and_back(capture)
    assert any("masks/0.png, sparse_pc.ply" in warning for warning in warnings)
    assert (out / "transforms.json").read_bytes() == (capture / "transforms.json").read_bytes()


def test_a_blender_scene(tmp_path: Path) -> None:
    root = tmp_path / "lego"
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        frames = []
        for index in range(2):
            pixels = np.random.default_rng(index).integers(0, 256, (4, 4, 4), np.uint8)
            Image.fromarray(pixels, "RGBA").resize((20, 20)).save(root / split / f"r_{index}.png")
            pose = np.eye(4)
            pose[0, 3] = index + len(split)
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
        (root / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": 0.69, "frames": frames}))
    Image.new("L", (20, 20), 9).save(root / "test/r_0_depth_0001.png")
    capture = load_capture(root)
    assert len(capture.views) == 6
    assert all(view.has_geometry for view in capture.views)
    np.testing.assert_allclose(capture.views[0].camera.params[0], 10 / np.tan(0.345))
    out, warnings = there_and_back(root)
    assert tree(out).keys() == tree(root).keys()
    assert warnings == ()
    for name in ("test/r_0_depth_0001.png", "transforms_test.json"):
        assert (out / name).read_bytes() == (root / name).read_bytes()


def test_the_largest_of_several_models_unless_another_is_asked_for(tmp_path: Path) -> None:
    root = write_colmap_capture(tmp_path / "capture", sub_models=((0,), (1, 2, 3)))
    for options, placed in (({}, "1.png"), ({"colmap_model": Path("sparse/0")}, "0.png")):
        out, warnings = there_and_back(root, **options)
        assert any("2 COLMAP models" in warning for warning in warnings)
        made = json.loads((out / "transforms.json").read_text())
        assert made["frames"][0]["file_path"] == f"images/{placed}"
        assert all(same_picture(root / f"images/{idx}.png", out / f"images/{idx}.png") for idx in range(4))
        assert {name for name in tree(root) if "sparse" in name} <= set(tree(out))


def test_a_colmap_folder_comes_back_with_its_points_to_train_from(tmp_path: Path) -> None:
    root = write_colmap_capture(tmp_path / "capture")
    given = load_capture(root)
    out, _ = there_and_back(root)
    made = json.loads((out / "transforms.json").read_text())
    points, colors = read_ply_points(out / made["ply_file_path"])
    np.testing.assert_allclose(points, given.points, atol=1e-6)
    np.testing.assert_array_equal(colors, given.point_colors)
    again = load_capture(out)
    assert again.kind == "nerfstudio"
    for view, other in zip(again.views, given.views, strict=True):
        np.testing.assert_allclose(view.cam_from_world, other.cam_from_world, atol=1e-12)
        assert replace(view.camera, camera_id=1) == other.camera
    out, _ = there_and_back(out, attachments="none")
    assert not (out / "sparse_pc.ply").exists()


def test_lenses_that_are_not_followed_and_scaled_rotations(capture: Path) -> None:
    edit(capture, lambda transforms: transforms.update(camera_model="EQUIRECTANGULAR"))
    out, warnings = there_and_back(capture)
    assert any("5 of 5 photographs have a lens" in warning for warning in warnings)
    out, _ = there_and_back(capture, attachments="none", image_format="png")
    made = json.loads((out / "transforms.json").read_text())
    assert (made["camera_model"], made["fl_x"]) == ("EQUIRECTANGULAR", 1.1 * SIZE[0])

    def scaled(transforms: dict) -> None:
        transforms["camera_model"] = "OPENCV"
        for frame in transforms["frames"]:
            matrix = np.array(frame["transform_matrix"])
            matrix[:3, :3] *= 0.25
            frame["transform_matrix"] = matrix.tolist()

    before = load_capture(out)
    edit(capture, scaled)
    after = load_capture(capture)
    assert [note for note in after.notes if "scale" in note]
    for view, other in zip(after.views, before.views, strict=True):
        np.testing.assert_allclose(view.cam_from_world, other.cam_from_world, atol=1e-12)


def test_bare_photographs_in_numbered_folders(tmp_path: Path) -> None:
    root = tmp_path / "capture"
    rng = np.random.default_rng(9)
    for folder in ("images_1", "images_2"):
        (root / folder).mkdir(parents=True)
        for index in range(2):
            pixels = rng.integers(0, 256, (4, 6, 3), np.uint8)
            Image.fromarray(pixels).resize(SIZE).save(root / folder / f"{index}.png")

    def nobody(folder: Path, names, *, sizes, on_progress) -> Model:
        return Model(cameras=(), images=())

    capture = load_capture(root, estimate_cameras=nobody)
    assert [view.name for view in capture.views] == [f"images_{a}/{b}.png" for a in (1, 2) for b in (0, 1)]
    archive = tmp_path / "a.mvc"
    compress_capture(capture, archive, codec=RawCodec())
    decompress_archive(archive, tmp_path / "out", codec=RawCodec())
    assert tree(tmp_path / "out").keys() == tree(root).keys()


def test_bytes_of_a_jpeg_file_go_along_but_not_with_the_rate(tmp_path: Path) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=3, suffix=".jpg")
    rates = []
    for trailer in (b"", np.random.default_rng(0).bytes(5000)):
        for path in (capture / "images").iterdir():
            path.write_bytes(path.read_bytes() + trailer)
        out, _ = there_and_back(capture)
        summary = summarize(tmp_path / "a.mvc")
        rates.append(summary.bpp * summary.pixels / 8)
        assert all(path.read_bytes().endswith(trailer) for path in (out / "images").iterdir())
    assert rates[1] - rates[0] < 100
    assert summary.metadata_bytes > 15000


def test_points_are_what_one_trains_from(tmp_path: Path) -> None:
    """Cameras, points and what transforms.json names; no tracks, no maker notes, no thumbnail."""
    root = write_colmap_capture(tmp_path / "colmap")
    out, _ = there_and_back(root, attachments="points")
    photographs = {f"images/{index}.png" for index in range(4)}
    assert set(tree(out)) == {"transforms.json", "sparse_pc.ply", *photographs}

    capture = write_nerfstudio_capture(tmp_path / "capture", views=2, suffix=".jpg")
    (capture / "points.ply").write_bytes(ply_of_points(np.ones((3, 3)), np.ones((3, 3), np.uint8)))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0x927C: bytes(range(256)) * 200, 0x829A: 0.01})
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 30.0, 1.0)})
    for path in (capture / "images").iterdir():
        Image.open(path).save(path, exif=exif)
    edit(capture, lambda transforms: transforms.update(ply_file_path="points.ply"))
    sizes = {}
    for mode in ("lean", "points"):
        out, _ = there_and_back(capture, attachments=mode)
        sizes[mode] = summarize(tmp_path / "a.mvc").metadata_bytes
        kept = Image.open(out / "images/frame_00001.jpg").getexif()
        assert (kept[0x010F], kept.get_ifd(0x8769)[0x829A], kept.get_ifd(0x8825)[1]) == ("Maker", 0.01, "N")
        assert (0x927C in kept.get_ifd(0x8769)) is (mode == "lean")
        assert (out / "points.ply").read_bytes() == (capture / "points.ply").read_bytes()
        assert (out / "transforms.json").read_bytes() == (capture / "transforms.json").read_bytes()
    assert "masks/notes with ünïcode.txt" not in tree(out)
    assert sizes["points"] < sizes["lean"]
