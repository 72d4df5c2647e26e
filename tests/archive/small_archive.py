"""Tiny captures and archives for the tests beside this file; no codec: the strings are random bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from colmap_io.records import Camera
from nerfstudio_mvc.archive.attachments import plan_attachments
from nerfstudio_mvc.archive.colmap_files import parse_points
from nerfstudio_mvc.archive.writer import ArchiveWriter, CodingSettings
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream

MODEL = "colmap/sparse/0"
SETTINGS = CodingSettings(codec="lmvic", fingerprint="5b1e07", quality=3.0, parameters={"group_size": 2})


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def make_views(root: Path | None, count: int = 4, *, seed: int = 0, folder: str = "images") -> list[View]:
    rng = np.random.default_rng(seed)
    cameras = [
        Camera(1, "OPENCV", 40, 30, (50.0, 51.5, 20.0, 15.0, *rng.normal(scale=0.1, size=4).tolist())),
        Camera(7, "PINHOLE", 33, 17, (50.0, 51.5, 16.5, 8.5)),
    ]
    views = []
    for view_idx in range(count):
        cam_from_world = np.eye(4)
        cam_from_world[:3, :3] = random_rotation(rng)
        cam_from_world[:3, 3] = rng.normal(size=3)
        camera = cameras[view_idx % 3 == 2]
        name = f"{folder}/frame {view_idx:02d} ü.jpg"
        path = None
        if root is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.bytes(200 + view_idx))
        views.append(View(view_idx, name, path, camera.width, camera.height, camera, cam_from_world))
    return views


def make_group(group_idx: int, order: tuple[int, ...], *, seed: int = 0) -> CodedGroup:
    rng = np.random.default_rng([seed, group_idx])
    sizes = {"image/z": 5, "image/y/step0": 40, "image/y/step1": 0, "depth/z": 9}
    return CodedGroup(
        group_idx,
        tuple(CodedView(idx, tuple(Substream(name, rng.bytes(size)) for name, size in sizes.items())) for idx in order),
    )


def pixel_checks(group: CodedGroup) -> dict[int, int]:
    return {view_idx: view_idx * 0x01000193 for view_idx in group.coding_order}


def write_archive(
    path: Path, root: Path | None, views: list[View], groups: list[list[int]], **options
) -> list[CodedGroup]:
    """Write an archive; returns its groups."""
    mode = options.pop("mode", "lean")
    metadata = options.pop("image_metadata", {})
    copies = options.pop("smaller_copies", ())
    coded = [make_group(group_idx, tuple(order)) for group_idx, order in enumerate(groups)]
    with ArchiveWriter(path, views=views, kind="nerfstudio", groups=groups, settings=SETTINGS, **options) as writer:
        for group in coded:
            if not writer.has_group(group.group_idx):
                writer.add_group(group, pixel_checks=pixel_checks(group))
        plan = plan_attachments(root, view_names=[view.name for view in views], mode=mode, smaller_copies=copies)
        writer.finish(plan, image_metadata=metadata)
    return coded


def colmap_model(
    folder: Path, *, images: int = 3, points: int = 40, seed: int = 0, double: bool = False, shuffled: bool = True
) -> None:
    """A consistent images.bin, points3D.bin and cameras.bin of made-up numbers."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    cameras = struct.pack("<QIiQQ8d", 1, 1, 4, 1280, 851, 900.0, 901.0, 640.0, 425.0, 0.01, 0.0, 0.001, 0.0)
    (folder / "cameras.bin").write_bytes(cameras)
    tracks: list[list[tuple[int, int]]] = [[] for _ in range(points)]
    out = struct.pack("<Q", images)
    for row in range(images):
        image_id = 3 + 2 * row
        count = points + 10
        links = np.full(count, -1, np.int64)
        seen = np.sort(rng.choice(points, size=points - 5, replace=False))
        links[rng.choice(count, size=len(seen), replace=False)] = rng.permutation(seen)
        links[-1] = links[links >= 0][0]
        x = rng.uniform(0, 1280, count).astype(np.float64 if double else np.float32).astype(np.float64)
        y = np.sort(rng.uniform(0, 851, count).astype(np.float64 if double else np.float32)).astype(np.float64)
        x[5], y[5] = x[4], y[4]
        for key_point, point in enumerate(links.tolist()):
            if point >= 0:
                tracks[point].append((image_id, key_point))
        out += struct.pack("<I7dI", image_id, *rng.normal(size=7), 1) + f"frame_{row}.jpg\0".encode()
        records = np.zeros(count, [("x", "<f8"), ("y", "<f8"), ("id", "<i8")])
        records["x"], records["y"], records["id"] = x, y, np.where(links >= 0, links * 2 + 1, -1)
        out += struct.pack("<Q", count) + records.tobytes()
    (folder / "images.bin").write_bytes(out)
    body = struct.pack("<Q", points)
    for point, track in enumerate(tracks):
        if shuffled:
            rng.shuffle(track)
        color = rng.integers(0, 256, 3).tolist()
        body += struct.pack("<Q3d3BdQ", point * 2 + 1, *rng.normal(size=3), *color, rng.uniform(), len(track))
        body += b"".join(struct.pack("<II", *link) for link in track)
    (folder / "points3D.bin").write_bytes(body)


def nerfstudio_ply(folder: Path, *, decimals: int = 6, reverse: bool = True) -> bytes:
    """The points of the model in `folder` as nerfstudio lists them."""
    points = parse_points((folder / MODEL / "points3D.bin").read_bytes()).points
    order = range(len(points) - 1, -1, -1) if reverse else range(len(points))
    lines = [
        f"{x:.{decimals}f} {z:.{decimals}f} {-y:.{decimals}f} {r} {g} {b}\n"
        for (x, y, z), (r, g, b) in ((points[row]["xyz"].tolist(), points[row]["rgb"].tolist()) for row in order)
    ]
    return f"ply\nformat ascii 1.0\nelement vertex {len(points)}\nend_header\n".encode() + "".join(lines).encode()
