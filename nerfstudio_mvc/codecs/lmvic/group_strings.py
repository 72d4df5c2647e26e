"""What the strings of a group say about which view needs which; the same for every preset.

What is in the strings themselves is the business of the coders that wrote them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from nerfstudio_mvc.codecs.interface import SourceView
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import ArchiveError, ShapeError

IMAGE, DEPTH, REFERENCES = "image", "depth", "references"
MAX_GROUP_VIEWS = 256


def check_group_size(views: int) -> None:
    """Raises: ShapeError: more views than a position of one byte can tell apart."""
    if views > MAX_GROUP_VIEWS:
        raise ShapeError(f"a group of {views} views; at most {MAX_GROUP_VIEWS} are coded together")


def check_pixels(source: SourceView) -> None:
    """Raises: ShapeError: pixels that are not uint8 [height, width, 3] of their view."""
    expected = (source.view.height, source.view.width, 3)
    if source.pixels.dtype != np.uint8 or source.pixels.shape != expected:
        raise ShapeError(
            f"view {source.view.view_idx}: pixels are {source.pixels.dtype} {source.pixels.shape}, "
            f"expected uint8 {expected}"
        )


def read_references(strings: dict[str, bytes], position: int, *, most: int) -> list[int]:
    """Positions in the group of the views, `most` at most, that predict the one at `position`, nearest first.

    Raises:
        ArchiveError: there is no image string, too many references, or one to a view coded later.
    """
    if IMAGE not in strings:
        raise ArchiveError(f"view {position} of a group has no image string: the archive is damaged")
    references = list(strings.get(REFERENCES, b""))
    if len(references) > most or any(reference >= position for reference in references):
        raise ArchiveError(f"view {position} of a group refers to views that are not coded before it: damaged")
    return references


def needed_positions(
    strings: list[dict[str, bytes]], coded: CodedGroup, wanted: Collection[int] | None, *, most: int
) -> set[int]:
    """Positions of the wanted views (all when None) and of everything they refer to, directly or not.

    Raises:
        ArchiveError: as in `read_references`.
    """
    if wanted is None:
        return set(range(len(strings)))
    needed = {position for position, view in enumerate(coded.views) if view.view_idx in wanted}
    for position in range(len(strings) - 1, -1, -1):
        if position in needed:
            needed.update(read_references(strings[position], position, most=most))
    return needed
