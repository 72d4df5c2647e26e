"""The nouns between a codec and the file: bytes and integers, nothing that knows what a latent is.

A codec returns a `CodedGroup`; the archive stores it and hands an equal one back.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Substream:
    """One entropy-coded string of a view, for instance ``"image/z"`` or ``"depth"``."""

    name: str
    payload: bytes


@dataclass(frozen=True)
class CodedView:
    """All strings of one view, in the order the decoder reads them."""

    view_idx: int
    substreams: tuple[Substream, ...]

    @property
    def payload_bytes(self) -> int:
        return sum(len(substream.payload) for substream in self.substreams)


@dataclass(frozen=True)
class CodedGroup:
    """Views coded together and decodable without any other view; `views` stand in coding order."""

    group_idx: int
    views: tuple[CodedView, ...]

    @property
    def coding_order(self) -> tuple[int, ...]:
        return tuple(view.view_idx for view in self.views)

    @property
    def payload_bytes(self) -> int:
        return sum(view.payload_bytes for view in self.views)
