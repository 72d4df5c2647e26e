"""The picture of a reference view as the camera of another view would see it.

Where pixels land is `flow`'s business, what to show where nothing was seen `hole_filling`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.geometry.cameras import Lens
from nerfstudio_mvc.geometry.flow import BAND_PIXELS, OCCLUSION_SLACK, ViewPair, bands, view_pair
from nerfstudio_mvc.geometry.landing_kernels import MARGIN, NO_RAY, PairArrays, land_rows, read_rows
from nerfstudio_mvc.geometry.projection import NEAREST_RATIO
from nerfstudio_mvc.kernel_threads import in_parts

LARGEST = 1e30  # in place of what float32 does not hold


@torch.no_grad()
def warp_view(
    reference_picture: Tensor,
    depth: Tensor,
    reference_depth: Tensor | None = None,
    *,
    current: View,
    reference: View,
    band_pixels: int = BAND_PIXELS,
) -> tuple[Tensor, Tensor]:
    """The reference photograph as the current camera would see it, bicubically, on the CPU.

    Args:
        reference_picture: in 8 bits or as float32 0..1, of any size. [3, Hr, Wr]
        depth: z-depth of the current view, any resolution; cells <= 0 have none. [h, w]
        reference_depth: z-depth of the reference view, for occlusion; None: nothing is hidden. [hr, wr]
        current, reference: views; the result has the size of `current`.
        band_pixels: how many pixels are worked on together; changes memory, not the result.

    Returns:
        warped: 0 where not valid, stored pixel by pixel. float32 0..1 [3, H, W]
        valid: 1 where the current pixel is seen in the reference, else 0. float32 [1, H, W]

    Raises:
        ShapeError, CaptureError: as in `flow_to_reference`.
    """
    if reference_picture.ndim != 3 or len(reference_picture) != 3 or 0 in reference_picture.shape:
        raise ShapeError(f"the picture to warp has shape {tuple(reference_picture.shape)}, expected [3, Hr, Wr]")
    height, width = current.height, current.width
    pair = _arrays(
        view_pair(
            depth.cpu(),
            current=current,
            reference=reference,
            reference_depth=None if reference_depth is None else reference_depth.cpu(),
            height=height,
            width=width,
        )
    )
    picture = _with_margin(reference_picture)
    warped, valid = np.empty((height, width, 3), np.float32), np.empty((height, width), np.float32)

    def rows(first: int, last: int) -> None:
        for band in bands(last - first, width, band_pixels):
            x, y = (np.empty((band.stop - band.start, width), np.float32) for _ in range(2))
            seen = np.empty(x.shape, np.bool_)
            land_rows(first + band.start, first + band.stop, pair, x, y, seen)
            read_rows(first + band.start, first + band.stop, picture, x, y, seen, warped, valid)

    in_parts(rows, height)
    return torch.from_numpy(warped).permute(2, 0, 1), torch.from_numpy(valid)[None]


def _with_margin(picture: Tensor) -> np.ndarray:
    """As `read_rows` takes it. [3, H, W] -> [H + 4, W + 4, 4]"""
    colours, scale = picture.cpu().numpy(), np.float32(1 / 255 if picture.dtype == torch.uint8 else 1)
    height, width = colours.shape[1:]
    found = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN, 4), np.float32)
    inside = found[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for channel, colour in enumerate(colours):
        np.multiply(colour, scale, out=inside[..., channel], dtype=np.float32)
    found[MARGIN:-MARGIN, :MARGIN], found[MARGIN:-MARGIN, -MARGIN:] = inside[:, :1], inside[:, -1:]
    found[:MARGIN], found[-MARGIN:] = found[MARGIN], found[-1 - MARGIN]
    return found


def _arrays(pair: ViewPair) -> PairArrays:
    """Of the types that compiled loops take; indices have no sign, so that loops need not ask for it."""
    rays, inverse, hiding = pair.rays, pair.inverse_depth, pair.reference_inverse_depth
    coverage = torch.ones_like(inverse) if pair.coverage is None else pair.coverage
    pose = [[*row, shift] for row, shift in zip(pair.rotation, pair.translation, strict=True)]
    longest = min(pair.longest_ray**2, LARGEST)
    return PairArrays(
        rays.nodes.nan_to_num(nan=NO_RAY).numpy(),
        _indices(rays.first_row),
        rays.row_weights.numpy(),
        _indices(rays.first_column),
        rays.column_weights.numpy(),
        torch.stack([inverse, coverage]).numpy(),
        *(part for taps in (pair.row_taps, pair.column_taps) for part in (*map(_indices, taps[:2]), taps[2].numpy())),
        _in_range(pose).ravel(),
        np.array([NEAREST_RATIO, longest, OCCLUSION_SLACK], np.float32),
        _lens_array(pair.reference, pair.reference_width, pair.reference_height),
        np.zeros((1, 1), np.float32) if hiding is None else hiding.contiguous().numpy(),
    )


def _indices(values: Tensor) -> np.ndarray:
    return values.numpy().astype(np.uint32)


def _lens_array(lens: Lens, width: int, height: int) -> np.ndarray:
    """See `landing_kernels.LENS`."""
    slant, omega = (1.0, 1.0) if lens.fisheye else (2 * math.tan(lens.omega / 2), lens.omega)
    numerator = (*lens.numerator, *[0.0] * (4 - len(lens.numerator)))
    denominator = (*lens.denominator, *[0.0] * (3 - len(lens.denominator)))
    focal_and_centre = (lens.fx / width, lens.fy / height, lens.cx / width, lens.cy / height)
    return _in_range([*focal_and_centre, slant, omega, *lens.tangential, *lens.prism, *numerator, *denominator])


def _in_range(values: Sequence) -> np.ndarray:
    return np.clip(np.array(values), -LARGEST, LARGEST).astype(np.float32)
