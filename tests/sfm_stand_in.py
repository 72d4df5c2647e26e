"""The sample's COLMAP model in place of a minute of structure from motion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from colmap_io.model_folder import read_model
from colmap_io.records import Model
from nerfstudio_mvc.processing import scene

SAMPLE = Path(__file__).parents[1] / "examples/data/nerfstudio"
PHOTOGRAPHS = sorted((SAMPLE / "images").iterdir())


class StandIn:
    """An `estimate_cameras` that knows the sample's photographs by the last letters of their names.

    Attributes:
        without: of these it finds no camera.
        calls: what it was asked, once per call.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, without: Collection[str] = ()) -> None:
        self.without, self.calls = without, []
        monkeypatch.setattr(scene, "estimate_cameras", self)

    def __call__(self, folder, names, *, sizes, on_progress=None, settings=None, scratch=None) -> Model:
        self.calls.append((list(names), settings))
        model = read_model(SAMPLE / "colmap/sparse/0")
        found = []
        for image in model.images:
            name = next((name for name in names if name.endswith(image.name)), None)
            if name is not None and image.name not in self.without:
                found.append(replace(image, name=name))
        left = {image.image_id for image in found}
        frames = tuple(frame for frame in model.frames or () if frame.data[0].data_id in left)
        return replace(model, images=tuple(found), frames=frames)
