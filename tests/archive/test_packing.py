"""Packs give back the very bytes, whatever the files are, and are smaller where the files are understood."""

import lzma
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_archive import MODEL, colmap_model, nerfstudio_ply

from nerfstudio_mvc.archive import planes
from nerfstudio_mvc.archive.colmap_files import image_file_bytes, parse_images
from nerfstudio_mvc.archive.packing import (
    KIND_FILE,
    RECIPE_IMAGES,
    RECIPE_MODEL,
    RECIPE_PLAIN,
    RECIPE_PLY,
    RECIPE_ROWS,
    RECIPE_SECOND,
    Item,
    PackReader,
    pack,
)
from nerfstudio_mvc.errors import ArchiveError

SAMPLE = Path(__file__).parents[2] / "examples/data/nerfstudio"
XZ_9_OF_SAMPLE = 614_652  # bytes: every file but the photographs by itself; as one tar 615 032


def items_of(folder: Path) -> list[Item]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Item(KIND_FILE, path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]


def unpacked(packed: bytes) -> dict[str, bytes]:
    return {item.path: item.data for item in PackReader(packed, what="t").items()}


def recipes(packed: bytes) -> dict[str, int]:
    return {Path(line.path).name: line.recipe for line in PackReader(packed, what="t").lines}


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_colmap_model_and_its_point_list(tmp_path, double, shuffled):
    colmap_model(tmp_path / MODEL, double=double, shuffled=shuffled)
    (tmp_path / "sparse_pc.ply").write_bytes(nerfstudio_ply(tmp_path))
    items = items_of(tmp_path)
    packed = pack(items)
    assert unpacked(packed) == {item.path: item.data for item in items}
    assert recipes(packed) == {
        "cameras.bin": RECIPE_PLAIN,
        "images.bin": RECIPE_MODEL,
        "points3D.bin": RECIPE_SECOND,
        "sparse_pc.ply": RECIPE_PLY,
    }


def test_resized_key_points_are_recognised(tmp_path):
    colmap_model(tmp_path / MODEL, points=400)
    path = tmp_path / MODEL / "images.bin"
    plain = len(pack(items_of(tmp_path)))
    image_file = parse_images(path.read_bytes())
    for axis in "xy":
        image_file.key_points[axis] *= 1280 / 1008
    path.write_bytes(image_file_bytes(image_file))
    items = items_of(tmp_path)
    packed = pack(items)
    assert unpacked(packed) == {item.path: item.data for item in items}
    assert len(packed) < 1.02 * plain


def test_model_without_a_partner_is_packed_alone(tmp_path):
    colmap_model(tmp_path / MODEL)
    (tmp_path / MODEL / "points3D.bin").unlink()
    items = items_of(tmp_path)
    packed = pack(items)
    assert unpacked(packed) == {item.path: item.data for item in items}
    assert recipes(packed)["images.bin"] == RECIPE_IMAGES


@pytest.mark.parametrize("camera", [b"", struct.pack("<QIiQQ4d", 1, 1, 8, 1280, 851, 900.0, 640.0, 425.0, 0.1)])
def test_model_with_cameras_that_predict_nothing(tmp_path, camera):
    colmap_model(tmp_path / MODEL)
    (tmp_path / MODEL / "cameras.bin").write_bytes(camera)
    items = items_of(tmp_path)
    assert unpacked(pack(items)) == {item.path: item.data for item in items}


def test_model_without_points(tmp_path):
    folder = tmp_path / MODEL
    colmap_model(folder)
    image_file = parse_images((folder / "images.bin").read_bytes())
    image_file.key_points["id"] = -1
    (folder / "images.bin").write_bytes(image_file_bytes(image_file))
    (folder / "points3D.bin").write_bytes(bytes(8))
    items = items_of(tmp_path)
    packed = pack(items)
    assert unpacked(packed) == {item.path: item.data for item in items}
    assert recipes(packed)["images.bin"] == RECIPE_MODEL


@pytest.mark.parametrize("order", ["little", "big"])
def test_binary_ply_goes_column_by_column(order):
    count, rng = 2000, np.random.default_rng(0)
    rows = np.zeros(count, [("xyz", "<f4", 3), ("rgb", "u1", 3), ("deep", "<f8", 3)])
    rows["xyz"], rows["rgb"] = rng.normal(size=(count, 3)), rng.integers(0, 256, (count, 3))
    rows["deep"] = rng.normal(size=(count, 3)).astype(np.float32)
    properties = [
        "float x",
        "float y",
        "float z",
        *(f"uchar {name}" for name in "rgb"),
        *(f"double d{i}" for i in range(3)),
    ]
    header = f"ply\nformat binary_{order}_endian 1.0\ncomment made up\nelement vertex {count}\n"
    header += "".join(f"property {name}\n" for name in properties)
    for tail, rest in (("", b""), ("element face 1\nproperty list uchar int vertex_indices\n", b"\3" + bytes(12))):
        data = f"{header}{tail}end_header\n".encode() + rows.tobytes() + rest
        packed = pack([Item(KIND_FILE, "point_cloud.ply", data)])
        assert recipes(packed) == {"point_cloud.ply": RECIPE_ROWS}
        assert unpacked(packed) == {"point_cloud.ply": data}
        assert len(packed) < 0.95 * len(lzma.compress(data, preset=9))
        assert unpacked(pack([Item(KIND_FILE, "cut.ply", data[:-20])])) == {"cut.ply": data[:-20]}


