"""Flags of the commands that compress: how a capture is coded. Which one, and into what, stands in each command."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalPath, OptionalQuality
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.pipeline.options import (
    DEFAULT_GROUP_SIZE,
    DEFAULT_ORDER,
    AttachmentChoice,
    CompressOptions,
    DepthChoice,
    PictureCoding,
)


@dataclass(frozen=True)
class CodingFlags:
    """How a capture is coded."""

    codec: Literal["auto", "lmvic", "av1", "parahydra"] = "auto"
    """How the photographs are coded: each predicted through the geometry of the scene (lmvic, which auto means), each
    alone and decoded together, without cameras (parahydra), or as a video (av1)."""
    pictures: PictureCoding = "av1"
    """What codes the pictures of lmvic: AV1, restored by a network; or a network alone (learned), slower and larger."""
    quality: OptionalQuality = None
    """1 (smallest file) to 8 (best photographs); 5 when no other goal is given. Or what for: train (3), to train
    splats on; keep (6), to look at; lossless, where the originals are to be deleted: every file comes back bit for bit,
    JPEG about a fifth smaller."""
    group_size: int = DEFAULT_GROUP_SIZE
    """About how many views are coded together; a group decodes without the others."""
    order: Literal["distance", "overlap", "file", "random"] = DEFAULT_ORDER
    """Which view follows which: the nearest camera, the most points in common, as they come, or at random."""
    depth: DepthChoice = "auto"
    """Where depth comes from: fitted 3D Gaussians, the sparse points, or nowhere; auto takes the best possible."""
    depth_effort: Effort = "default"
    """How long fitting 3D Gaussians may take."""
    effort: Effort = "default"
    """How long encoding may take: lmvic codes about .18 megapixels a second on two cores (default), .36 for some 6 %
    more bytes (fast), or .04 for some 5 % fewer (high). Restoring takes as long with each."""
    gaussians: OptionalPath = None
    """Trained Gaussians to take the depth from: splatfacto's config.yml or output folder, or a .ply file."""
    colmap_model: OptionalPath = None
    """Where structure from motion left several models: the one to take, such as sparse/1, not that of most images."""
    attachments: AttachmentChoice = "lean"
    """Other files carried along, restored byte for byte: all but what can be made again (lean), all, cameras and points
    to train from (points; EXIF without maker notes), or none."""
    device: DeviceChoice = "auto"
    """Where the networks run."""
    weights: OptionalPath = None
    """A weights file to use instead of the one that ships with the package."""

    def options(self, **others: Any) -> CompressOptions:
        """The options that these flags and `others` stand for.

        Raises:
            OptionError: one is out of range, or two exclude each other.
        """
        return CompressOptions(**{flag.name: getattr(self, flag.name) for flag in fields(self)}, **others)
