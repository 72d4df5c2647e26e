"""Fits the weights with which codec parahydra merges views: least squares over captures, some minutes on one core.

    python tools/fit_parahydra_merge.py --captures CAPTURE .. --groups 2

Groups of four neighbours are coded alone at qualities drawn evenly, matched and moved as the decoder does it; the best
weights of all classes are then one linear system for each level of error and number of sides. Writes
nerfstudio_mvc/codecs/parahydra/merge_weights.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import coding_order
from nerfstudio_mvc.codecs.parahydra import merging
from nerfstudio_mvc.codecs.parahydra.error_map import UNIT_STEP, own_error
from nerfstudio_mvc.codecs.parahydra.joint_decoding import Help, JointDecoder
from nerfstudio_mvc.codecs.parahydra.merging import CLASSES, ERROR_EDGES, MOST_SIDES, STEPS, level_of
from nerfstudio_mvc.codecs.parahydra.stills import Still, encode_still

VIEWS = 4
MOST_PX = 1024
RIDGE = 3e-3
NEIGHBOURS = 0.15
"""What pictures of the next level of error count."""


@dataclass
class Equations:
    """Normal equations of each level of error, of all sides together; fewer sides are their first rows."""

    size: int = MOST_SIDES * CLASSES
    left: np.ndarray = field(default_factory=lambda: np.zeros((len(ERROR_EDGES) + 1, 1, 1)))
    right: np.ndarray = field(init=False)
    pictures: np.ndarray = field(default_factory=lambda: np.zeros(len(ERROR_EDGES) + 1, int))

    def __post_init__(self) -> None:
        self.left = np.zeros((len(self.pictures), self.size, self.size))
        self.right = np.zeros((len(self.pictures), self.size))

    def add(self, photograph: np.ndarray, still: Still, helped: Help) -> None:
        """One picture; every picture counts the same."""
        unit = own_error(still.levels, photograph.shape[:2])
        level = level_of(unit)
        spread = unit.repeat(UNIT_STEP, 0).repeat(UNIT_STEP, 1)[: len(photograph), : photograph.shape[1]] / 256
        differences = [side.pixels.astype(np.float32) - still.pixels for side in helped.aligned]
        classes = [kinds.astype(np.int64) for kinds in helped.merged.classes]
        error = photograph.astype(np.float32) - still.pixels
        left, right = np.zeros((self.size, self.size)), np.zeros(self.size)
        for s, (own, kind) in enumerate(zip(differences, classes, strict=True)):
            rows = slice(s * CLASSES, (s + 1) * CLASSES)
            right[rows] = _sums(kind, (own * error).sum(-1) / spread, CLASSES)
            for t in range(s, len(differences)):
                columns = slice(t * CLASSES, (t + 1) * CLASSES)
                products = (own * differences[t]).sum(-1) / spread
                block = _sums(kind * CLASSES + classes[t], products, CLASSES**2).reshape(CLASSES, CLASSES)
                left[rows, columns] = block
                left[columns, rows] = block.T
        self.pictures[level] += 1
        for other in range(len(self.pictures)):
            share = {0: 1.0, 1: NEIGHBOURS}.get(abs(other - level), 0.0)
            self.left[other] += share * left
            self.right[other] += share * right

    def solved(self) -> np.ndarray:
        """Weights as `merging.fitted_weights` has them."""
        weights = np.zeros((len(self.pictures), MOST_SIDES, MOST_SIDES, CLASSES), np.int64)
        for level, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            for count in range(1, MOST_SIDES + 1):
                size = count * CLASSES
                found = np.linalg.solve(left[:size, :size] + RIDGE * np.eye(size), right[:size])
                # No difference is worth more than the side itself, nor a step away from it.
                weights[level, count - 1, :count] = np.rint(np.clip(found, 0, 1) * STEPS).reshape(count, CLASSES)
        return weights[1:]


def _sums(kinds: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(kinds.ravel(), values.ravel(), size) / (values.size * 3)


def coded_groups(root: Path, groups: int) -> Iterator[tuple[list[np.ndarray], dict[int, Still]]]:
    """Groups of neighbours of a capture and what AV1 makes of each."""
    rng = np.random.default_rng(sum(map(ord, root.name)))
    capture = load_capture(root)
    order = coding_order(capture.views)
    for _ in range(groups):
        start = int(rng.integers(max(len(order) - VIEWS, 0) + 1))
        quality = float(rng.uniform(1.5, 8))
        photographs = [_middle(read_image(capture.views[idx].image_path).pixels) for idx in order[start:][:VIEWS]]
        yield photographs, {position: _still(pixels, quality) for position, pixels in enumerate(photographs)}


def _middle(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(side - MOST_PX, 0) // 2 for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + MOST_PX, left : left + MOST_PX])


def _still(pixels: np.ndarray, quality: float) -> Still:
    return encode_still(pixels, quality=quality, effort="fast")[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captures", nargs="+", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=2, help="of four views, per capture")
    arguments = parser.parse_args()
    merging.fitted_weights = lambda: np.zeros((len(ERROR_EDGES), MOST_SIDES, MOST_SIDES, CLASSES), np.int32)
    target = Path(merging.__file__).with_name("merge_weights.json")
    equations = Equations()
    for root in arguments.captures:
        for photographs, stills in coded_groups(root, arguments.groups):
            joint = JointDecoder(stills)
            for position, photograph in enumerate(photographs):
                helped = joint.shown(position)
                closed = [float((side.trust == 0).mean()) for side in helped.aligned]
                if helped.sides:
                    equations.add(photograph, stills[position], helped)
                print(root.name, position, [f"{share:.2f}" for share in closed], equations.pictures, flush=True)
        target.write_text(json.dumps(equations.solved().tolist(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
