"""What a multi-view codec promises to the pipeline, and nothing else.

A codec turns a group of views into byte strings and back. It knows neither files (but one that `KeepsFiles`) nor
captures: cameras and depth arrive as `SourceView`, already in the form the decoder will read (`CodingCamera` is rebuilt
from the archive's bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import ShapeError


@dataclass(frozen=True)
class EncodedGroup:
    """The strings of a group, and what the decoder will make of them: view_idx -> uint8 [H, W, 3]."""

    coded: CodedGroup
    reconstructions: dict[int, np.ndarray]


ViewDone = Callable[[int, int], None]
"""Called after each view with (view_idx, payload bytes of that view so far known)."""

StepDone = Callable[[str, int, int], None]
"""Called with (step, done, total), from any thread, while a codec works on views together."""


class MultiViewCodec(Protocol):
    """Encode a group, decode a group.

    Attributes:
        name: as archives say it.
        fingerprint: of the weights; of a codec without, the name of the profile its strings follow.
        wants_depth: whether `SourceView.depth` means anything to it.
        wants_cameras: whether cameras are to be estimated for photographs that come without.
    """

    name: str
    fingerprint: str
    wants_depth: bool
    wants_cameras: bool

    def group_memory(self, view_pixels: Sequence[int]) -> int | None:
        """About the bytes it takes for a group of views of so many pixels each; None where several threads must not
        call it at once.
        """
        ...

    def encode_group(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None = None,
    ) -> EncodedGroup:
        """Code `views`, given in coding order, at `quality` 1 (smallest) to 8 (best).

        Either all of them have geometry (`View.has_geometry`) or none has; `camera` may then be None, and there is no
        depth.
        """
        ...

    def decode_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        """view_idx -> uint8 [H, W, 3] of the views in `wanted` (all when None); `views` in coding order.

        Raises:
            ArchiveError: a string does not decode to what its view needs.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """A codec that decodes views with the help of others and can show how."""

    def explain(self, coded: CodedGroup, views: Sequence[View], view_idx: int) -> dict[str, np.ndarray]:
        """What other views of a group did for one, as pictures uint8 [H, W, 3] by name; `views` in coding order.

        Raises:
            ArchiveError: a string does not decode to what its view needs.
        """
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A codec whose strings are the photographs' files: it wants `SourceView.file`, and views need no others."""

    def files_of_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, bytes]:
        """view_idx -> the photograph's file, bit for bit; arguments and errors as of `MultiViewCodec.decode_group`."""
        ...


def check_pixels(source: SourceView) -> None:
    """Raises: ShapeError: pixels that are not uint8 [height, width, 3] of their view."""
    expected = (source.view.height, source.view.width, 3)
    if source.pixels.dtype != np.uint8 or source.pixels.shape != expected:
        raise ShapeError(
            f"view {source.view.view_idx}: pixels are {source.pixels.dtype} {source.pixels.shape}, "
            f"expected uint8 {expected}"
        )


def step_counter(on_step: StepDone | None, step: str, *, before: int, total: int) -> Callable[[int], None] | None:
    """What takes counts of a part of a step: those on top of the `before` already done, of `total`."""
    return None if on_step is None else lambda done: on_step(step, before + done, total)
