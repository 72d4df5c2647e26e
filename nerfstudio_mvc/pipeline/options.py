"""How a capture is to be compressed, as the command line, Python and the benchmarks say it, and what the archive keeps
of it. Loads nothing heavy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import OptionError

if TYPE_CHECKING:
    from nerfstudio_mvc.capture.view_order import Order
    from nerfstudio_mvc.codecs.interface import MultiViewCodec

DEFAULT_CODEC = "lmvic"
DEFAULT_QUALITY = 5.0
DEFAULT_GROUP_SIZE = 16
DEFAULT_ORDER: Order = "distance"
DepthChoice = Literal["auto", "gaussians", "sparse", "none"]
PictureCoding = Literal["av1", "learned"]
AttachmentChoice = Literal["lean", "all", "points", "none"]
QualityName = Literal["train", "keep", "lossless"]
LOSSLESS: QualityName = "lossless"
"""The quality at which every photograph comes back bit for bit, and the codec that does it."""
NAMED_QUALITIES: dict[str, float] = {"train": 3.0, "keep": 6.0}
"""What the names but lossless mean: "train" is for photographs that splats are trained on (docs/splats.md), "keep" for
those that people look at."""

_CHOICES = {
    "pictures": PictureCoding,
    "depth": DepthChoice,
    "depth_effort": Effort,
    "effort": Effort,
    "attachments": AttachmentChoice,
}


@dataclass(frozen=True)
class CompressOptions:
    """Everything about a compression but its input and output.

    Attributes:
        codec: name from `codecs.catalog`, or a codec of your own; "auto" is LMVIC.
        pictures: what codes the pictures of LMVIC: "av1", or the "learned" network.
        quality: 1 (smallest) to 8 (best), or a name: those of `NAMED_QUALITIES` become numbers; "lossless": every
            photograph's file comes back bit for bit;
            `DEFAULT_QUALITY` when neither this nor a target is given.
        target_bpp, target_psnr_db, target_size_bytes: find the quality for this rate (everything but the attached files
            counted), this mean PSNR of the views, or this size of the whole file; within about 2 %, 0.1 dB, and at most
            3 % below. A few views are coded at several qualities, and all of them again where the first try misses.
        group_size: about how many views are coded together; a group decodes without the others.
        order: which view follows which; see `capture.view_order.coding_groups`.
        depth: how the depth of the views is found; see `splatting.prior.estimate_depth`.
        depth_effort: how long fitting Gaussians may take.
        effort: how long encoding the pictures may take; it says nothing to a codec of your own.
        gaussians: trained 3D Gaussians to take the depth from.
        colmap_model: folder of the COLMAP model to take, below the capture folder; the one with most images when None.
        attachments: "lean" carries every other file but those that can be made again, "all" everything, "points" what
            one trains from (cameras, points, what transforms.json names; EXIF without maker notes), "none" nothing.
        device: "auto", "cpu" or "cuda".
        jobs: groups that are coded at once, in threads; as many as cores and memory allow when None.
        resume: go on with what a stopped run with the same inputs and options has left.
        force: replace the output when it exists.
        weights: a weights file to use instead of those that ship with the package.

    Raises:
        OptionError: one is out of range, or two exclude each other.
    """

    codec: str | MultiViewCodec = "auto"
    pictures: PictureCoding = "av1"
    quality: float | QualityName | None = None
    target_bpp: float | None = None
    target_psnr_db: float | None = None
    target_size_bytes: float | None = None
    group_size: int = DEFAULT_GROUP_SIZE
    order: Order = DEFAULT_ORDER
    depth: DepthChoice = "auto"
    depth_effort: Effort = "default"
    effort: Effort = "default"
    gaussians: Path | None = None
    colmap_model: Path | None = None
    attachments: AttachmentChoice = "lean"
    device: str = "auto"
    jobs: int | None = None
    resume: bool = False
    force: bool = False
    weights: Path | None = None

    def __post_init__(self) -> None:
        targets = ("target_bpp", "target_psnr_db", "target_size_bytes")
        goals = [name for name in ("quality", *targets) if getattr(self, name) is not None]
        if len(goals) > 1:
            raise OptionError(*goals, problem="exclude each other: give one of them")
        for name in targets:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise OptionError(name, problem=f"{value:g} is out of range: give a number above 0")
        if self.quality in NAMED_QUALITIES:
            object.__setattr__(self, "quality", NAMED_QUALITIES[self.quality])
        if isinstance(self.quality, str):
            if self.quality not in get_args(QualityName):
                names = ", ".join(get_args(QualityName))
                raise OptionError(
                    "quality", problem=f'"{self.quality}" is unknown: give a number from 1 to 8, or {names}'
                )
            if (self.codec if isinstance(self.codec, str) else self.codec.name) not in ("auto", self.quality):
                raise OptionError("codec", "quality", problem=f"exclude each other: {LOSSLESS} is a codec of its own")
        elif self.quality is not None:
            check_quality("quality", self.quality)
        if self.group_size < 1:
            raise OptionError("group_size", problem=f"{self.group_size} is out of range: give 1 or more views")
        check_jobs(self.jobs)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in get_args(choices):
                raise OptionError(name, problem=f'"{value}" is unknown: give one of {", ".join(get_args(choices))}')
        if self.pictures != "av1" and isinstance(self.codec, str) and self.codec_name != DEFAULT_CODEC:
            raise OptionError("pictures", problem=f"{self.pictures} goes with codec {DEFAULT_CODEC}: leave it out")

    @property
    def codec_name(self) -> str:
        """What `codec` means; of a codec of your own, its name."""
        if not isinstance(self.codec, str):
            return self.codec.name
        if self.quality == LOSSLESS:
            return LOSSLESS
        return DEFAULT_CODEC if self.codec == "auto" else self.codec

    @property
    def whole_files(self) -> bool:
        """Whether the photographs' files themselves are kept."""
        return self.codec_name == LOSSLESS

    @property
    def views_per_group(self) -> int:
        """`group_size`; one where views need no others, so that they are not lost with them either."""
        return 1 if self.whole_files else self.group_size

    @property
    def carries(self) -> bool:
        """Whether bytes of the photographs' files that are neither picture nor EXIF go along beside the pictures."""
        return self.attachments in ("lean", "all") and not self.whole_files

    @property
    def given_quality(self) -> float | None:
        """The quality to code at, 0 for lossless; None where it is to be found for a target."""
        if self.whole_files:
            return 0.0
        targets = (self.target_bpp, self.target_psnr_db, self.target_size_bytes)
        if self.quality is None and all(target is None for target in targets):
            return DEFAULT_QUALITY
        return self.quality

    def parameters(self) -> dict[str, Any]:
        """What an archive's manifest keeps besides codec and quality: all that shapes its strings, JSON values."""
        targets = {"bpp": self.target_bpp, "psnr": self.target_psnr_db, "size": self.target_size_bytes}
        return {
            "group_size": self.group_size,
            "order": self.order,
            "pictures": self.pictures,
            "depth": self.depth,
            "depth_effort": self.depth_effort,
            "effort": self.effort,
            "attachments": self.attachments,
            "gaussians": None if self.gaussians is None else Path(self.gaussians).name,
            **{f"target_{kind}": value for kind, value in targets.items() if value is not None},
        }


def check_quality(option: str, quality: float) -> None:
    """Raise an OptionError that names `option` where there is no such quality."""
    if not 1 <= quality <= 8:
        raise OptionError(option, problem=f"{quality:g} is out of range: give a number from 1 (smallest) to 8 (best)")


def check_jobs(jobs: int | None) -> None:
    """Raise an OptionError where so many groups cannot be worked on at once."""
    if jobs is not None and jobs < 1:
        raise OptionError("jobs", problem=f"{jobs} is out of range: give 1 or more groups to work on at once")
