"""What `camera_estimation` asks `mapping` to do; free of pycolmap, so that both can import it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

Matching = Literal["auto", "exhaustive", "sequential"]

EXHAUSTIVE_UP_TO = 60
"""Up to this many photographs "auto" compares every pair; of more, each with its neighbours in the order of names."""


@dataclass(frozen=True)
class MappingSettings:
    """How cameras are estimated.

    Attributes:
        camera_model: COLMAP's name of the model that is fitted, one camera per image size.
        matching: which photographs are compared: every pair, neighbours in the order of names, or as their number says.
        max_image_size: features are found on photographs reduced to this many pixels on the longer side.
        refine_principal_point: adjust everything once more at the end, principal points too.
    """

    camera_model: str = "OPENCV"
    matching: Matching = "auto"
    max_image_size: int = 1600
    refine_principal_point: bool = False


@dataclass(frozen=True)
class MappingJob:
    """What to do.

    Attributes:
        folder: where the photographs lie.
        names: their POSIX paths below `folder`, in order of capture.
        sizes: (width, height) of each, in pixels; photographs of one size share a camera.
        scratch: a folder for what is found on the way, which a later job with the same photographs and settings goes on
            from; the model is left in its subfolder ``best``, which is missing if there is none.
        num_threads: -1 for all processors.
    """

    folder: str
    names: list[str]
    sizes: list[tuple[int, int]]
    scratch: str
    num_threads: int = -1
    settings: MappingSettings = field(default_factory=MappingSettings)

    @property
    def compares_every_pair(self) -> bool:
        """What `MappingSettings.matching` means for these photographs."""
        matching = self.settings.matching
        return matching == "exhaustive" or (matching == "auto" and len(self.names) <= EXHAUSTIVE_UP_TO)

    def to_json(self) -> bytes:
        """One JSON object, in one line."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: str) -> MappingJob:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        sizes = [(width, height) for width, height in fields.pop("sizes")]
        return cls(**{**fields, "sizes": sizes, "settings": MappingSettings(**fields["settings"])})
