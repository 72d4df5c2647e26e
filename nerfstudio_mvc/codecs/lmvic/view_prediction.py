"""The pictures that a view may refer to, as both sides make them of coded neighbours.

    neighbours --warp through the view's depth, change of light, blend--> reference
    pictures = reference as blended, neighbours as they are, neighbours warped

AV1 chooses among them block by block. The blend alone is also what restoration sees. 3D-GP-LMVIC's references, with a
video encoder in the place of its image network; MPEG calls a warped picture among the references view synthesis
prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.kernel_threads import side_by_side
from nerfstudio_mvc.prediction.blend import Blend
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, blended_reference, warped_references
from nerfstudio_mvc.prediction.weighted_prediction import Photometric
from nerfstudio_mvc.video.colour import PlaneFormat, planes_from_rgb


@dataclass(frozen=True, eq=False)
class ViewPrediction:
    """Of one view.

    Attributes:
        reference: the blend, filled; None where no neighbour shows anything of the view.
        pictures: what AV1 may refer to, the most useful first; made a few at a time, since large photographs are
            many bytes. Each gives pixels [H, W, 3], uint8 or float32, 0..1.
    """

    reference: Reference | None
    pictures: tuple[Callable[[], np.ndarray], ...]

    def planes(self, count: int, form: PlaneFormat) -> Iterator[np.ndarray]:
        """The first `count` pictures as planes, uint16 [3, H, W]."""
        return side_by_side([partial(_planes, pixels, form) for pixels in self.pictures[:count]])


def warp_neighbours(
    view: View, depth: Tensor | None, neighbours: Sequence[DecodedView], switches: LmvicSwitches
) -> list[Reference]:
    """Neighbours, nearest first, as the camera of `view` would see them; none without a depth. [h, w]"""
    if depth is None or not all(known.has_geometry for known in (view, *(one.view for one in neighbours))):
        return []
    return warped_references(view, depth, neighbours, align=switches.align, mask=switches.mask)


def predict_view(
    blend: Blend,
    view: View,
    neighbours: Sequence[DecodedView],
    warped: Sequence[Reference],
    light: Photometric | None,
    switches: LmvicSwitches,
) -> ViewPrediction:
    """The pictures for `view`, given its neighbours and what `warp_neighbours` made of them."""
    if light is not None:
        warped = [light.changed(reference, idx) for idx, reference in enumerate(warped)]
    reference = blended_reference(blend, warped) if warped else None
    size = (view.height, view.width)
    plain = [partial(_stored_pixels, one.stored) for one in neighbours if one.stored.shape[-2:] == size]
    if reference is None:
        return ViewPrediction(None, tuple(plain))
    if not switches.plain_references:
        plain = []
    seen = []
    if len(warped) > 1 and switches.warped_references:
        seen = [partial(_filled_pixels, one) for one in warped if bool(one.valid.any())]
    return ViewPrediction(reference, (partial(_float_pixels, reference.picture), *plain, *seen))


def _planes(pixels: Callable[[], np.ndarray], form: PlaneFormat) -> np.ndarray:
    return planes_from_rgb(pixels(), form)


def _stored_pixels(stored: Tensor) -> np.ndarray:
    return stored[0].permute(1, 2, 0).cpu().numpy()


def _float_pixels(picture: Tensor) -> np.ndarray:
    return picture[0].permute(1, 2, 0).cpu().numpy()


def _filled_pixels(reference: Reference) -> np.ndarray:
    return _float_pixels(reference.filled().picture)
