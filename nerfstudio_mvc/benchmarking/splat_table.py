"""What splats lose as rows of text: the same on the terminal, in Markdown and on the page.

The measuring is `splat_quality`'s. A loss is told only where it is larger than the spread of trainings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nerfstudio_mvc.benchmarking.capture_benchmark import CaptureResult
from nerfstudio_mvc.benchmarking.splat_quality import SplatQuality, loss_of

HEADER = ("trained on", "bpp", "photographs dB", "held-out dB", "spread", "loss dB", "MS-SSIM", "spread", "loss")
NONE_SEEN = "none seen"


def splat_rows(result: CaptureResult) -> list[tuple[str, ...]]:
    """A row for the originals and one for every archive, columns as in `HEADER`; none where no splats were trained."""
    originals = result.splats
    if originals is None:
        return []
    rows = [(originals.trained_on, "", "", *_measured(originals, originals))]
    for archive in result.archives:
        if archive.splats is not None:
            coded = (archive.splats.trained_on, f"{archive.bpp:.3f}", f"{archive.psnr_db:.2f}")
            rows.append((*coded, *_measured(archive.splats, originals)))
    return rows


def _measured(splats: SplatQuality, originals: SplatQuality) -> tuple[str, ...]:
    return (
        *_mean_spread_loss(splats.psnr_db, originals.psnr_db, 2),
        *_mean_spread_loss(splats.ms_ssim, originals.ms_ssim, 4),
    )


def _mean_spread_loss(values: Sequence[float], originals: Sequence[float], decimals: int) -> tuple[str, str, str]:
    if not values or not originals:
        return ("-", "-", "-")
    loss = loss_of(values, originals)
    told = f"{-loss.difference:.{decimals}f}" if loss.seen else NONE_SEEN
    spread = f"{np.ptp(values):.{decimals}f}"
    return (f"{np.mean(values):.{decimals}f}", spread, "" if values is originals else told)
