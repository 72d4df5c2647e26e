"""How photographs or a video become a nerfstudio folder, as the command line and Python say it. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from colmap_io.mapping_job import MappingSettings, Matching
from nerfstudio_mvc.errors import OptionError

CameraType = Literal["perspective", "fisheye", "pinhole", "simple_pinhole"]
CAMERA_MODELS: dict[CameraType, str] = {
    "perspective": "OPENCV",
    "fisheye": "OPENCV_FISHEYE",
    "pinhole": "PINHOLE",
    "simple_pinhole": "SIMPLE_PINHOLE",
}
"""nerfstudio's name of a kind of camera -> COLMAP's model."""
MatchingMethod = Matching
MAX_DOWNSCALES = 6


@dataclass(frozen=True)
class ProcessSettings:
    """Everything but input and output.

    Attributes:
        eval_data: photographs or a video to evaluate on; transforms.json then says which are which.
        camera_type: what is fitted, one camera per image size.
        matching_method: which photographs are compared. "auto": of a video each frame with its neighbours; of up to
            `colmap_io.mapping_job.EXHAUSTIVE_UP_TO` photographs, or with `eval_data`, every pair; of more,
            neighbours in the order of names.
        refine_intrinsics: adjust principal points too, at the end.
        num_downscales: how many of images_2, images_4, images_8 .. are made.
        max_image_size: features are found on photographs reduced to this many pixels on the longer side.
        num_frames_target: of a video, the sharpest frame of each of so many parts is taken.
        force: write into an existing folder, replacing files of the same name.

    Raises:
        OptionError: one is out of range.
    """

    eval_data: Path | None = None
    camera_type: CameraType = "perspective"
    matching_method: MatchingMethod = "auto"
    refine_intrinsics: bool = True
    num_downscales: int = 3
    max_image_size: int = 1600
    num_frames_target: int = 300
    force: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.num_downscales <= MAX_DOWNSCALES:
            raise OptionError(
                "num_downscales", problem=f"{self.num_downscales} is out of range: give 0 to {MAX_DOWNSCALES}"
            )
        for name, least in (("max_image_size", 100), ("num_frames_target", 2)):
            value = getattr(self, name)
            if value < least:
                raise OptionError(name, problem=f"{value} is out of range: give {least} or more")

    def mapping(self, *, video: bool) -> MappingSettings:
        """What camera estimation is told."""
        matching = self.matching_method
        if matching == "auto" and self.eval_data is not None:
            matching = "exhaustive"
        elif matching == "auto" and video:
            matching = "sequential"
        return MappingSettings(
            camera_model=CAMERA_MODELS[self.camera_type],
            matching=matching,
            max_image_size=self.max_image_size,
            refine_principal_point=self.refine_intrinsics,
        )

    def key(self) -> dict[str, Any]:
        """All that shapes the result but the data, JSON values."""
        return {name: value for name, value in asdict(self).items() if name not in ("eval_data", "force")}
