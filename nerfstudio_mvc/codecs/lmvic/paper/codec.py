"""The paper preset as a `MultiViewCodec`: a chain, every view predicted from the one coded before it.

    first view of a group (or one without depth)   from zero references
    every other view                               depth, then picture, given the view before

A view that refers to the one before has a string "references" with that view's position. Every depth string starts with
the group's unit of depth, so that nothing hangs on the cameras of views that are not decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence

import numpy as np
import torch

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels
from nerfstudio_mvc.codecs.lmvic.group_strings import (
    DEPTH,
    IMAGE,
    REFERENCES,
    check_group_size,
    decoding_order,
)
from nerfstudio_mvc.codecs.lmvic.paper.depth_scale import depth_unit, is_depth_unit, on_grid
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel, ViewGeometry, ViewState
from nerfstudio_mvc.codecs.lmvic.paper.tables import PaperTables
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.denormals import without_denormals
from nerfstudio_mvc.layers.full_precision import in_full_precision
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels

_UNIT = struct.Struct("<f")


class PaperCodec:
    """The paper's model behind the codec interface."""

    name = "lmvic"
    wants_cameras = True

    def __init__(self, model: PaperModel, tables: PaperTables, *, fingerprint: str, device: str = "cpu") -> None:
        self.fingerprint = fingerprint
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.model.use_tables(tables)
        self.wants_depth = not model.config.separate

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
            ShapeError: more than 256 views, or pixels that are not uint8 [height, width, 3] of their view.
        """
        check_group_size(len(views))
        depths = [source.depth for source in views if source.depth is not None]
        unit = None if not depths or self.model.config.separate else depth_unit([s.view for s in views], depths)
        coded, reconstructions = [], {}
        last: ViewState | None = None
        for position, source in enumerate(views):
            check_pixels(source)
            substreams, last, pixels = self._encode_view(source, last, position, unit, quality=quality)
            coded.append(CodedView(source.view.view_idx, tuple(substreams)))
            reconstructions[source.view.view_idx] = pixels
            if on_view is not None:
                on_view(source.view.view_idx, coded[-1].payload_bytes)
        return EncodedGroup(CodedGroup(group_idx, tuple(coded)), reconstructions)

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
        coded_views = list(zip(views, strings, strict=True))
        pixels = {}
        last: ViewState | None = None
        for position, references in sorted(decoding_order(strings, coded, wanted, most=1).items()):
            view, own = coded_views[position]
            if references and references != [position - 1]:
                raise ArchiveError(f'view {view.view_idx} "{view.name}": refers to another view than the last: damaged')
            state = last = self._decode_view(view, own, last if references else None, quality=quality)
            if wanted is None or view.view_idx in wanted:
                pixels[view.view_idx] = to_pixels(state.picture)
            if on_view is not None:
                on_view(view.view_idx, coded.views[position].payload_bytes)
        return pixels

    def _encode_view(
        self, source: SourceView, last: ViewState | None, position: int, unit: float | None, *, quality: float
    ) -> tuple[list[Substream], ViewState, np.ndarray]:
        view = source.view
        depth, geometry, reference = None, None, None
        if source.depth is not None and unit is not None:
            depth = on_grid(source.depth, height=view.height, width=view.width).to(self.device)
            geometry = ViewGeometry([view], unit)
            reference = last if last is not None and last.depth is not None else None
        picture = to_picture(source.pixels, self.device)
        result = self.model.compress(picture, depth, geometry=geometry, reference=reference, quality=quality)
        image_strings, depth_strings = result["strings"]
        substreams = []
        if reference is not None:
            substreams.append(Substream(REFERENCES, bytes([position - 1])))
        if depth is not None:
            substreams.append(Substream(DEPTH, _UNIT.pack(unit) + depth_strings[0]))
        substreams.append(Substream(IMAGE, image_strings[0]))
        return substreams, result["state"], to_pixels(result["x_hat"])

    def _decode_view(
        self, view: View, strings: dict[str, bytes], reference: ViewState | None, *, quality: float
    ) -> ViewState:
        depth_strings, geometry = [], None
        if DEPTH in strings:
            geometry = ViewGeometry([view], _read_unit(strings[DEPTH], view))
            depth_strings.append(strings[DEPTH][_UNIT.size :])
        if reference is not None and (reference.depth is None or geometry is None):
            raise ArchiveError(f'view {view.view_idx} "{view.name}": refers to a view without depth: damaged')
        result = self.model.decompress(
            [[strings[IMAGE]], depth_strings],
            (view.height, view.width),
            geometry=geometry,
            reference=reference,
            quality=quality,
        )
        return result["state"]


def _read_unit(payload: bytes, view: View) -> float:
    if len(payload) < _UNIT.size or not is_depth_unit(unit := _UNIT.unpack_from(payload)[0]):
        raise ArchiveError(f'view {view.view_idx} "{view.name}": its depth has no scale: the archive is damaged')
    return unit
