"""The views of a group as streams of AV1, one per size: each view predicted from coded ones, warped, blended and plain.

    encoder   depth ahead, from photographs -> prediction -> slots -> libaom -> decode -> restore -> reference of others
    decoder   prediction -> slots -> decode -> restore

Both sides run `_Stream` and `predict_view` on decoded pictures, decoded depth and coded changes of light only.
References are the 8-bit pictures, so that a rounding difference between two machines does not grow along a chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import ViewDone
from nerfstudio_mvc.codecs.lmvic.aside import Aside
from nerfstudio_mvc.codecs.lmvic.correction_strings import LIGHT, decode_light, encode_light
from nerfstudio_mvc.codecs.lmvic.frame_head import FrameHead, read_frame
from nerfstudio_mvc.codecs.lmvic.group_strings import DEPTH, FRAME, REFERENCES
from nerfstudio_mvc.codecs.lmvic.slots import TINY_SLOT, SlotPlan
from nerfstudio_mvc.codecs.lmvic.stream_plan import Level, PlannedView, plan_group
from nerfstudio_mvc.codecs.lmvic.stream_rate import StreamRate, stream_rate
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.codecs.lmvic.view_prediction import ViewPrediction, predict_view, warp_neighbours
from nerfstudio_mvc.coded import CodedView, Substream
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.pictures import to_picture
from nerfstudio_mvc.prediction.blend import Blend
from nerfstudio_mvc.prediction.depth_coding import CodedDepth, coded_grid, decode_depth, encode_depth
from nerfstudio_mvc.prediction.depth_for_prediction import depth_for_prediction
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView
from nerfstudio_mvc.prediction.weighted_prediction import Photometric, fit_light
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.restoration.restored_planes import better_pixels, shown_pixels
from nerfstudio_mvc.video.colour import PlaneFormat, planes_from_rgb
from nerfstudio_mvc.video.colour_axes import best_turn
from nerfstudio_mvc.video.libaom import SLOTS, Decoder, Encoder, LibaomError
from nerfstudio_mvc.video.obu import check_unit, without_delimiter
from nerfstudio_mvc.video.sequence import threads
from nerfstudio_mvc.video.speeds import EncoderSpeeds

DEPTH_BITS_PER_GREY_LEVEL = 2.5  # of a cell of the coded depth, at quality 5
GROWTH_PER_QUALITY = 1.35
"""What a grey level of difference costs the picture grows with the quality, here per point."""
COPY_SPEED = 9  # nothing is to be found in a copy
MOST_REFERENCES = 2
_OPTIONS = {
    "enable-global-motion": 0,  # its pyramids of a reference are not made anew when the reference is put in
    "enable-ref-frame-mvs": 0,  # vectors of the frames whose slots the references are put into say nothing
    "sb-size": 128,
}


@dataclass(frozen=True, eq=False)
class StreamTools:
    """What streams are coded with, on both sides. Views are predicted on the CPU, restored where the network is.

    Attributes:
        blend: of two warped references.
        tables: of depth and changes of light.
        restoration: None where there is no network for it; what is restored then does not decode.
        switches: what the encoder does; `align` and `mask` hold for both sides.
    """

    blend: Blend
    tables: TableSet
    restoration: Restoration | None
    switches: LmvicSwitches


class _Stream:
    """Decoder of one stream, and what stands in its slots; the encoder's half drives it too."""

    def __init__(self, view: View, form: PlaneFormat) -> None:
        self.size, self.form = (view.width, view.height), form
        self.decoder = Decoder(view.width, view.height, threads=threads())
        self._first = True

    def decode(self, unit: bytes) -> np.ndarray:
        """Planes of the frame in a unit. uint16 [3, H, W]"""
        width, height = self.size
        check_unit(unit, width=width, height=height, first=self._first)
        self._first = False
        return self.decoder.decode(unit)

    def put(self, prediction: ViewPrediction, slots: Sequence[int], encoder: Encoder | None = None) -> None:
        """Put the pictures that a view refers to into its slots."""
        for slot, planes in zip(slots, prediction.planes(len(slots), self.form), strict=True):
            self.decoder.put_reference(slot, planes)
            if encoder is not None:
                encoder.put_reference(slot, planes)


