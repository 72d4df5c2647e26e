"""All views of a group as one AV1 sequence, restored by the network: where frames follow each other as in a video.

A video encoder codes frames out of order, in layers, and refers to seven of them at once, each block as it likes. Where
neighbours show nearly the same, that is worth more than geometry (docs/ablations.md). It needs neither depth nor
cameras. A string is what the planes stand for, in the first view of its size, two strengths of restoration, and what
`video.av1_sequence` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from nerfstudio_mvc.capture.views import SourceView, View, by_size, needed_by_size
from nerfstudio_mvc.codecs.interface import StepDone, ViewDone, step_counter
from nerfstudio_mvc.codecs.lmvic.group_strings import SEQUENCE
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.restoration.restoration import Restoration
from nerfstudio_mvc.restoration.restored_planes import Strengths, better_picture, shown_picture
from nerfstudio_mvc.video.av1_rate import rate_of_crf
from nerfstudio_mvc.video.av1_sequence import decode_sequence, encode_sequence
from nerfstudio_mvc.video.av1_speed import LARGE, SPEEDS, Effort
from nerfstudio_mvc.video.colour import PlaneFormat, pack_format, planes_from_rgb, read_format
from nerfstudio_mvc.video.colour_axes import best_turn

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CRF_AT_QUALITY = (46.8, 42.0, 37.1, 32.0, 26.7, 21.1, 15.2, 10.4)
"""Where a sequence has about the PSNR of a group whose views are coded one by one."""
_PLAIN = (0, 0)

Coded = dict[int, tuple[bytes, np.ndarray]]
"""By view_idx: its string, and the pixels the decoder will show, uint8 [H, W, 3]."""


class SequenceCoder:
    """Codes groups; holds no state between calls.

    Args:
        restoration: what it does with pictures is said in the strings; None: nothing is.
        effort: how long encoding may take.
    """

    def __init__(self, restoration: Restoration | None = None, *, effort: Effort = "default") -> None:
        self.restoration, self.speeds = restoration, SPEEDS[effort]

    def encode(
        self,
        sources: Sequence[SourceView],
        *,
        quality: float,
        speed: int | None = None,
        on_step: StepDone | None = None,
    ) -> Coded:
        """Views in coding order; `speed` in place of what the effort says.

        Raises:
            NoFfmpegError: there is no ffmpeg that codes AV1.
            MvcError: it failed.
        """
        rate = rate_of_crf(float(np.interp(quality, QUALITIES, CRF_AT_QUALITY)))
        pixels = {source.view.view_idx: source.pixels for source in sources}
        coded: Coded = {}
        for (width, height), members in by_size([source.view for source in sources]).items():
            pictures = [pixels[view.view_idx] for view in members]
            form = PlaneFormat(rate.levels, best_turn(pictures[0], pictures[1:]))
            planes = (planes_from_rgb(picture, form) for picture in pictures)
            size = {"width": width, "height": height}
            usual = self.speeds.restored_sequence if width * height < LARGE else self.speeds.large_restored_sequence
            on_units = step_counter(on_step, "coding as a sequence", before=len(coded), total=len(sources))
            units = encode_sequence(
                planes, count=len(members), crf=rate.crf, speed=speed or usual, on_units=on_units, **size
            )
            head = pack_format(form)
            for view, unit, decoded in zip(members, units, decode_sequence(units, **size), strict=True):
                strengths, picture = better_picture(
                    self.restoration,
                    decoded,
                    form,
                    x=to_picture(pixels[view.view_idx], "cpu"),
                    reference=None,
                    quality=quality,
                )
                coded[view.view_idx] = (head + bytes(strengths or _PLAIN) + unit, to_pixels(picture))
                head = b""
        return coded

    def decode(
        self,
        strings: Mapping[int, bytes],
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        """Pixels of the wanted views, by view_idx; `strings` likewise, `views` in coding order.

        Raises:
            ArchiveError: a string is missing or does not hold a picture of that size.
        """
        pixels = {}
        for (width, height), needed in needed_by_size(views, wanted).items():
            form, parts = _read(needed, strings)
            planes = decode_sequence([unit for _, unit in parts], width=width, height=height)
            for view, (strengths, _), decoded in zip(needed, parts, planes, strict=True):
                if wanted is None or view.view_idx in wanted:
                    picture = shown_picture(self.restoration, decoded, form, strengths, None, quality=quality)
                    pixels[view.view_idx] = to_pixels(picture)
                if on_view is not None:
                    on_view(view.view_idx, len(strings[view.view_idx]))
        return pixels


def _read(
    members: Sequence[View], strings: Mapping[int, bytes]
) -> tuple[PlaneFormat, list[tuple[Strengths | None, bytes]]]:
    """What the planes of a sequence stand for; strengths and unit of each view."""
    head = read_format(strings.get(members[0].view_idx, b""))
    if head is None or head[1]:
        raise _damaged(members[0])
    form, _, first = head
    parts = []
    for view in members:
        rest = first if view is members[0] else strings.get(view.view_idx, b"")
        if len(rest) < len(_PLAIN):
            raise _damaged(view)
        strengths = (rest[0], rest[1])
        parts.append((None if strengths == _PLAIN else strengths, rest[2:]))
    return form, parts


def _damaged(view: View) -> ArchiveError:
    return ArchiveError(f'view {view.view_idx} has no "{SEQUENCE}" string, or a damaged one')
