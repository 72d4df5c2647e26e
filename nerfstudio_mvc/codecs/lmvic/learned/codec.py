"""LMVIC with pictures by the network: each view predicted by its nearest coded neighbours, one picture at a time.

    first view of a group, and where prediction does not pay   (depth,) image alone
    every other view                                           references, depth, change of light, image

In which order is `group_order`'s decision, how finely each view is coded `view_qualities`', how it is predicted
`prediction_search`'s. Encoder and decoder share `reference_pictures`; both see only what the strings hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, ViewDone
from nerfstudio_mvc.codecs.lmvic.correction_strings import LIGHT, decode_light, encode_light
from nerfstudio_mvc.codecs.lmvic.group_strings import (
    DEPTH,
    IMAGE,
    QUALITY,
    REFERENCES,
    decoding_order,
    read_quality,
    write_quality,
)
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder
from nerfstudio_mvc.codecs.lmvic.learned.prediction_search import (
    MAX_REFERENCES,
    Prediction,
    SearchTools,
    find_predictions,
)
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import error_bits, rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.learned.view_qualities import view_qualities
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.prediction.depth_coding import coded_grid, decode_depth, encode_depth
from nerfstudio_mvc.prediction.group_order import order_within_group
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, reference_picture

BYTES_PER_PIXEL, BYTES_PER_PIXEL_OF_ONE = 10, 110
"""Of memory: of all views of a group, and besides of the one that is being coded (12 megapixels: 1.2 GiB)."""


class LearnedPictures:
    """Groups of views through an `ImageCoder`; the way of coding that `LmvicCodec` has beside AV1."""

    def __init__(self, images: ImageCoder, switches: LmvicSwitches, *, device: torch.device) -> None:
        self.images, self.switches, self.device = images, switches, device
        self.tables = images.tables.latent
        self.tools = SearchTools(images, images, switches)

    def encode_group(
        self, group_idx: int, views: Sequence[SourceView], *, quality: float, on_view: ViewDone | None
    ) -> EncodedGroup:
        """As of `MultiViewCodec`."""
        decoded: dict[int, DecodedView] = {}
        coded, reconstructions = {}, {}
        order = order_within_group([source.view for source in views]) if self.switches.between else range(len(views))
        qualities = view_qualities(views, order, quality=quality, tools=self.tools)
        for position in order:
            source, own = views[position], qualities[position]
            substreams, decoded[position], pixels = self._encode_view(source, decoded, quality=own)
            if own != quality:
                substreams.insert(0, Substream(QUALITY, write_quality(own)))
            coded[position] = CodedView(source.view.view_idx, tuple(substreams))
            reconstructions[source.view.view_idx] = pixels
            if on_view is not None:
                on_view(source.view.view_idx, coded[position].payload_bytes)
        return EncodedGroup(
            CodedGroup(group_idx, tuple(coded[position] for position in range(len(views)))), reconstructions
        )

    def decode_group(
        self,
        strings: list[dict[str, bytes]],
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None,
        on_view: ViewDone | None,
    ) -> dict[int, np.ndarray]:
        """As of `MultiViewCodec`; `strings` are those of each view by name."""
        decoded: dict[int, DecodedView] = {}
        pixels = {}
        order = decoding_order(strings, coded, wanted, most=MAX_REFERENCES)
        for position, references in order.items():
            view, own = views[position], strings[position]
            decoded[position], shown = self._decode_view(
                view, own, [decoded[reference] for reference in references], quality=quality
            )
            if wanted is None or view.view_idx in wanted:
                pixels[view.view_idx] = shown
            if on_view is not None:
                on_view(view.view_idx, coded.views[position].payload_bytes)
        return pixels

    def _encode_view(
        self, source: SourceView, decoded: Mapping[int, DecodedView], *, quality: float
    ) -> tuple[list[Substream], DecodedView, np.ndarray]:
        x = to_picture(source.pixels, self.device)
        rd_lambda = rd_lambda_of(self.images.model.config.rd_lambdas, quality)
        found = []
        for way in find_predictions(source, x, decoded, quality=quality, tools=self.tools):
            substreams = self._strings_of(way)
            payload, picture = self.images.encode(x, way.reference, quality=quality)
            substreams.append(Substream(IMAGE, payload))
            bits = 8 * sum(len(string.payload) for string in substreams)
            found.append((bits + error_bits(x, picture, rd_lambda=rd_lambda), way, substreams, picture))
        _, way, substreams, picture = min(found, key=lambda one: one[0])
        pixels = to_pixels(picture)
        depth = None if way.depth is None else torch.from_numpy(way.depth.depth())
        return substreams, DecodedView(source.view, self._kept(pixels), depth), pixels

    def _strings_of(self, way: Prediction) -> list[Substream]:
        """What says how a view is predicted."""
        substreams = []
        if way.references:
            substreams.append(Substream(REFERENCES, bytes(way.references)))
        if way.depth is not None:
            substreams.append(Substream(DEPTH, encode_depth(way.depth, self.tables)))
        if way.light is not None:
            substreams.append(Substream(LIGHT, encode_light(way.light, self.tables)))
        return substreams

    def _decode_view(
        self, view: View, strings: dict[str, bytes], references: list[DecodedView], *, quality: float
    ) -> tuple[DecodedView, np.ndarray]:
        depth = None
        if DEPTH in strings:
            grid = coded_grid(view.height, view.width)
            depth = torch.from_numpy(decode_depth(strings[DEPTH], self.tables, grid=grid).depth())
        reference = self._decode_reference(view, strings, depth, references)
        own = read_quality(strings, view, otherwise=quality)
        picture = self.images.decode(strings[IMAGE], (view.height, view.width), reference, quality=own)
        pixels = to_pixels(picture)
        return DecodedView(view, self._kept(pixels), depth), pixels

    def _kept(self, pixels: np.ndarray) -> torch.Tensor:
        """A decoded picture as it waits for the views that refer to it. uint8 [1, 3, H, W]"""
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].to(self.device)

    def _decode_reference(
        self, view: View, strings: dict[str, bytes], depth: torch.Tensor | None, references: list[DecodedView]
    ) -> Reference | None:
        if not references:
            return None
        light = reference = None
        if LIGHT in strings:
            light = decode_light(strings[LIGHT], len(references), tables=self.tables)
        if depth is not None and all(known.has_geometry for known in (view, *(other.view for other in references))):
            reference = reference_picture(
                self.images.inference.blend,
                view,
                depth,
                references,
                light=light,
                align=self.switches.align,
                mask=self.switches.mask,
            )
        if reference is None:
            raise ArchiveError(f'view {view.view_idx} "{view.name}": refers to views it does not see: damaged')
        return reference
