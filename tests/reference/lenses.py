"""One camera of every supported lens model, on frames of 100 x 76 pixels, and views made from parameters."""

from __future__ import annotations

import numpy as np

from colmap_io.records import Camera
from nerfstudio_mvc.capture.views import View

LENSES = {
    "SIMPLE_PINHOLE": (80, 50, 38),
    "PINHOLE": (80, 81, 50, 38),
    "SIMPLE_RADIAL": (80, 50, 38, -0.1),
    "RADIAL": (80, 50, 38, -0.1, 0.02),
    "OPENCV": (80, 81, 50, 38, -0.1, 0.03, 0.001, -0.002),
    "FULL_OPENCV": (80, 81, 50, 38, -0.1, 0.03, 0.001, -0.002, 0.01, 0.02, -0.01, 0.005),
    "FOV": (80, 81, 50, 38, 0.9),
    "SIMPLE_FISHEYE": (50, 50, 38),
    "FISHEYE": (50, 51, 50, 38),
    "SIMPLE_RADIAL_FISHEYE": (50, 50, 38, 0.01),
    "RADIAL_FISHEYE": (50, 50, 38, 0.01, -0.003),
    "OPENCV_FISHEYE": (50, 51, 50, 38, 0.01, -0.003, 0.001, 0.0002),
    "THIN_PRISM_FISHEYE": (50, 51, 50, 38, 0.01, -0.003, 0.001, 0.002, 0.001, 0.0001, 0.0003, -0.0002),
}


def view(params, width, height, cam_from_world=None, model="OPENCV", name="view.jpg"):
    camera = Camera(1, model, width, height, tuple(float(value) for value in params))
    return View(0, name, None, width, height, camera, np.eye(4) if cam_from_world is None else cam_from_world)
