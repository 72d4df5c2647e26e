"""Codec `parahydra`, small: every view an AV1 still that knows no other view, all decoded together.

Neither cameras nor depth are used, and no learned weights: where another view shows the same thing, found by matching
the decoded pictures, their weighted mean is nearer to the photograph than each by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

import numpy as np

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, StepDone, ViewDone, check_pixels, step_counter
from nerfstudio_mvc.codecs.parahydra.explained import explained
from nerfstudio_mvc.codecs.parahydra.joint_decoding import JointDecoder, candidates_of
from nerfstudio_mvc.codecs.parahydra.stills import PROFILE, Still, decode_still, encode_still
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import ArchiveError


class ParaHydraCodec:
    """AV1 stills decoded together, behind the codec interface; `effort` says how long encoding may take."""

    name = "parahydra"
    wants_depth = False
    wants_cameras = False
    readable = (PROFILE,)

    def __init__(self, *, effort: Effort = "default") -> None:
        self.fingerprint = PROFILE
        self.effort = effort

    def encode_group(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None = None,
    ) -> EncodedGroup:
        """See `MultiViewCodec`; the strings of a view are those of a group of it alone, or those it has already.

        Raises:
            ArchiveError: strings that a view has already do not decode to what it needs.
            ShapeError: pixels that are not uint8 [height, width, 3] of their view.
            MvcError: there is no AV1 encoder.
        """
        for source in views:
            if not source.coded:
                check_pixels(source)
        count = step_counter(on_step, "coding views alone", before=0, total=len(views))
        coded: list[CodedView] = []
        stills: dict[int, Still] = {}
        for position, source in enumerate(views):
            strings = source.coded
            if strings:
                stills[position] = _decoded(strings, source.view)
            else:
                strings, stills[position] = encode_still(source.pixels, quality=quality, effort=self.effort)
            coded.append(CodedView(source.view.view_idx, strings))
            if count is not None:
                count(position + 1)
        joint, shown = JointDecoder(stills), {}
        for position, view in enumerate(coded):
            shown[view.view_idx] = joint.shown(position).merged.pixels
            if on_view is not None:
                on_view(view.view_idx, view.payload_bytes)
        return EncodedGroup(CodedGroup(group_idx, tuple(coded)), shown)

    def decode_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        """See `MultiViewCodec`; of the other views, those that may help the wanted ones are read.

        One of these that is damaged is left out. `quality` is not needed: the strings say it.
        """
        positions = [position for position, view in enumerate(views) if wanted is None or view.view_idx in wanted]
        joint, pixels = JointDecoder(_stills(coded, views, positions)), {}
        for position in positions:
            view_idx = views[position].view_idx
            pixels[view_idx] = joint.shown(position).merged.pixels
            if on_view is not None:
                on_view(view_idx, coded.views[position].payload_bytes)
        return pixels

    def explain(self, coded: CodedGroup, views: Sequence[View], view_idx: int) -> dict[str, np.ndarray]:
        """See `Explains`: side views as moved, their consistency and weight, and what merging has changed."""
        (position,) = (position for position, view in enumerate(views) if view.view_idx == view_idx)
        joint = JointDecoder(_stills(coded, views, [position]))
        helped = joint.shown(position)
        names = [PurePosixPath(views[side].name).stem for side in helped.sides]
        return explained(joint.stills[position].pixels, helped, names)

    def group_memory(self, view_pixels: Sequence[int]) -> int:
        """See `interface.group_memory`: pictures, pyramids and fields of all, one view at quarter pixels."""
        return 12 * sum(view_pixels) + 80 * max(view_pixels, default=0)


def _stills(coded: CodedGroup, views: Sequence[View], wanted: Collection[int]) -> dict[int, Still]:
    sizes = {position: (view.height, view.width) for position, view in enumerate(views)}
    needed = set(wanted).union(*(candidates_of(position, sizes) for position in wanted))
    stills = {}
    for position in sorted(needed):
        view = views[position]
        try:
            stills[position] = _decoded(coded.views[position].substreams, view)
        except ArchiveError:
            if position in wanted:
                raise
    return stills


def _decoded(strings: tuple[Substream, ...], view: View) -> Still:
    try:
        return decode_still(strings, (view.height, view.width))
    except ArchiveError as error:
        raise ArchiveError(f'view {view.view_idx} "{view.name}": {error}') from error
