"""LMVIC as a `MultiViewCodec`: each view predicted by its nearest coded neighbours.

    first view of a group, and where prediction does not pay   (depth,) image alone
    every other view                                           references, depth, corrections, image given the reference

In which order is `group_order`'s decision, how finely each view is coded `view_qualities`', how it is predicted
`prediction_search`'s. The picture itself is coded by the network or by AV1 (`av1_pictures`), whichever is cheaper.
Encoder and decoder share `reference_pictures`; both see only what the strings hold. Pictures that serve as references
are the 8-bit ones, so that a rounding difference between two machines does not grow along the chain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels
from nerfstudio_mvc.codecs.lmvic.av1_pictures import Av1Coder, Av1Trials
from nerfstudio_mvc.codecs.lmvic.correction_strings import (
    LIGHT,
    decode_light,
    encode_light,
)
from nerfstudio_mvc.codecs.lmvic.group_strings import (
    AV1,
    DEPTH,
    IMAGE,
    QUALITY,
    REFERENCES,
    SEQUENCE,
    check_group_size,
    decoding_order,
    read_quality,
    write_quality,
)
from nerfstudio_mvc.codecs.lmvic.learned.coder_choice import CoderChoice
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder, ImageTables
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.learned.prediction_search import (
    MAX_REFERENCES,
    Prediction,
    SearchTools,
    find_predictions,
)
from nerfstudio_mvc.codecs.lmvic.learned.rate_distortion import error_bits, rd_lambda_of
from nerfstudio_mvc.codecs.lmvic.learned.trial_coding import PictureCoder
from nerfstudio_mvc.codecs.lmvic.learned.view_qualities import view_qualities
from nerfstudio_mvc.codecs.lmvic.sequence_choice import (
    CLEAR,
    WORTH_TRYING,
    coding_cost,
    may_be_sequence,
    sequence_saving,
    shown,
)
from nerfstudio_mvc.codecs.lmvic.sequence_pictures import SequenceCoder
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.denormals import without_denormals
from nerfstudio_mvc.layers.full_precision import in_full_precision
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.prediction.depth_coding import coded_grid, decode_depth, encode_depth
from nerfstudio_mvc.prediction.group_order import order_within_group
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, reference_picture
from nerfstudio_mvc.restoration.network import RestorationNet
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.video.av1_sequence import BYTES_PER_SEQUENCE_PIXEL, has_encoder
from nerfstudio_mvc.video.av1_speed import Effort

BYTES_PER_PIXEL, BYTES_PER_PIXEL_OF_ONE = 10, 110
"""Of memory: of all views of a group, and besides of the one that is being coded (12 megapixels: 1.2 GiB)."""


class LmvicCodec:
    """The small LMVIC model behind the codec interface."""

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
    ) -> None:
        self.switches = switches or LmvicSwitches()
        self.fingerprint = fingerprint
        self.device = torch.device(device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.tables = tables
        self.images = ImageCoder(
            self.model,
            self.tables,
            split_blocks=self.switches.split_blocks,
            keep_references=self.switches.keep_references,
        )
        restoring = None if restoration is None else Restoration(restoration, device=self.device)
        used = restoring if self.switches.restoration else None
        self.av1, av1_encoder = Av1Coder(restoring), Av1Coder(used, effort=effort)
        self.sequences = SequenceCoder(restoring)
        # Without an encoder the network codes alone; what can be decoded does not depend on this.
        with_av1 = self.switches.av1_pictures and has_encoder()
        self.group_coder = SequenceCoder(used, effort=effort) if with_av1 and self.switches.sequences else None
        self.coders: dict[str, PictureCoder] = {AV1: av1_encoder} if with_av1 else {}
        if self.switches.network_pictures or not with_av1:
            self.coders[IMAGE] = self.images
        self.tools = SearchTools(self.images, Av1Trials() if with_av1 else self.images, self.switches, by_av1=with_av1)

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
        for source in views:
            check_pixels(source)
        saving, rd_lambda = 0.0, rd_lambda_of(self.model.config.rd_lambdas, quality)
        if self.group_coder is not None:
            saving = sequence_saving(views, quality=quality, rd_lambda=rd_lambda)
        if saving >= CLEAR:
            return self._as_sequence(group_idx, views, quality=quality, on_view=on_view, on_step=on_step)
        one_by_one = self._one_by_one(group_idx, views, quality=quality, on_view=on_view)
        if saving < WORTH_TRYING:
            return one_by_one
        sequence = self._as_sequence(group_idx, views, quality=quality, on_step=on_step)
        return min(
            (one_by_one, sequence),
            key=lambda way: coding_cost(views, way.coded.payload_bytes, way.reconstructions, rd_lambda=rd_lambda),
        )

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
        """See `MultiViewCodec`; only the wanted views and those they refer to are decoded."""
        strings = [{substream.name: substream.payload for substream in view.substreams} for view in coded.views]
        if any(SEQUENCE in own for own in strings):
            units = {view.view_idx: own[SEQUENCE] for view, own in zip(views, strings, strict=True) if SEQUENCE in own}
            return self.sequences.decode(units, views, quality=quality, wanted=wanted, on_view=on_view)
        coded_views = list(zip(views, strings, strict=True))
        decoded: dict[int, DecodedView] = {}
        pixels = {}
        order = decoding_order(strings, coded, wanted, most=MAX_REFERENCES, images=(IMAGE, AV1))
        for position, references in order.items():
            view, own = coded_views[position]
            decoded[position], shown = self._decode_view(
                view, own, [decoded[reference] for reference in references], quality=quality
            )
            if wanted is None or view.view_idx in wanted:
                pixels[view.view_idx] = shown
            if on_view is not None:
                on_view(view.view_idx, coded.views[position].payload_bytes)
        return pixels

    def group_memory(self, view_pixels: Sequence[int]) -> int:
        """See `MultiViewCodec`."""
        one_by_one = BYTES_PER_PIXEL * sum(view_pixels) + BYTES_PER_PIXEL_OF_ONE * max(view_pixels)
        return max(one_by_one, BYTES_PER_SEQUENCE_PIXEL * sum(view_pixels) if may_be_sequence(view_pixels) else 0)

    def _one_by_one(
        self, group_idx: int, views: Sequence[SourceView], *, quality: float, on_view: ViewDone | None
    ) -> EncodedGroup:
        decoded: dict[int, DecodedView] = {}
        coded, reconstructions = {}, {}
        choice = CoderChoice(tuple(self.coders))
        order = order_within_group([source.view for source in views]) if self.switches.between else range(len(views))
        qualities = view_qualities(views, order, quality=quality, tools=self.tools)
        for position in order:
            source, own = views[position], qualities[position]
            substreams, decoded[position], pixels = self._encode_view(source, decoded, choice, quality=own)
            if own != quality:
                substreams.insert(0, Substream(QUALITY, write_quality(own)))
            coded[position] = CodedView(source.view.view_idx, tuple(substreams))
            reconstructions[source.view.view_idx] = pixels
            if on_view is not None:
                on_view(source.view.view_idx, coded[position].payload_bytes)
        return EncodedGroup(
            CodedGroup(group_idx, tuple(coded[position] for position in range(len(views)))), reconstructions
        )

    def _as_sequence(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None,
    ) -> EncodedGroup:
        found = self.group_coder.encode(views, quality=quality, on_step=on_step)
        coded = tuple(
            CodedView(source.view.view_idx, (Substream(SEQUENCE, found[source.view.view_idx][0]),)) for source in views
        )
        if on_view is not None:
            for view in coded:
                on_view(view.view_idx, view.payload_bytes)
        return EncodedGroup(CodedGroup(group_idx, coded), shown(found))

    def _encode_view(
        self, source: SourceView, decoded: Mapping[int, DecodedView], choice: CoderChoice, *, quality: float
    ) -> tuple[list[Substream], DecodedView, np.ndarray]:
        x = to_picture(source.pixels, self.device)
        ways = find_predictions(source, x, decoded, quality=quality, tools=self.tools)
        rd_lambda = rd_lambda_of(self.model.config.rd_lambdas, quality)
        strings = [self._strings_of(way) for way in ways]

        def coded(idx: int, coder: PictureCoder) -> tuple[float, bytes, torch.Tensor]:
            payload, picture = coder.encode(x, ways[idx].reference, quality=quality)
            bits = 8 * (len(payload) + sum(len(string.payload) for string in strings[idx]))
            return bits + error_bits(x, picture, rd_lambda=rd_lambda), payload, picture

        tried = range(len(ways))
        if len(ways) > 1 and self.tools.by_av1:
            # A fast AV1 of the whole view knows which way is the cheaper one.
            tried = [min(tried, key=lambda idx: coded(idx, self.tools.trials)[0])]
        # Per coder its best: cost, string, picture, way.
        best = {
            name: min(((*coded(idx, self.coders[name]), idx) for idx in tried), key=lambda one: one[0])
            for name in choice.names()
        }
        choice.note({name: cost for name, (cost, *_) in best.items()})
        name = min(best, key=lambda name: best[name][0])
        _, payload, picture, idx = best[name]
        way, substreams = ways[idx], [*strings[idx], Substream(name, payload)]
        pixels = to_pixels(picture)
        depth = None if way.depth is None else torch.from_numpy(way.depth.depth())
        return substreams, DecodedView(source.view, self._kept(pixels), depth), pixels

    def _strings_of(self, way: Prediction) -> list[Substream]:
        """What says how a view is predicted."""
        substreams, tables = [], self.tables.latent
        if way.references:
            substreams.append(Substream(REFERENCES, bytes(way.references)))
        if way.depth is not None:
            substreams.append(Substream(DEPTH, encode_depth(way.depth, tables)))
        if way.light is not None:
            substreams.append(Substream(LIGHT, encode_light(way.light, tables)))
        return substreams

    def _decode_view(
        self, view: View, strings: dict[str, bytes], references: list[DecodedView], *, quality: float
    ) -> tuple[DecodedView, np.ndarray]:
        depth = None
        if DEPTH in strings:
            grid = coded_grid(view.height, view.width)
            depth = torch.from_numpy(decode_depth(strings[DEPTH], self.tables.latent, grid=grid).depth())
        reference = self._decode_reference(view, strings, depth, references)
        size = (view.height, view.width)
        own = read_quality(strings, view, otherwise=quality)
        if AV1 in strings:
            picture = self.av1.decode(strings[AV1], size, reference, quality=own)
        else:
            picture = self.images.decode(strings[IMAGE], size, reference, quality=own)
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
            light = decode_light(strings[LIGHT], len(references), tables=self.tables.latent)
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
