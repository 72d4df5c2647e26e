"""A codec without a network, for tests of everything around codecs: every view is deflated, four bits per sample."""

from __future__ import annotations

import zlib

import numpy as np

from nerfstudio_mvc.codecs.interface import EncodedGroup
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError


class RawCodec:
    """Counts the groups it encodes; `stop_after` makes it stop like a killed process after so many."""

    name = "raw"
    fingerprint = "00ff00ff"
    wants_depth = True
    wants_cameras = True

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.encoded_groups: list[int] = []
        self.depths: dict[int, tuple[int, ...]] = {}
        self._stop_after = stop_after

    def group_memory(self, view_pixels):
        return None

    def encode_group(self, group_idx, views, *, quality, on_view=None, on_step=None):
        if self._stop_after is not None and len(self.encoded_groups) >= self._stop_after:
            raise KeyboardInterrupt
        coded, reconstructions = [], {}
        for source in views:
            view_idx = source.view.view_idx
            assert source.pixels.shape == (source.view.height, source.view.width, 3)
            if source.depth is not None:
                self.depths[view_idx] = source.depth.shape
            payload = zlib.compress((source.pixels >> 4).tobytes())
            coded.append(CodedView(view_idx, (Substream("image/raw", payload), Substream("depth/raw", b"\0"))))
            reconstructions[view_idx] = _pixels(payload, source.view)
            if on_view:
                on_view(view_idx, coded[-1].payload_bytes)
        self.encoded_groups.append(group_idx)
        return EncodedGroup(CodedGroup(group_idx, tuple(coded)), reconstructions)

    def decode_group(self, coded, views, *, quality, wanted=None, on_view=None):
        pixels = {}
        for view, coded_view in zip(views, coded.views, strict=True):
            if wanted is None or view.view_idx in wanted:
                if not coded_view.substreams:
                    raise ArchiveError(f"view {view.view_idx} has no strings")
                pixels[view.view_idx] = _pixels(coded_view.substreams[0].payload, view)
                if on_view:
                    on_view(view.view_idx, 0)
        return pixels


class OtherPixelsCodec(RawCodec):
    """Decodes the same files to other pixels, as another machine might."""

    def decode_group(self, coded, views, *, quality, wanted=None, on_view=None):
        decoded = super().decode_group(coded, views, quality=quality, wanted=wanted, on_view=on_view)
        return {view_idx: pixels ^ 1 for view_idx, pixels in decoded.items()}


def _pixels(payload, view):
    try:
        samples = np.frombuffer(zlib.decompress(payload), np.uint8)
    except zlib.error as error:
        raise ArchiveError(f"view {view.view_idx}: {error}") from error
    return (samples.reshape(view.height, view.width, 3) << 4) | 8