class GroupStreamEncoder:
    """Codes one group; made anew for each.

    Args:
        quality: 1 to 8, of the group.
        speeds: how long it may take.
    """

    def __init__(
        self, views: Sequence[SourceView], tools: StreamTools, *, quality: float, speeds: EncoderSpeeds
    ) -> None:
        self._sources, self._tools, self._speed = views, tools, speeds.stream
        self._restoration = tools.restoration if tools.switches.restoration else None
        self._quality = quality
        self._plan = plan_group([source.view for source in views], tools.switches)
        self._decoded: dict[int, DecodedView] = {}
        self._streams: dict[tuple[int, int], tuple[_Stream, Encoder, SlotPlan]] = {}
        self._rate = stream_rate(quality, [self._level(planned) for planned in self._plan])
        self._needed = _needed_probabilities(self._plan)
        self._referred_to = {reference for planned in self._plan for reference in planned.references}

    def encode(self, on_view: ViewDone | None) -> tuple[dict[int, CodedView], dict[int, np.ndarray]]:
        """Coded views by position in the group, and by view_idx the pixels the decoder will show, uint8 [H, W, 3]."""
        coded, shown = {}, {}
        # Depth comes of photographs, not of decoded pictures: it is found while others are coded.
        with (
            ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as ahead,
            Aside() as aside,
        ):
            depths = self._depths_ahead(ahead)
            try:
                for rank, planned in enumerate(self._plan):
                    position = planned.position

                    def done(finished: tuple[CodedView, np.ndarray], position: int = position) -> None:
                        coded[position], pixels = finished
                        shown[coded[position].view_idx] = pixels
                        if on_view is not None:
                            on_view(coded[position].view_idx, coded[position].payload_bytes)

                    finish = self._encode(rank, planned, depths[position].result())
                    if position in self._referred_to:
                        done(finish())
                    else:
                        aside.run(finish, done)
            except BaseException:
                for waiting in depths.values():
                    waiting.cancel()
                raise
        return coded, shown

    def _depths_ahead(self, pool: ThreadPoolExecutor) -> dict[int, Future[CodedDepth | None]]:
        found: dict[int, Future[CodedDepth | None]] = {}
        for planned in self._plan:
            references = {reference: found[reference] for reference in planned.references}
            found[planned.position] = pool.submit(self._depth_of, planned, references)
        return found

    @torch.no_grad()
    def _depth_of(self, planned: PlannedView, done: Mapping[int, Future[CodedDepth | None]]) -> CodedDepth | None:
        source = self._sources[planned.position]
        if source.depth is None:
            return None
        neighbours = []
        for reference in planned.references:
            depth, other = done[reference].result(), self._sources[reference]
            if depth is None:
                return depth_for_prediction(source, (), tables=self._tools.tables)
            neighbours.append(DecodedView(other.view, _kept(other.pixels), torch.from_numpy(depth.depth())))
        bits = DEPTH_BITS_PER_GREY_LEVEL * GROWTH_PER_QUALITY ** (self._quality - 5)
        return depth_for_prediction(
            source,
            neighbours if self._tools.switches.refine_depth else (),
            tables=self._tools.tables,
            bits_per_grey_level=bits,
        )

    def _encode(
        self, rank: int, planned: PlannedView, depth: CodedDepth | None
    ) -> Callable[[], tuple[CodedView, np.ndarray]]:
        """Code a view, and say how it is finished: restored, its strings packed."""
        source = self._sources[planned.position]
        view = source.view
        depth_map = None if depth is None else torch.from_numpy(depth.depth())
        neighbours = [self._decoded[reference] for reference in planned.references]
        light, prediction = self._predicted(source, depth_map, neighbours)
        point = self._rate.of_level(self._level(planned))
        size = (view.width, view.height)
        if size not in self._streams:
            head, unit, planes = self._start(rank, source, point)
        else:
            stream, encoder, slots = self._streams[size]
            named = slots.name(
                planned.position,
                nearest=planned.references[0] if planned.references else None,
                ancestors=planned.ancestors,
                wanted=len(prediction.pictures),
                needed=self._needed[rank],
            )
            stream.put(prediction, named.named, encoder)
            unit = without_delimiter(
                encoder.encode(
                    planes_from_rgb(source.pixels, stream.form),
                    quantizer=point.quantizer,
                    references=named.named,
                    refresh=[] if named.refresh is None else [named.refresh],
                )
            )
            planes = stream.decode(unit)
            head = FrameHead(rank, point.quality, (0, 0), named.named)
        return partial(self._finished, planned, depth, light, prediction.reference, head, unit, planes)

    def _finished(
        self,
        planned: PlannedView,
        depth: CodedDepth | None,
        light: Photometric | None,
        reference: Reference | None,
        head: FrameHead,
        unit: bytes,
        planes: np.ndarray,
    ) -> tuple[CodedView, np.ndarray]:
        view = self._sources[planned.position].view
        form = self._streams[view.width, view.height][0].form
        strengths, pixels = better_pixels(
            self._restoration,
            planes,
            form,
            photograph=self._sources[planned.position].pixels,
            reference=reference,
            quality=head.quality,
        )
        head = replace(head, strengths=strengths or (0, 0))
        substreams = []
        if planned.references:
            substreams.append(Substream(REFERENCES, bytes(planned.references)))
        if depth is not None:
            substreams.append(Substream(DEPTH, encode_depth(depth, self._tools.tables)))
        if light is not None:
            substreams.append(Substream(LIGHT, encode_light(light, self._tools.tables)))
        substreams.append(Substream(FRAME, head.pack(unit)))
        if planned.position in self._referred_to:
            depth_map = None if depth is None else torch.from_numpy(depth.depth())
            self._decoded[planned.position] = DecodedView(view, _kept(pixels), depth_map)
        return CodedView(view.view_idx, tuple(substreams)), pixels

    def _level(self, planned: PlannedView) -> Level:
        return planned.level if self._tools.switches.finer_references else "only"

    def _predicted(
        self, source: SourceView, depth: Tensor | None, neighbours: Sequence[DecodedView]
    ) -> tuple[Photometric | None, ViewPrediction]:
        warped, light = warp_neighbours(source.view, depth, neighbours, self._tools.switches), None
        if warped and self._tools.switches.gain_and_offset:
            light = fit_light(warped, to_picture(source.pixels, "cpu"))
        return light, predict_view(self._tools.blend, source.view, neighbours, warped, light, self._tools.switches)

    def _start(self, rank: int, source: SourceView, point: StreamRate) -> tuple[FrameHead, bytes, np.ndarray]:
        """A key frame, and a stream to go on with."""
        size = (source.view.width, source.view.height)
        members = [source.pixels for source in self._sources if (source.view.width, source.view.height) == size]
        form = PlaneFormat(self._rate.levels, best_turn(source.pixels, members))
        encoder = Encoder(*size, speed=self._speed, quantizer=point.quantizer, threads=threads(), options=_OPTIONS)
        stream = _Stream(source.view, form)
        planes = planes_from_rgb(source.pixels, form)
        unit = without_delimiter(encoder.encode(planes, quantizer=point.quantizer, refresh=range(SLOTS)))
        decoded, copy = stream.decode(unit), b""
        if len(members) > 1:
            encoder.set_option("cpu-used", COPY_SPEED)
            encoder.set_option("cdf-update-mode", 0)
            copy = without_delimiter(encoder.encode(decoded, references=[0], refresh=[TINY_SLOT]))
            encoder.set_option("cdf-update-mode", 1)
            encoder.set_option("cpu-used", self._speed)
            stream.decode(copy)
        self._streams[size] = (stream, encoder, SlotPlan(self._plan[rank].position))
        return FrameHead(rank, point.quality, (0, 0), form=form, copy=copy), unit, decoded


