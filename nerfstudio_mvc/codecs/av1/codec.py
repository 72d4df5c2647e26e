"""AV1 as a `MultiViewCodec`: the views of a group, in coding order, as one sequence of a video encoder.

It uses neither cameras nor depth: views follow each other like frames, and the encoder finds what moved. Views of
other sizes than the first are sequences of their own. STRINGS.md says what the strings hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from nerfstudio_mvc.capture.views import SourceView, View, by_size, needed_by_size
from nerfstudio_mvc.codecs.av1.rate import crf_of_quality
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels, step_counter
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video.colour import PlaneFormat, pack_format, planes_from_rgb, read_format, rgb_from_planes
from nerfstudio_mvc.video.colour_axes import best_turn
from nerfstudio_mvc.video.rate import rate_of_crf
from nerfstudio_mvc.video.sequence import decode_sequence, encode_sequence
from nerfstudio_mvc.video.speeds import SPEEDS

IMAGE, LEVELS = "image", "levels"
PROFILE = "av1-444-10bit-2"
"""Stands where other codecs name their weights: what a decoder of the strings must know."""

BYTES, BYTES_PER_PIXEL, BYTES_PER_PIXEL_OF_ONE, BYTES_PER_PIXEL_OF_ONE_FAST = 100_000_000, 7, 720, 490
"""Memory that encoding takes: in any case, of all views, and of the largest one, measured from .3 to 4 megapixels."""


class Av1Codec:
    """A video encoder behind the codec interface; `effort` says how long encoding may take."""

    name = "av1"
    wants_depth = False
    wants_cameras = True
    readable = (PROFILE,)

    def __init__(self, *, effort: Effort = "default") -> None:
        self.fingerprint = PROFILE
        self.speed = SPEEDS[effort].sequence

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
            LibaomError: there is no libaom.
        """
        for source in views:
            check_pixels(source)
        rate = rate_of_crf(crf_of_quality(quality))
        by_idx = {source.view.view_idx: source for source in views}
        strings: dict[int, tuple[Substream, ...]] = {}
        for (width, height), members in by_size([source.view for source in views]).items():
            pictures = [by_idx[view.view_idx].pixels for view in members]
            form = PlaneFormat(rate.levels, best_turn(pictures[0], pictures[1:]))
            planes = (planes_from_rgb(picture, form) for picture in pictures)
            on_units = step_counter(on_step, "coding as a video", before=len(strings), total=len(views))
            size = {"width": width, "height": height}
            units = encode_sequence(planes, **size, quantizer=rate.crf, speed=self.speed, on_units=on_units)
            for position, (view, unit) in enumerate(zip(members, units, strict=True)):
                head = (Substream(LEVELS, pack_format(form)),) if position == 0 else ()
                strings[view.view_idx] = (*head, Substream(IMAGE, unit))
        coded = CodedGroup(
            group_idx, tuple(CodedView(source.view.view_idx, strings[source.view.view_idx]) for source in views)
        )
        decoded = self._decode(coded, [source.view for source in views], wanted=None, on_view=on_view)
        return EncodedGroup(coded, decoded)

    def decode_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        """See `MultiViewCodec`; of every sequence, the views up to its last wanted one are decoded.

        `quality` is not needed: the strings say it.
        """
        return self._decode(coded, views, wanted=wanted, on_view=on_view)

    def group_memory(self, view_pixels: Sequence[int]) -> int:
        """See `MultiViewCodec`: libaom keeps room for all frames it may look ahead, however few there are."""
        of_one = BYTES_PER_PIXEL_OF_ONE_FAST if self.speed >= SPEEDS["fast"].sequence else BYTES_PER_PIXEL_OF_ONE
        return BYTES + BYTES_PER_PIXEL * sum(view_pixels) + of_one * max(view_pixels)

    def _decode(
        self, coded: CodedGroup, views: Sequence[View], *, wanted: Collection[int] | None, on_view: ViewDone | None
    ) -> dict[int, np.ndarray]:
        coded_views = {view.view_idx: view for view in coded.views}
        pixels = {}
        for (width, height), needed in needed_by_size(views, wanted).items():
            form = _plane_format(coded_views[needed[0].view_idx])
            units = [_string(coded_views[view.view_idx], IMAGE) for view in needed]
            planes = decode_sequence(units, width=width, height=height)
            for view, view_planes in zip(needed, planes, strict=True):
                if wanted is None or view.view_idx in wanted:
                    pixels[view.view_idx] = rgb_from_planes(view_planes, form)
                if on_view is not None:
                    on_view(view.view_idx, coded_views[view.view_idx].payload_bytes)
        return pixels


def _string(view: CodedView, name: str) -> bytes:
    for substream in view.substreams:
        if substream.name == name:
            return substream.payload
    raise ArchiveError(f'view {view.view_idx} has no "{name}" string: the archive is damaged')


def _plane_format(first: CodedView) -> PlaneFormat:
    found = read_format(_string(first, LEVELS))
    if found is None or found[1] or found[2]:
        raise ArchiveError(
            f'view {first.view_idx}: its "{LEVELS}" string does not say what planes stand for: the archive is damaged'
        )
    return found[0]
