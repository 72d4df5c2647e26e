"""What a COLMAP model says about itself: which key point a 3D point should be, and how large its error should be.

The decoder repeats these computations and must get the same numbers, so they use float64 additions, products, quotients
and square roots only, one array operation at a time: IEEE 754 fixes their results. Their order is part of the format;
that is why `colmap_io.camera_models` is not used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.archive.colmap_files import CameraFile, ImageFile

CELL_PX = 4.0
LAST_CELL = 2.0**20
MAX_CANDIDATES = 32  # of each row of three cells
CHUNK_LINKS = 20_000


@dataclass(frozen=True)
class Candidates:
    """Key points near where some links are expected, nearest first.

    Attributes:
        links: the links these are for, a run of all.
        starts: of link ``links.start + i`` these are key_points[starts[i] : starts[i + 1]].
        key_points: index within the link's image.
    """

    links: slice
    starts: np.ndarray
    key_points: np.ndarray


def expected_pixels(
    xyz: np.ndarray, image_rows: np.ndarray, *, image_file: ImageFile, camera_file: CameraFile
) -> np.ndarray:
    """Where 3D points should appear in their images; NaN for camera models that are not covered.

    Args:
        xyz: point of each link, world units. float64 [L, 3]
        image_rows: image of each link. int64 [L]

    Returns:
        x, y in pixels. float64 [2, L]
    """
    unknown = np.full(8, np.nan)
    cameras = np.stack([camera_file.opencv.get(camera_id, unknown) for camera_id in image_file.camera_ids.tolist()])
    fx, fy, cx, cy, k1, k2, p1, p2 = cameras[image_rows].T
    w, a, b, c, *translation = image_file.poses[image_rows].T
    point = list(xyz.T)
    axis = [a, b, c]
    with np.errstate(all="ignore"):
        twice = [value + value for value in _cross(axis, point)]
        turned = _cross(axis, twice)
        camera_point = [((point[i] + w * twice[i]) + turned[i]) + translation[i] for i in range(3)]
        u, v = camera_point[0] / camera_point[2], camera_point[1] / camera_point[2]
        uu, vv, uv = u * u, v * v, u * v
        rr = uu + vv
        radial = k1 * rr + k2 * rr * rr
        du = u * radial + 2.0 * p1 * uv + p2 * (rr + 2.0 * uu)
        dv = v * radial + 2.0 * p2 * uv + p1 * (rr + 2.0 * vv)
        return np.stack([fx * (u + du) + cx, fy * (v + dv) + cy])


def _cross(first: list[np.ndarray], second: list[np.ndarray]) -> list[np.ndarray]:
    return [first[i] * second[j] - first[j] * second[i] for i, j in ((1, 2), (2, 0), (0, 1))]


def expected_errors(expected: np.ndarray, seen: np.ndarray, rows: np.ndarray, *, point_count: int) -> np.ndarray:
    """Mean distance in pixels between expected and seen key points, as COLMAP stores it with a point.

    Args:
        expected: from `expected_pixels`. float64 [2, L]
        seen: the key points linked. KEY_POINT [L]
        rows: point of each link. int64 [L]

    Returns:
        NaN for points without links. float64 [P]
    """
    with np.errstate(all="ignore"):
        dx, dy = expected[0] - seen["x"], expected[1] - seen["y"]
        distances = np.sqrt(dx * dx + dy * dy)
        # bincount adds in the order of the links, as COLMAP does.
        return np.bincount(rows, distances, point_count) / np.bincount(rows, minlength=point_count)


def near_key_points(expected: np.ndarray, image_rows: np.ndarray, *, image_file: ImageFile) -> Iterator[Candidates]:
    """Key points in the nine cells around each expected pixel, nearest first, equal ones by index; link by link.

    Args:
        expected: from `expected_pixels`. float64 [2, L]
        image_rows: image of each link. int64 [L]

    Yields:
        candidates for one run of links after the other: all at once could be many.
    """
    counts = np.diff(image_file.starts)
    images = np.repeat(np.arange(len(counts)), counts)
    keys = _cell_keys(images, _cells(image_file.key_points["x"]), _cells(image_file.key_points["y"]))
    by_cell = np.argsort(keys, kind="stable")
    sorted_keys = keys[by_cell]
    for start in range(0, len(image_rows), CHUNK_LINKS):
        links = slice(start, min(start + CHUNK_LINKS, len(image_rows)))
        places, owners, lengths = _cell_runs(expected[:, links], image_rows[links], sorted_keys)
        key_points = by_cell[places]
        dx = expected[0, links][owners] - image_file.key_points["x"][key_points]
        dy = expected[1, links][owners] - image_file.key_points["y"][key_points]
        order = np.lexsort((key_points, dx * dx + dy * dy, owners))
        within = key_points[order] - image_file.starts[image_rows[links][owners[order]]]
        yield Candidates(links, np.concatenate([[0], np.cumsum(lengths)]), within)


def _cell_runs(
    expected: np.ndarray, image_rows: np.ndarray, sorted_keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places in the sorted keys near each expected pixel, the link each is for, and their number per link."""
    column, row = _cells(expected[0]), _cells(expected[1])
    firsts, counts = [], []
    for step in (-1, 0, 1):
        first = np.searchsorted(sorted_keys, _cell_keys(image_rows, column - 1, row + step), side="left")
        last = np.searchsorted(sorted_keys, _cell_keys(image_rows, column + 1, row + step), side="right")
        firsts.append(first)
        counts.append(np.minimum(last - first, MAX_CANDIDATES))
    lengths = np.concatenate(counts)
    ends = np.cumsum(lengths)
    steps = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
    owners = np.repeat(np.tile(np.arange(len(image_rows)), 3), lengths)
    return np.repeat(np.concatenate(firsts), lengths) + steps, owners, np.sum(counts, axis=0)


def _cells(pixels: np.ndarray) -> np.ndarray:
    """Cell of a coordinate; cells far outside any image, and of NaN, are one beyond all."""
    with np.errstate(invalid="ignore"):
        inside = (pixels > -CELL_PX) & (pixels < CELL_PX * LAST_CELL)
    return np.floor(np.where(inside, pixels, CELL_PX * LAST_CELL) / CELL_PX).astype(np.int64) + 2


def _cell_keys(images: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return (images << 42) + (rows << 21) + columns
