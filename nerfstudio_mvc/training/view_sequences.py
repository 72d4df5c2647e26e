"""Short runs of neighbouring views, cut to crops that follow the same part of the scene.

What the paper's model trains on; which photographs there are, and their depth, is found by `paper_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.view_order import coding_order
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.codecs.lmvic.paper.depth_scale import depth_unit, on_grid
from nerfstudio_mvc.codecs.lmvic.paper.model import ViewGeometry
from nerfstudio_mvc.geometry.cameras import crop_view
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.training.pictures import Pictures

START_STEP = 2
"""Every second view of the coding order starts a run, as the paper has it."""


@dataclass(frozen=True)
class CroppedView:
    """One view of a run: picture [1, 3, S, S], 0..1, z-depth [1, 1, S, S], and the cropped camera."""

    picture: Tensor
    depth: Tensor
    geometry: ViewGeometry

    def to(self, device: torch.device) -> CroppedView:
        """The same with its maps on `device`."""
        return CroppedView(self.picture.to(device), self.depth.to(device), self.geometry)


@dataclass(frozen=True)
class _Run:
    views: tuple[View, ...]
    depths: tuple[DepthMap, ...]
    depth_unit: float


class ViewSequences:
    """Draws runs of `length` views.

    Args:
        captures: with the depth of every view, None where there is none; only runs that have depth everywhere and
            photographs of `crop_px` or more are drawn.
        pictures: decodes and keeps the photographs.
    """

    def __init__(
        self,
        captures: Sequence[tuple[Capture, Sequence[DepthMap | None]]],
        *,
        pictures: Pictures,
        length: int,
        crop_px: int,
    ) -> None:
        self.pictures, self.crop_px = pictures, crop_px
        self.runs = [run for capture, depths in captures for run in _runs(capture, depths, length, crop_px)]

    def __len__(self) -> int:
        return len(self.runs)

    def draw(self, rng: np.random.Generator) -> list[CroppedView]:
        """A random run. The crop of its first view is random; each next one shows the point in the last one's middle.

        The authors' code takes the same window in all views, in which a large parallax leaves nothing in common.
        """
        run = self.runs[int(rng.integers(len(self.runs)))]
        first = run.views[0]
        left = int(rng.integers(first.width - self.crop_px + 1))
        top = int(rng.integers(first.height - self.crop_px + 1))
        cropped = []
        for idx, (view, depth_map) in enumerate(zip(run.views, run.depths, strict=True)):
            if idx:
                left, top = self._follow(run, idx, left, top)
            cropped.append(self._crop(view, depth_map, run.depth_unit, left, top))
        return cropped

    def _crop(self, view: View, depth_map: DepthMap, unit: float, left: int, top: int) -> CroppedView:
        side = self.crop_px
        window = (slice(top, top + side), slice(left, left + side))
        pixels = torch.from_numpy(self.pictures.pixels(view.image_path)[window].copy())
        depth = on_grid(depth_map.depth, height=view.height, width=view.width)[(..., *window)]
        camera = crop_view(view, left=left, top=top, width=side, height=side)
        return CroppedView(
            pixels.permute(2, 0, 1)[None].float() / 255, depth.contiguous(), ViewGeometry([camera], unit)
        )

    def _follow(self, run: _Run, idx: int, left: int, top: int) -> tuple[int, int]:
        """Corner of the window in view `idx` whose middle shows what the middle shows in the view before."""
        before, view = run.views[idx - 1], run.views[idx]
        x, y = left + self.crop_px / 2, top + self.crop_px / 2
        depth = torch.from_numpy(run.depths[idx - 1].depth)
        field = flow_to_reference(depth, current=before, reference=view)
        rows, columns = depth.shape
        row, column = int(y * rows / before.height), int(x * columns / before.width)
        if field.valid[row, column]:
            x = float(column + 0.5 + field.flow[0, row, column]) * view.width / field.reference_size[1]
            y = float(row + 0.5 + field.flow[1, row, column]) * view.height / field.reference_size[0]
        corner = np.floor(np.array([x, y]) - self.crop_px / 2)
        left, top = np.clip(corner, 0, [view.width - self.crop_px, view.height - self.crop_px]).astype(int)
        return int(left), int(top)


def _runs(capture: Capture, depths: Sequence[DepthMap | None], length: int, crop_px: int) -> list[_Run]:
    order = coding_order(capture.views)
    runs = []
    for start in range(0, len(order) - length + 1, START_STEP):
        idxs = order[start : start + length]
        views = tuple(capture.views[idx] for idx in idxs)
        maps = tuple(depths[idx] for idx in idxs)
        if all(depth_map is not None for depth_map in maps) and all(
            min(view.width, view.height) >= crop_px for view in views
        ):
            runs.append(_Run(views, maps, depth_unit(views, [depth_map.depth for depth_map in maps])))
    return runs