def decode_streams(
    strings: Sequence[Mapping[str, bytes]],
    views: Sequence[View],
    order: Mapping[int, Sequence[int]],
    tools: StreamTools,
    on_decoded: Callable[[int, np.ndarray], None],
) -> None:
    """Decode views of a group.

    Args:
        strings: substreams of all views of the group by name, and
        views: their views.
        order: positions to decode, in their order, and their references; see `decoding_order`.
        on_decoded: called with the position and pixels, uint8 [H, W, 3], of each.

    Raises:
        ArchiveError: a substream is damaged.
    """
    streams: dict[tuple[int, int], _Stream] = {}
    decoded: dict[int, DecodedView] = {}
    referred_to = {reference for references in order.values() for reference in references}
    with Aside() as aside:
        for position, references in order.items():
            view, own = views[position], strings[position]
            neighbours = [decoded[reference] for reference in references]
            depth, shown = _view_decoded(view, own, neighbours, streams, tools)
            if position in referred_to:
                pixels = shown()
                decoded[position] = DecodedView(view, _kept(pixels), depth)
                on_decoded(position, pixels)
            else:
                aside.run(shown, partial(on_decoded, position))


def _view_decoded(
    view: View,
    own: Mapping[str, bytes],
    neighbours: Sequence[DecodedView],
    streams: dict[tuple[int, int], _Stream],
    tools: StreamTools,
) -> tuple[Tensor | None, Callable[[], np.ndarray]]:
    """Depth of a view, and what makes the pixels that are shown of its decoded planes."""
    what = f'view {view.view_idx} "{view.name}"'
    head, unit = read_frame(own[FRAME], what=what)
    depth = None
    if DEPTH in own:
        grid = coded_grid(view.height, view.width)
        depth = torch.from_numpy(decode_depth(own[DEPTH], tools.tables, grid=grid).depth())
    warped = warp_neighbours(view, depth, neighbours, tools.switches)
    light = decode_light(own[LIGHT], len(warped), tables=tools.tables) if LIGHT in own else None
    prediction = predict_view(tools.blend, view, neighbours, warped, light, tools.switches)
    try:
        planes = _decoded(streams, view, head, unit, prediction, what)
    except LibaomError as error:
        raise ArchiveError(f"{what}: {error}: the archive is damaged") from error
    strengths = None if head.strengths == (0, 0) else head.strengths
    form, reference = streams[view.width, view.height].form, prediction.reference

    def shown() -> np.ndarray:
        return shown_pixels(tools.restoration, planes, form, strengths, reference, quality=head.quality)

    return depth, shown


def _decoded(
    streams: dict[tuple[int, int], _Stream],
    view: View,
    head: FrameHead,
    unit: bytes,
    prediction: ViewPrediction,
    what: str,
) -> np.ndarray:
    size = (view.width, view.height)
    if head.form is not None:
        if size in streams:
            raise ArchiveError(f"{what}: begins a stream anew: the archive is damaged")
        stream = streams[size] = _Stream(view, head.form)
        planes = stream.decode(unit)
        if head.copy:
            stream.decode(head.copy)
        return planes
    if size not in streams or len(head.slots) > len(prediction.pictures):
        raise ArchiveError(f"{what}: refers to pictures that are not there: the archive is damaged")
    streams[size].put(prediction, head.slots)
    return streams[size].decode(unit)


def _needed_probabilities(plan: Sequence[PlannedView]) -> list[frozenset[int]]:
    """For each rank: the views whose probabilities it or later ones want."""
    needed: list[frozenset[int]] = []
    later: set[int] = set()
    for planned in reversed(plan):
        later |= set(planned.references[:1])
        needed.append(frozenset(later))
    return needed[::-1]


def _kept(pixels: np.ndarray) -> Tensor:
    """A picture as it waits for the views that refer to it. uint8 [1, 3, H, W]"""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
