"""ParaHydra as published behind the codec interface: a string for each view, and all views of a group decoded together.

The strings of a view do not hang on the other views, unless the weights are of the ablation "joint encoding". Neither
cameras nor depth are used. A side view whose string is damaged is left out where it is not asked for itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.codecs.parahydra.paper.transforms import needed_views
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.entropy.latent_coding import LatentTables, quality_level
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.denormals import without_denormals
from nerfstudio_mvc.layers.full_precision import in_full_precision
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels

IMAGE = "image"


class ParaHydraPaperCodec:
    """The paper's model behind the codec interface."""

    name = "parahydra"
    wants_depth = False
    wants_cameras = False

    def __init__(self, model: ParaHydraModel, tables: LatentTables, *, fingerprint: str, device: str = "cpu") -> None:
        self.fingerprint = fingerprint
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.model.use_tables(tables)

    def group_memory(self, view_pixels: Sequence[int]) -> None:
        """See `MultiViewCodec`: one group at a time, its networks take all cores."""

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
            ShapeError: pixels that are not uint8 [height, width, 3] of their view.
        """
        for source in views:
            check_pixels(source)
        coded = self.model.compress([to_picture(source.pixels, self.device) for source in views], quality=quality)
        group = CodedGroup(
            group_idx,
            tuple(
                CodedView(source.view.view_idx, (Substream(IMAGE, strings[0]),))
                for source, strings in zip(views, coded["strings"], strict=True)
            ),
        )
        shown = self.decode_group(group, [source.view for source in views], quality=quality, on_view=on_view)
        return EncodedGroup(group, shown)

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
        """See `MultiViewCodec`; of the other views, those that help the wanted ones are read."""
        sides_of = self.model.sides(len(views))
        positions = [idx for idx, view in enumerate(views) if wanted is None or view.view_idx in wanted]
        latents = self._latents(coded, views, needed_views(positions, sides_of), positions, quality=quality)
        sides_of = [[side for side in sides if side in latents] for sides in sides_of]
        sizes = {position: (views[position].height, views[position].width) for position in latents}
        shown = self.model.shown(
            latents, sizes, quality_level(quality, self.device), sides_of=sides_of, wanted=positions
        )
        pixels = {}
        for position in positions:
            view_idx = views[position].view_idx
            pixels[view_idx] = to_pixels(shown[position])
            if on_view is not None:
                on_view(view_idx, coded.views[position].payload_bytes)
        return pixels

    def _latents(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        needed: Collection[int],
        wanted: Collection[int],
        *,
        quality: float,
    ) -> Mapping[int, Tensor]:
        latents = {}
        for position in sorted(needed):
            view = views[position]
            try:
                string = _image_string(coded.views[position])
                latents[position] = self.model.latent_of(string, (view.height, view.width), quality=quality)
            except ArchiveError:
                if position in wanted:
                    raise
        return latents


def _image_string(view: CodedView) -> bytes:
    for substream in view.substreams:
        if substream.name == IMAGE:
            return substream.payload
    raise ArchiveError(f'view {view.view_idx} has no "{IMAGE}" string: the archive is damaged')
