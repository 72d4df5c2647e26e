"""The photographs' files themselves as a `MultiViewCodec`: every one comes back bit for bit.

JPEG files become JPEG XL, others are kept or packed as .xz, whichever is less. No view needs another, nor its camera.
STRINGS.md says what the strings hold.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from nerfstudio_mvc.capture.image_files import decode_image
from nerfstudio_mvc.capture.jpeg_segments import SOI
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels
from nerfstudio_mvc.codecs.lossless.jpeg_xl import jpeg_of_jxl, jxl_of_jpeg
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import ArchiveError, CaptureError
from nerfstudio_mvc.xz import packed, unpacked

ORIGINAL = "original"
PROFILE = "lossless-1"
JPEG_XL = 2
"""Beside the methods of `xz`."""
MAX_FILE_BYTES = 1 << 31
_HEAD = struct.Struct("<BQ32s")  # method, bytes of the file, their SHA-256
_BYTES_PER_PIXEL = 40
"""About what decoding the picture and recompressing its coefficients take."""


class LosslessCodec:
    """Files of photographs behind the codec interface."""

    name = "lossless"
    fingerprint = PROFILE
    wants_depth = False
    wants_cameras = True
    readable = (PROFILE,)

    def __init__(self, *, effort: Effort = "default") -> None:
        """`effort` says nothing here: libjxl's is a matter of seconds."""

    def group_memory(self, view_pixels: Sequence[int]) -> int:
        """See `MultiViewCodec`."""
        return _BYTES_PER_PIXEL * sum(view_pixels)

    def encode_group(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None = None,
    ) -> EncodedGroup:
        """See `MultiViewCodec`; `quality` does not matter.

        Raises:
            ShapeError: pixels that are not uint8 [height, width, 3] of their view.
            CaptureError: a file is larger than 2 GiB.
        """
        coded = []
        for source in views:
            check_pixels(source)
            view = CodedView(source.view.view_idx, (Substream(ORIGINAL, _packed(source)),))
            coded.append(view)
            if on_view is not None:
                on_view(view.view_idx, view.payload_bytes)
        return EncodedGroup(
            CodedGroup(group_idx, tuple(coded)), {source.view.view_idx: source.pixels for source in views}
        )

    def decode_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        """See `MultiViewCodec`; the pixels are those that `decode_image` finds in the files."""
        names = {view.view_idx: view.name for view in views}
        sizes = {view.view_idx: (view.height, view.width, 3) for view in views}
        pixels = {}
        for view_idx, content in self.files_of_group(coded, views, wanted=wanted, on_view=on_view).items():
            try:
                pixels[view_idx] = decode_image(content, Path(names[view_idx])).pixels
            except CaptureError as error:
                raise ArchiveError(str(error)) from error
            if pixels[view_idx].shape != sizes[view_idx]:
                raise ArchiveError(f"view {view_idx} is damaged: its picture has another size than it should")
        return pixels

    def files_of_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, bytes]:
        """See `KeepsFiles`."""
        files = {}
        for view, coded_view in zip(views, coded.views, strict=True):
            if wanted is None or view.view_idx in wanted:
                files[view.view_idx] = _unpacked(coded_view, view)
                if on_view is not None:
                    on_view(view.view_idx, coded_view.payload_bytes)
        return files


def _packed(source: SourceView) -> bytes:
    content = source.file
    assert content is not None, "a codec that keeps files is given them"
    if len(content) > MAX_FILE_BYTES:
        raise CaptureError(f"{source.view.name}: larger than 2 GiB; move it out of the capture folder")
    jxl = jxl_of_jpeg(content) if content.startswith(SOI) else None
    method, stored = (JPEG_XL, jxl) if jxl is not None and len(jxl) < len(content) else packed(content)
    return _HEAD.pack(method, len(content), sha256(content).digest()) + stored


def _unpacked(coded: CodedView, view: View) -> bytes:
    what = f"the file of view {coded.view_idx}"
    payload = next((string.payload for string in coded.substreams if string.name == ORIGINAL), b"")
    if len(payload) < _HEAD.size:
        raise ArchiveError(f'{what} is damaged: it has no "{ORIGINAL}" string')
    method, size, digest = _HEAD.unpack_from(payload)
    if size > MAX_FILE_BYTES:
        raise ArchiveError(f"{what} is damaged: it claims {size} bytes")
    stored = payload[_HEAD.size :]
    if method == JPEG_XL:
        content = jpeg_of_jxl(stored, width=view.width, height=view.height, what=what)
    else:
        content = unpacked(method, stored, size=size, what=what)
    if len(content) != size or sha256(content).digest() != digest:
        raise ArchiveError(f"{what} is damaged: it is not the one that was packed (SHA-256 mismatch)")
    return content
