"""What the strings of a group say about which view needs which; the same for every preset.

What is in the strings themselves is the business of the coders that wrote them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.frame_head import read_frame
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.entropy.quality_points import QUALITIES, QUALITY_STEPS
from nerfstudio_mvc.errors import ArchiveError, ShapeError

IMAGE, FRAME, DEPTH, REFERENCES, QUALITY = "image", "frame", "depth", "references", "quality"
MAX_GROUP_VIEWS = 256


def check_group_size(views: int) -> None:
    """Raises: ShapeError: more views than a position of one byte can tell apart."""
    if views > MAX_GROUP_VIEWS:
        raise ShapeError(f"a group of {views} views; at most {MAX_GROUP_VIEWS} are coded together")


def read_references(
    strings: dict[str, bytes], position: int, *, views: int, most: int, images: Collection[str] = (IMAGE,)
) -> list[int]:
    """Positions in the group of the views, `most` at most, that predict the one at `position`, nearest first.

    `images` are the names that the string of its picture may have.

    Raises:
        ArchiveError: there is no image string, too many references, or one to itself or outside a group of `views`.
    """
    if len(strings.keys() & set(images)) != 1:
        raise ArchiveError(f"view {position} of a group has no picture, or two: the archive is damaged")
    references = list(strings.get(REFERENCES, b""))
    if len(references) > most or any(reference >= views or reference == position for reference in references):
        raise ArchiveError(f"view {position} of a group refers to views that it cannot refer to: damaged")
    return references


def write_quality(quality: float) -> bytes:
    """A view's own quality, in sixteenths."""
    return bytes([round(quality * QUALITY_STEPS)])


def read_quality(strings: dict[str, bytes], view: View, *, otherwise: float) -> float:
    """The quality a view was coded at; `otherwise`, the archive's, where its strings do not say.

    Raises:
        ArchiveError: the string is no quality.
    """
    if QUALITY not in strings:
        return otherwise
    written = strings[QUALITY]
    if len(written) != 1 or not QUALITY_STEPS <= written[0] <= QUALITIES * QUALITY_STEPS:
        raise ArchiveError(f'view {view.view_idx} "{view.name}": its quality is none of 1 to {QUALITIES}: damaged')
    return written[0] / QUALITY_STEPS


def decoding_order(
    strings: list[dict[str, bytes]],
    coded: CodedGroup,
    wanted: Collection[int] | None,
    *,
    most: int,
    images: Collection[str] = (IMAGE,),
) -> dict[int, list[int]]:
    """Positions of the wanted views (all when None) and of all they refer to, references first, and their references.

    Raises:
        ArchiveError: as in `read_references`; views that refer to each other in a circle.
    """
    order: dict[int, list[int]] = {}
    waiting = [position for position, view in enumerate(coded.views) if wanted is None or view.view_idx in wanted]
    waiting.reverse()
    under_way: set[int] = set()
    while waiting:
        position = waiting[-1]
        if position in order:
            waiting.pop()
            continue
        references = read_references(strings[position], position, views=len(strings), most=most, images=images)
        missing = [reference for reference in references if reference not in order]
        if not missing:
            order[waiting.pop()] = references
            under_way.discard(position)
            continue
        under_way.add(position)
        if under_way.intersection(missing):
            raise ArchiveError(f"view {position} of a group refers to a view that needs it: the archive is damaged")
        waiting += missing
    return order


def stream_order(
    strings: list[dict[str, bytes]],
    coded: CodedGroup,
    views: Sequence[View],
    wanted: Collection[int] | None,
    *,
    most: int,
) -> dict[int, list[int]]:
    """As `decoding_order`, for views of streams: by their ranks, and with the key view of every stream that is needed.

    Raises:
        ArchiveError: as there; views that come before one they hang on.
    """
    heads = {
        position: read_frame(own[FRAME], what=f"view {position} of a group")[0]
        for position, own in enumerate(strings)
        if FRAME in own
    }
    keys = {
        (views[position].width, views[position].height): position
        for position, head in heads.items()
        if head.form is not None
    }
    needed: dict[int, list[int]] = {}
    waiting = [position for position, view in enumerate(coded.views) if wanted is None or view.view_idx in wanted]
    while waiting:
        position = waiting.pop()
        if position in needed:
            continue
        references = read_references(strings[position], position, views=len(strings), most=most, images=(FRAME,))
        needed[position] = references
        key = keys.get((views[position].width, views[position].height))
        others = references if key in (None, position) else [*references, key]
        if not heads.keys() >= set(others):
            raise ArchiveError(f"view {position} of a group hangs on one that is damaged")
        if any(heads[other].rank >= heads[position].rank for other in others):
            raise ArchiveError(f"view {position} of a group hangs on one that comes after it: the archive is damaged")
        waiting += others
    return {position: needed[position] for position in sorted(needed, key=lambda position: heads[position].rank)}
