"""How good a finished archive is: real bytes, PSNR, MS-SSIM and seconds against the capture it was made from.

The measures themselves live in `quality`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.errors import CaptureError, ShapeError
from nerfstudio_mvc.pipeline.open_archive import OpenArchive
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.pipeline.reports import EvaluateReport, ViewQuality
from nerfstudio_mvc.quality.ms_ssim import ms_ssim
from nerfstudio_mvc.quality.psnr import psnr_db


def evaluate_archive(
    archive: str | Path,
    data: str | Path,
    *,
    device: str = "auto",
    weights: Path | None = None,
    codec: MultiViewCodec | None = None,
    on_event: OnEvent | None = None,
    on_pixels: Callable[[str, np.ndarray], object] | None = None,
) -> EvaluateReport:
    """Decode an archive and hold every view against the photograph it was made from.

    Args:
        archive: the `.mvc` file.
        data: the capture folder it was made from.
        device, weights, codec: as for `open_archive`.
        on_event: receives a `StepProgress` after each view.
        on_pixels: called with the name of each view and its decoded pixels, uint8 [H, W, 3].

    Raises:
        ArchiveError: the archive is damaged.
        CaptureError: a photograph of the archive is missing in `data` or has another size there.
    """
    on_event = on_event or ignore_event
    archive, data = Path(archive), Path(data)
    results: dict[int, ViewQuality] = {}
    decode_s = 0.0
    with OpenArchive(archive, device=device, weights=weights, codec=codec) as source:
        start_s = time.monotonic()
        for decoded in source.decode_groups():
            decode_s += time.monotonic() - start_s
            for view_idx, pixels in decoded.pixels.items():
                name = source.views[view_idx].name
                results[view_idx] = _compare(name, pixels, read_image(data / name).pixels)
                if on_pixels is not None:
                    on_pixels(name, pixels)
                on_event(StepProgress("comparing", len(results), len(source.views)))
            start_s = time.monotonic()
    views = tuple(results[view_idx] for view_idx in sorted(results))
    ms_ssims = [view.ms_ssim for view in views if view.ms_ssim is not None]
    summary = summarize(archive)
    return EvaluateReport(
        archive=archive,
        source_bytes=summary.source_bytes,
        file_bytes=summary.file_bytes,
        attachment_bytes=summary.attachment_bytes,
        bpp=summary.bpp,
        views=views,
        psnr_db=float(np.mean([view.psnr_db for view in views])),
        ms_ssim=float(np.mean(ms_ssims)) if len(ms_ssims) == len(views) else None,
        decode_s=decode_s,
    )


def _compare(name: str, pixels: np.ndarray, original: np.ndarray) -> ViewQuality:
    if pixels.shape != original.shape:
        raise CaptureError(
            f'"{name}" has {original.shape[1]}x{original.shape[0]} pixels in the capture and '
            f"{pixels.shape[1]}x{pixels.shape[0]} in the archive: give the folder the archive was made from"
        )
    try:
        similarity = ms_ssim(original, pixels)
    except ShapeError:
        similarity = None
    height, width = pixels.shape[:2]
    return ViewQuality(name=name, width=width, height=height, psnr_db=psnr_db(original, pixels), ms_ssim=similarity)
