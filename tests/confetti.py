"""Photographs that structure from motion finds cameras for in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_confetti(path: Path, angle: float) -> np.ndarray:
    """Photograph of 250 patterned squares in a box, from a circle about it; returns the camera's centre. [3]"""
    rng = np.random.default_rng(0)
    places = rng.uniform(-1, 1, (250, 3))
    patterns = rng.integers(0, 256, (250, 6, 6), np.uint8)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    in_camera = places @ rotation.T + (0, 0, 4)
    canvas = Image.new("RGB", (320, 240), (128, 128, 128))
    for row in np.argsort(-in_camera[:, 2]):
        x, y, z = in_camera[row]
        side = round(80 / z)
        corner = (round(160 + 400 * x / z - side / 2), round(120 + 400 * y / z - side / 2))
        canvas.paste(Image.fromarray(patterns[row]).resize((side, side), Image.Resampling.BILINEAR), corner)
    canvas.save(path)
    return rotation.T @ (0, 0, -4)