def test_second_copy_of_a_model_is_nearly_free(tmp_path):
    colmap_model(tmp_path / MODEL, points=200)
    once = len(pack(items_of(tmp_path)))
    colmap_model(tmp_path / "sparse/0", points=200)
    items = items_of(tmp_path)
    packed = pack(items)
    assert unpacked(packed) == {item.path: item.data for item in items}
    assert len(packed) < once + 200


def test_empty_space_costs_nothing_and_returns():
    item = Item(KIND_FILE, "depth.raw", bytes(20_000_000))
    packed = pack([item])
    assert len(packed) < 200
    assert unpacked(packed) == {item.path: item.data}


def test_model_that_contradicts_itself_is_carried(tmp_path):
    colmap_model(tmp_path / MODEL)
    colmap_model(tmp_path / "other", seed=1)
    (tmp_path / MODEL / "points3D.bin").write_bytes((tmp_path / "other" / "points3D.bin").read_bytes())
    items = items_of(tmp_path)
    assert unpacked(pack(items)) == {item.path: item.data for item in items}


@pytest.mark.parametrize("name", ["images.bin", "points3D.bin", "cameras.bin", "sparse_pc.ply"])
def test_files_that_only_look_known_are_carried_as_they_are(tmp_path, name):
    colmap_model(tmp_path / MODEL)
    (tmp_path / MODEL / "sparse_pc.ply").write_bytes(nerfstudio_ply(tmp_path, decimals=5))
    path = tmp_path / MODEL / name
    whole = path.read_bytes()
    for data in (b"", whole[:7], whole[:-1], whole + b"\0", bytes(len(whole)), b"\xff" * len(whole)):
        path.write_bytes(data)
        items = items_of(tmp_path)
        assert unpacked(pack(items)) == {item.path: item.data for item in items}


def test_not_a_number_and_odd_links_survive(tmp_path):
    colmap_model(tmp_path / MODEL)
    path = tmp_path / MODEL / "images.bin"
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(0)
    for _ in range(30):
        damaged = data.copy()
        damaged[rng.integers(len(data), size=3)] = rng.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        items = items_of(tmp_path)
        assert unpacked(pack(items)) == {item.path: item.data for item in items}


names = st.sampled_from(["images.bin", "points3D.bin", "a/points3D.bin", "sparse_pc.ply", "transforms.json", "m/ü.png"])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=300)))
def test_any_files(files):
    packed = pack([Item(KIND_FILE, path, data) for path, data in files.items()])
    assert unpacked(packed) == files


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="sample capture not here")
def test_sample_takes_far_less_than_xz():
    items = [item for item in items_of(SAMPLE) if not item.path.startswith("images/")]
    packed = pack(items)
    assert unpacked(packed) == {item.path: item.data for item in items}
    assert len(packed) < 0.63 * XZ_9_OF_SAMPLE


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=2000), st.integers(1, 5000).map(bytes)))
def test_planes_round_trip(raw):
    method, packed = planes.compress(raw) if raw else (planes.STORED, raw)
    assert planes.decompress(packed, method=method, raw_bytes=len(raw), what="t") == raw


@pytest.mark.parametrize("method", [planes.DEFLATE, planes.BZIP2, planes.LZMA2 + 15])
def test_stream_that_unpacks_to_more_than_it_says_is_refused(method):
    raw = bytes(100_000)
    packed = next(data for found, data in planes._candidates(raw) if found == method)
    with pytest.raises(ArchiveError, match="another length"):
        planes.decompress(packed, method=method, raw_bytes=10, what="t")


@pytest.mark.parametrize("kind", ["i4", "i8"])
def test_zigzag_of_extremes(kind):
    values = np.array([0, -1, 1, np.iinfo(kind).min, np.iinfo(kind).max], kind)
    unsigned = planes.zigzag_array(values)
    assert unsigned[:3].tolist() == [0, 1, 2]
    assert np.array_equal(planes.unzigzag_array(unsigned), values)


def test_damaged_pack_ends_in_a_value_or_an_archive_error(tmp_path):
    colmap_model(tmp_path / MODEL, points=12, images=2)
    (tmp_path / "sparse_pc.ply").write_bytes(nerfstudio_ply(tmp_path))
    files = {item.path: item.data for item in items_of(tmp_path)}
    packed = pack(items_of(tmp_path))
    for cut in range(0, len(packed), 11):
        with pytest.raises(ArchiveError):
            unpacked(packed[:cut])
    for position in range(0, len(packed), 3):
        damaged = bytearray(packed)
        damaged[position] ^= 0x55
        try:
            found = unpacked(bytes(damaged))
        except ArchiveError:
            continue
        assert set(found.values()) <= set(files.values())
