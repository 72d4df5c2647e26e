"""The smaller copies of photographs that nerfstudio keeps beside them (images_2, images_4, images_8): made again.

Which of them a capture had is recorded by `archive.attachments`.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from nerfstudio_mvc.archive.attachments import DownscaledFolder
from nerfstudio_mvc.capture.image_files import ImageMetadata, read_alpha, with_jpeg_likeness
from nerfstudio_mvc.capture.views import View


def downscaled_name(folder: DownscaledFolder, view: View, *, restored: str) -> str | None:
    """POSIX path of the smaller copy of `view` in `folder`; None where it is no photograph of that folder's source.

    Args:
        restored: what its photograph is called now; where that is another name than before, nerfstudio looks for copies
            of the new name.
    """
    name, source = PurePosixPath(view.name), PurePosixPath(folder.source)
    if not name.is_relative_to(source):
        return None
    if restored != view.name:
        return str(PurePosixPath(folder.path) / PurePosixPath(restored).relative_to(source))
    copy = PurePosixPath(folder.path) / name.relative_to(source)
    return str(copy.with_suffix(folder.suffix) if folder.suffix else copy)


def shrink(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image reduced to `size` (w, h), with the filter of nerfstudio's ffmpeg. uint8 [H, W, 3] -> [h, w, 3]"""
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def shrink_metadata(metadata: ImageMetadata, pixels: np.ndarray) -> ImageMetadata:
    """What a smaller copy carries of its photograph: grey or colour, profile, alpha; no EXIF, as ffmpeg leaves it out.

    Args:
        metadata: of the photograph.
        pixels: of the copy. uint8 [h, w, 3]
    """
    height, width = pixels.shape[:2]
    alpha = metadata.alpha
    if alpha:
        plane, stream = read_alpha(metadata, (metadata.width, metadata.height)), io.BytesIO()
        plane.resize((width, height), Image.Resampling.LANCZOS).save(stream, "PNG")
        alpha = stream.getvalue()
    metadata = with_jpeg_likeness(metadata, "none")
    return replace(metadata, width=width, height=height, exif=b"", xmp=b"", comment=b"", alpha=alpha)
