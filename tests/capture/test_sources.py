"""Folders -> captures: the right pixels for the right points, and a remedy for every kind of bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colmap_io.camera_models import project
from colmap_io.errors import MappingError
from colmap_io.model_folder import read_model, write_model
from colmap_io.records import Camera, Model, Points3D
from colmap_io.records import Image as ModelImage
from colmap_io.rotation import pose_matrix
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.capture import nerfstudio_source
from nerfstudio_mvc.capture.camera_axes import colmap_from_nerfstudio, nerfstudio_from_colmap
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import find_photographs
from nerfstudio_mvc.capture.ply_points import read_ply_points
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.errors import CaptureError

SAMPLE = Path(__file__).parents[2] / "examples/data/nerfstudio"
MODEL = SAMPLE / "colmap/sparse/0"
SIZE = (20, 12)
LENS = {"fl_x": 25.0, "fl_y": 24.0, "cx": 10.0, "cy": 6.0, "w": SIZE[0], "h": SIZE[1], "camera_model": "OPENCV"}
LENS |= {"k1": 0.1, "k2": 0.02, "p1": 0.003, "p2": 0.004}


def photograph(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 200, 30)).save(path)


def small_model(count: int = 3, *, with_rigs: bool = False) -> Model:
    """Cameras on a curve looking at five points, with key points where the points land."""
    rng = np.random.default_rng(0)
    camera = Camera(4, "OPENCV", *SIZE, (25.0, 24.0, 10.0, 6.0, 0.1, 0.02, 0.003, 0.004))
    xyz = rng.uniform(-0.5, 0.5, (5, 3)) + np.array([0, 0, 4])
    images = []
    for index in range(count):
        quaternion = np.array([1.0, 0.05 * index, -0.03, 0.02])
        quaternion /= np.linalg.norm(quaternion)
        translation = np.array([0.2 * index, 0.1, 0.05 * index**2])
        pose = pose_matrix(quaternion, translation)
        xy, _ = project(camera, xyz @ pose[:3, :3].T + pose[:3, 3])
        ids = np.array([10, 11, 12, 13, 14]) if index else np.array([10, -1, 12, -1, 10])
        images.append(ModelImage(30 - index, quaternion, translation, 4, f"p{index}.png", xy, ids))
    points = Points3D(
        ids=np.array([14, 12, 10, 11, 13], np.uint64),
        xyz=xyz[[4, 2, 0, 1, 3]],
        colors=np.arange(15, dtype=np.uint8).reshape(5, 3),
        errors=np.zeros(5),
        track_starts=np.zeros(6, np.int64),
    )
    return Model((camera,), tuple(images), points)


def as_nerfstudio(model: Model, *, applied: np.ndarray, scale: float = 1.0) -> dict:
    """transforms.json of a model, worked out with plain matrices: camera-to-world, axes flipped, world turned."""
    frames = []
    for image in model.images:
        world_from_cam = np.linalg.inv(pose_matrix(image.quaternion, image.translation))
        world_from_cam = world_from_cam @ np.diag([1.0, -1.0, -1.0, 1.0])
        turned = np.vstack([applied, [0, 0, 0, 1]]) @ world_from_cam
        turned[:3, 3] *= scale
        frames.append(
            {
                "file_path": f"images/{image.name}",
                "transform_matrix": turned.tolist(),
                "colmap_im_id": image.image_id,
            }
        )
    return {**LENS, "applied_transform": applied.tolist(), "applied_scale": scale, "frames": frames}


APPLIED = np.array([[1.0, 0, 0, 0.5], [0, 0, 1.0, -2.0], [0, -1.0, 0, 1.5]])


def nerfstudio_folder(root: Path, transforms: dict | None = None) -> Path:
    transforms = transforms or as_nerfstudio(small_model(), applied=APPLIED)
    for frame in transforms["frames"]:
        photograph(root / frame["file_path"])
    (root / "transforms.json").write_text(json.dumps(transforms))
    return root


def colmap_folder(root: Path, model: Model | None = None, *, images: str = "images") -> Path:
    model = model or small_model()
    for image in model.images:
        photograph(root / images / image.name)
    write_model(model, root / "sparse/0")
    return root


def test_points_land_on_their_key_points_and_on_their_colour() -> None:
    """Fails for a wrong axis, world, lens term, pixel centre or name: each moves points by a pixel or by hundreds."""
    capture = load_capture(SAMPLE)
    model = read_model(MODEL)
    images = {f"images/{image.name}": image for image in model.images}
    row_of_id = {point_id: row for row, point_id in enumerate(model.points.ids.tolist())}
    errors, color_errors = [], []
    for view in capture.views:
        image = images[view.name]
        seen = image.point3d_ids >= 0
        rows = [row_of_id[point_id] for point_id in image.point3d_ids[seen].tolist()]
        assert sorted(set(rows)) == view.point_idxs.tolist()
        pose = view.cam_from_world
        xy, valid = project(view.camera, capture.points[rows] @ pose[:3, :3].T + pose[:3, 3])
        assert valid.all()
        errors.append(np.linalg.norm(xy - image.points2d[seen], axis=1))
        column, row = np.clip(np.floor(xy).astype(int), 0, (view.width - 1, view.height - 1)).T
        pixels = read_image(view.image_path).pixels[row, column].astype(int)
        color_errors.append(np.abs(pixels - capture.point_colors[rows]).mean(1))
    assert np.median(np.concatenate(errors)) < 0.5
    assert np.median(np.concatenate(color_errors)) < 12


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("with_model", [True, False])
def test_the_applied_world_is_undone(tmp_path: Path, scale: float, with_model: bool) -> None:
    model = small_model()
    transforms = as_nerfstudio(model, applied=APPLIED, scale=scale) | {"ply_file_path": "points.ply"}
    nerfstudio_folder(tmp_path, transforms)
    turned = scale * (model.points.xyz @ APPLIED[:, :3].T + APPLIED[:, 3])
    table = np.column_stack([turned, model.points.colors.astype(object)])
    rows = "\n".join(" ".join(map(repr, row)) for row in table.tolist())
    (tmp_path / "points.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 5\n"
        + "".join(f"property double {name}\n" for name in "xyz")
        + "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
        + f"end_header\n{rows}\n"
    )
    if with_model:
        write_model(model, tmp_path / "colmap/sparse/0")
    capture = load_capture(tmp_path)
    assert capture.kind == "nerfstudio"
    np.testing.assert_allclose(capture.points, model.points.xyz, atol=1e-12)
    np.testing.assert_array_equal(capture.point_colors, model.points.colors)
    for view, image in zip(capture.views, model.images, strict=True):
        np.testing.assert_allclose(view.cam_from_world, pose_matrix(image.quaternion, image.translation), atol=1e-12)
        assert replace(view.camera, camera_id=4) == model.cameras[0]
    expected = [0, 1, 2, 3, 4] if with_model else []
    assert capture.views[1].point_idxs.tolist() == expected
    assert capture.views[0].point_idxs.tolist() == ([1, 2] if with_model else [])


def test_a_model_of_another_world_gives_no_points(tmp_path: Path) -> None:
    """As after poses were refined or the model was made anew: its points would lie elsewhere."""
    model = small_model()
    nerfstudio_folder(tmp_path)
    shifted = [replace(image, translation=image.translation * 1.5) for image in model.images]
    write_model(replace(model, images=tuple(shifted)), tmp_path / "sparse/0")
    capture = load_capture(tmp_path)
    assert len(capture.points) == 0
    assert capture.views[1].point_idxs.tolist() == []


def test_axes_there_and_back() -> None:
    pose = pose_matrix(np.array([0.8, 0.1, 0.5, -0.2]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(colmap_from_nerfstudio(nerfstudio_from_colmap(pose)), pose, atol=1e-14)
    # A nerfstudio camera at the origin without rotation looks along -z, with y up.
    looking = colmap_from_nerfstudio(np.eye(4))
    np.testing.assert_allclose(looking @ (0, 0.5, -1, 1), (0, -0.5, 1, 1))


def test_intrinsics_per_frame_and_shared_ids(tmp_path: Path) -> None:
    transforms = as_nerfstudio(small_model(), applied=APPLIED)
    transforms["frames"][1] |= {"fl_x": 30.0, "w": 24, "h": 16}
    transforms["frames"][2] |= {"file_path": "sub folder/ü.png"}
    nerfstudio_folder(tmp_path, transforms)
    photograph(tmp_path / "images/p1.png", (24, 16))
    views = load_capture(tmp_path).views
    assert [view.camera.camera_id for view in views] == [1, 2, 1]
    assert views[1].camera.params[0] == 30.0
    assert (views[1].width, views[1].height) == (24, 16)
    assert views[2].name == "sub folder/ü.png"


@pytest.mark.parametrize(
    ("change", "model", "params"),
    [
        ({"camera_model": "PINHOLE", "k1": 0, "k2": 0, "p1": 0, "p2": 0}, "PINHOLE", (25, 24, 10, 6)),
        ({"camera_model": "PINHOLE"}, "OPENCV", (25, 24, 10, 6, 0.1, 0.02, 0.003, 0.004)),
        ({"camera_model": "OPENCV_FISHEYE", "k3": 0.5}, "OPENCV_FISHEYE", (25, 24, 10, 6, 0.1, 0.02, 0.5, 0)),
        ({"k3": 0.5}, "FULL_OPENCV", (25, 24, 10, 6, 0.1, 0.02, 0.003, 0.004, 0.5, 0, 0, 0)),
        ({"distortion_params": [1, 2, 0, 0, 3, 4]}, "OPENCV", (25, 24, 10, 6, 1, 2, 3, 4)),
        ({"w": None, "h": None, "fl_y": None}, "OPENCV", (25, 25, 10, 6, 0.1, 0.02, 0.003, 0.004)),
        (
            {"fl_x": None, "fl_y": None, "cx": None, "cy": None, "camera_angle_x": 2 * np.arctan(0.5)},
            "OPENCV",
            (20, 20, 10, 6, 0.1, 0.02, 0.003, 0.004),
        ),
    ],
)
def test_camera_models(tmp_path: Path, change: dict, model: str, params: tuple[float, ...]) -> None:
    nerfstudio_folder(tmp_path, as_nerfstudio(small_model(), applied=APPLIED) | change)
    camera = load_capture(tmp_path).views[0].camera
    assert (camera.model, camera.width, camera.height) == (model, *SIZE)
    np.testing.assert_allclose(camera.params, params)


@pytest.mark.parametrize("written", ["./images/p0.png", "images\\p0.png", "images/p0", "images/../images/p0.png"])
def test_ways_to_write_a_path(tmp_path: Path, written: str) -> None:
    nerfstudio_folder(tmp_path)
    transforms = json.loads((tmp_path / "transforms.json").read_text())
    transforms["frames"][0]["file_path"] = written
    (tmp_path / "transforms.json").write_text(json.dumps(transforms))
    capture = load_capture(tmp_path)
    assert capture.views[0].name == "images/p0.png"
    leads = written == "./images/p0.png"
    assert capture.written_paths == ({} if leads else {written: "images/p0.png"})


Damage = Callable[[Path, dict], None]


def set_frame(key: str, value: object) -> Damage:
    def damage(root: Path, transforms: dict) -> None:
        transforms["frames"][1][key] = value

    return damage


def set_top(key: str, value: object) -> Damage:
    def damage(root: Path, transforms: dict) -> None:
        transforms[key] = value

    return damage


SINGULAR = np.diag([1.0, 1.0, 0.0, 1.0]).tolist()
MIRRORED = np.diag([1.0, 1.0, -1.0, 1.0]).tolist()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (set_top("frames", []), r"no images"),
        (set_top("frames", [3]), r"a frame is not an object"),
        (
            set_frame("file_path", "images/gone.png"),
            r"1 of 3 images are not there: images/gone.png; put them back",
        ),
        (set_frame("file_path", None), r"frame 1 has no file_path"),
        (set_frame("file_path", "/etc/passwd"), r"/etc/passwd: unreadable image"),
        (set_frame("transform_matrix", None), r"transform_matrix is not a 4 x 4 matrix"),
        (set_frame("transform_matrix", [[1, 2], [3]]), r"transform_matrix is not a 4 x 4 matrix"),
        (set_frame("transform_matrix", SINGULAR), r"'images/p1.png': the camera's pose is singular"),
        (set_frame("transform_matrix", MIRRORED), r"pose is singular or no rotation"),
        (set_frame("transform_matrix", np.full((4, 4), np.nan).tolist()), r"p1.png': .*not finite"),
        (set_frame("fl_x", float("nan")), r"p1.png': fl_x is nan"),
        (set_frame("fl_x", -3), r"fx is -3"),
        (set_frame("fl_x", "wide"), r"fl_x is not a number"),
        (set_frame("fl_x", 10**400), r"fl_x is inf"),
        (set_top("cx", None), r"there is no cx"),
        (set_frame("w", 40), r"p1.png: the image is 20 x 12 and its camera 40 x 12; put back the images"),
        (lambda root, transforms: transforms.update(w=12, h=20), r"the image was turned after"),
        (set_top("camera_model", "A\nB"), r"camera_model is no name"),
        (set_top("applied_transform", np.zeros((3, 4)).tolist()), r"cannot be undone"),
        (set_top("applied_transform", "x"), r"applied_transform is not a"),
        (set_top("applied_scale", 0), r"cannot be undone"),
        (lambda root, transforms: (root / "images/p1.png").write_bytes(b"x"), r"p1.png: unreadable image"),
    ],
)
def test_bad_nerfstudio_input(tmp_path: Path, damage: Damage, message: str) -> None:
    nerfstudio_folder(tmp_path)
    transforms = json.loads((tmp_path / "transforms.json").read_text())
    damage(tmp_path, transforms)
    (tmp_path / "transforms.json").write_text(json.dumps(transforms))
    with pytest.raises(CaptureError, match=message) as caught:
        load_capture(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"[" * 100000, b"NaN", b""])
def test_transforms_that_are_no_json_object(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "transforms.json").write_bytes(content)
    with pytest.raises(CaptureError, match="process the photographs again"):
        load_capture(tmp_path)


def test_every_field_may_hold_anything(tmp_path: Path) -> None:
    """Each scalar and list of a valid file is replaced in turn: a capture or a CaptureError, nothing else."""
    transforms = as_nerfstudio(small_model(1), applied=APPLIED) | {"ply_file_path": "x.ply"}
    nerfstudio_folder(tmp_path, transforms)
    (tmp_path / "x.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n")
    for value in (None, True, -1, 0, 1e308, 10**400, float("inf"), "", "a\0b", "..", [], [[]], {}, [1, 2, 3]):
        for key in (*transforms, *transforms["frames"][0]):
            changed = json.loads(json.dumps(transforms))
            (changed if key in changed else changed["frames"][0])[key] = value
            (tmp_path / "transforms.json").write_text(json.dumps(changed))
            with suppress(CaptureError):
                assert len(load_capture(tmp_path).views) == 1


def test_colmap_folder(tmp_path: Path) -> None:
    model = small_model()
    for folder, images in (("a", "images"), ("b", ".")):
        capture = load_capture(colmap_folder(tmp_path / folder, images=images))
        assert capture.kind == "colmap"
        prefix = "images/" if images == "images" else ""
        assert [view.name for view in capture.views] == [f"{prefix}p{index}.png" for index in range(3)]
        for view, image in zip(capture.views, model.images, strict=True):
            assert view.camera == model.cameras[0]
            np.testing.assert_array_equal(view.cam_from_world, pose_matrix(image.quaternion, image.translation))
        np.testing.assert_array_equal(capture.points, model.points.xyz)
        assert capture.views[0].point_idxs.tolist() == [1, 2]


def test_real_colmap_folder_as_text(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "images", tmp_path / "images")
    write_model(read_model(MODEL), tmp_path / "sparse", kind="text")
    capture, original = load_capture(tmp_path), load_capture(SAMPLE)
    for view, other in zip(capture.views, original.views, strict=True):
        assert view.name == other.name
        np.testing.assert_allclose(view.cam_from_world, other.cam_from_world, atol=1e-9)
        np.testing.assert_array_equal(view.point_idxs, other.point_idxs)


def break_model(**changes: object) -> Damage:
    def damage(root: Path, _: dict) -> None:
        model = small_model()
        changed = replace(model.images[0], **changes)
        write_model(replace(model, images=(changed, *model.images[1:])), root / "sparse/0")

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_model(quaternion=np.zeros(4)), r"p0.png: its pose in the COLMAP model is singular"),
        (break_model(translation=np.array([0, np.nan, 0])), r"p0.png: its pose .* not finite"),
        (break_model(name="p7.png"), r"names images that are not there: images/p7.png"),
        (break_model(name="p1.png"), r"named more than once: p1.png"),
        (break_model(name="../p0.png"), r"not inside the capture folder"),
        (lambda root, _: shutil.rmtree(root / "images"), r"none of the images of its COLMAP model is here"),
        (lambda root, _: photograph(root / "images/p2.png", (3, 3)), r"p2.png: the image is 3 x 3 and its camera 20"),
        (lambda root, _: (root / "sparse/0/images.bin").write_bytes(b"\1"), r"images.bin: .*truncated"),
        (lambda root, _: (root / "sparse/0/images.bin").unlink(), r"no images.bin"),
    ],
)
def test_bad_colmap_input(tmp_path: Path, damage: Damage, message: str) -> None:
    colmap_folder(tmp_path)
    damage(tmp_path, {})
    with pytest.raises(CaptureError, match=message) as caught:
        load_capture(tmp_path)
    assert "\n" not in str(caught.value)


def test_photographs(tmp_path: Path) -> None:
    for name in ("b/p1.JPG", "a.png", "masks/a.png", ".hidden/a.png", "c.webp"):
        photograph(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    asked: list[tuple[Path, list[str]]] = []

    def estimate(folder: Path, names: Sequence[str], *, sizes, on_progress) -> Model:
        assert list(sizes) == [SIZE] * 3
        asked.append((folder, list(names)))
        assert all((folder / name).is_file() for name in names)
        model = small_model()
        images = [replace(image, name=name) for image, name in zip(model.images, reversed(names), strict=True)]
        return replace(model, images=tuple(images))

    capture = load_capture(tmp_path, estimate_cameras=estimate)
    assert capture.kind == "photographs"
    assert [view.name for view in capture.views] == ["a.png", "b/p1.JPG", "c.webp"]
    # COLMAP reads no WebP, so it is shown a copy under another name.
    assert asked[0][1] == ["a.png", "b/p1.JPG", "c.webp.jpg"]
    assert asked[0][0] != tmp_path
    assert not asked[0][0].exists()
    assert find_photographs(tmp_path) == (["a.png", "b/p1.JPG", "c.webp"], ())


def test_bad_photographs(tmp_path: Path) -> None:
    def fail(folder: Path, names: Sequence[str], *, sizes, on_progress) -> Model:
        raise MappingError(f"{folder}: pycolmap failed: no space")

    with pytest.raises(CaptureError, match="there is no such folder"):
        load_capture(tmp_path / "gone")
    with pytest.raises(CaptureError, match="there are no images in it"):
        load_capture(tmp_path, estimate_cameras=fail)
    photograph(tmp_path / "a.png")
    photograph(tmp_path / "b.png")
    with pytest.raises(CaptureError, match=r"pycolmap failed: no space"):
        load_capture(tmp_path, estimate_cameras=fail)
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(CaptureError, match=r"b\.png: unreadable image"):
        load_capture(tmp_path, estimate_cameras=fail)
    with pytest.raises(CaptureError, match="is not a folder"):
        load_capture(tmp_path / "a.png")


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_ply(tmp_path: Path, order: str) -> None:
    dtype = np.dtype([("x", order + "f4"), ("n", order + "i2"), ("y", order + "f8"), ("z", order + "f4")])
    vertices = np.zeros(3, dtype)
    vertices["x"], vertices["y"], vertices["z"] = (1, 2, 3), (4, np.inf, 6), (7, 8, 9)
    name = "binary_little_endian" if order == "<" else "binary_big_endian"
    head = (
        f"ply\nformat {name} 1.0\ncomment x\nelement vertex 3\nproperty float x\nproperty short n\nproperty double y\n"
    )
    data = (head + "property float z\nelement face 0\nproperty list uchar int v\nend_header\n").encode()
    path = tmp_path / "a.ply"
    path.write_bytes(data + vertices.tobytes())
    points, colors = read_ply_points(path)
    assert points.tolist() == [[1, 4, 7], [3, 6, 9]]
    assert colors.shape == (2, 3)
    for length in range(len(data) + vertices.nbytes):
        path.write_bytes((data + vertices.tobytes())[:length])
        with pytest.raises(CaptureError, match="damaged point file"):
            read_ply_points(path)


def test_a_ply_that_announces_too_much_is_refused(tmp_path: Path) -> None:
    head = "ply\nformat {} 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n1 2 3\n"
    for kind in ("ascii", "binary_little_endian"):
        (tmp_path / "a.ply").write_text(head.format(kind))
        with pytest.raises(CaptureError, match="announces 99999999999 vertices"):
            read_ply_points(tmp_path / "a.ply")


def test_a_capture_needs_no_files() -> None:
    camera = Camera(1, "PINHOLE", 8, 6, (8.0, 8.0, 4.0, 3.0))
    views = tuple(View(idx, f"{idx}.png", None, 8, 6, camera, np.eye(4)) for idx in range(2))
    capture = Capture(None, "colmap", views, np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    assert capture.scene_radius == 1.0


@pytest.mark.parametrize("frame", ["{}", '{"file_path": "a.jpg"}'])
def test_as_many_frames_as_an_archive_holds_views_and_no_more(tmp_path: Path, frame: str) -> None:
    """Said before a photograph is looked for: there is none."""
    (tmp_path / "transforms.json").write_text(f'{{"frames": [{",".join([frame] * (layout.MAX_VIEWS + 1))}]}}')
    with pytest.raises(CaptureError, match=f"more frames than the {layout.MAX_VIEWS} that are possible"):
        load_capture(tmp_path)


@pytest.mark.parametrize("frame", ['{"file_path": "a.jpg"}', f"[{','.join(['[]'] * 20)}]"])
def test_far_too_many_frames_are_not_even_parsed(tmp_path: Path, monkeypatch, frame: str) -> None:
    """Nor lists without end in their place."""
    monkeypatch.setattr(nerfstudio_source, "MAX_FRAMES", 9)
    (tmp_path / "transforms.json").write_text(f'{{"frames": [{",".join([frame] * 40)}], and no JSON')
    with pytest.raises(CaptureError, match="more frames than the 9 that are possible"):
        load_capture(tmp_path)
