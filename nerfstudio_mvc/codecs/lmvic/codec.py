"""LMVIC as a `MultiViewCodec`: views predicted through geometry, their pictures by AV1 (the default) or by a network.

How AV1 codes a group is `group_stream`'s business, how the network does `learned.codec`'s; a group is one or the other,
and its substreams say which. In both, depth is coded, neighbours are warped through it and blended, as in 3D-GP-LMVIC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import torch

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels
from nerfstudio_mvc.codecs.lmvic.group_stream import MOST_REFERENCES, GroupStreamEncoder, StreamTools, decode_streams
from nerfstudio_mvc.codecs.lmvic.group_strings import (
    FRAME,
    check_group_size,
    stream_order,
)
from nerfstudio_mvc.codecs.lmvic.learned.codec import LearnedPictures
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder, ImageTables
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.layers.denormals import without_denormals
from nerfstudio_mvc.layers.full_precision import in_full_precision
from nerfstudio_mvc.restoration.network import RestorationNet
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.video.speeds import SPEEDS

BYTES, BYTES_PER_PIXEL, BYTES_PER_PIXEL_OF_ONE = 500_000_000, 12, 300
"""Of memory: in any case (bands that are restored), of all views of a group, and of the one being coded, half of
it the slots of libaom's encoder and decoder."""


class LmvicCodec:
    """See the module.

    Args:
        model: blends references, and codes pictures where `pictures` is "learned".
        restoration: restores what AV1 codes; None: nothing does.
        effort: how long AV1 may take.
        pictures: what encodes them; either is decoded.
    """

    name = "lmvic"
    wants_depth = True
    wants_cameras = True

    def __init__(
        self,
        model: ImageModel,
        tables: ImageTables,
        *,
        fingerprint: str,
        device: str = "cpu",
        switches: LmvicSwitches | None = None,
        restoration: RestorationNet | None = None,
        effort: Effort = "default",
        pictures: Literal["av1", "learned"] = "av1",
    ) -> None:
        self.switches = switches or LmvicSwitches()
        self.fingerprint, self.pictures = fingerprint, pictures
        self.device = torch.device(device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.tables, self.speeds = tables, SPEEDS[effort]
        self.images = ImageCoder(
            self.model,
            self.tables,
            split_blocks=self.switches.split_blocks,
            keep_references=self.switches.keep_references,
        )
        self.learned = LearnedPictures(self.images, self.switches, device=self.device)
        restoring = None if restoration is None else Restoration(restoration, device=self.device)
        self.tools = StreamTools(self.images.inference.blend, tables.latent, restoring, self.switches)

    @torch.no_grad()
    @without_denormals
    @in_full_precision
    def encode_group(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None = None,
    ) -> EncodedGroup:
        """See `MultiViewCodec`.

        Raises:
            ShapeError: more than 256 views, or pixels that are not uint8 [height, width, 3] of their view.
            LibaomError: there is no libaom.
        """
        check_group_size(len(views))
        for source in views:
            check_pixels(source)
        if self.pictures == "learned":
            return self.learned.encode_group(group_idx, views, quality=quality, on_view=on_view)
        coded, shown = GroupStreamEncoder(views, self.tools, quality=quality, speeds=self.speeds).encode(on_view)
        return EncodedGroup(CodedGroup(group_idx, tuple(coded[position] for position in range(len(views)))), shown)

    @torch.no_grad()
    @without_denormals
    @in_full_precision
    def decode_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        """See `MultiViewCodec`; only the wanted views and those they hang on are decoded."""
        strings = [{substream.name: substream.payload for substream in view.substreams} for view in coded.views]
        if not any(FRAME in own for own in strings):
            return self.learned.decode_group(strings, coded, views, quality=quality, wanted=wanted, on_view=on_view)
        order = stream_order(strings, coded, views, wanted, most=MOST_REFERENCES)
        pixels: dict[int, np.ndarray] = {}

        def on_decoded(position: int, shown: np.ndarray) -> None:
            view_idx = views[position].view_idx
            if wanted is None or view_idx in wanted:
                pixels[view_idx] = shown
            if on_view is not None:
                on_view(view_idx, coded.views[position].payload_bytes)

        decode_streams(strings, views, order, self.tools, on_decoded)
        return pixels

    def group_memory(self, view_pixels: Sequence[int]) -> int:
        """See `MultiViewCodec`."""
        return BYTES + BYTES_PER_PIXEL * sum(view_pixels) + BYTES_PER_PIXEL_OF_ONE * max(view_pixels)
