"""Pictures as AV1 codes them, beside the photographs: what training of the restoration network draws from.

Coding costs more than a training step and does not depend on the network's weights: it is done once. Views of captures
are coded as the encoder would code them, from one another; stills by themselves. Stored are arrays of 10 channels
(photograph, decoded picture, what it was predicted from, where that shows anything), the quality in the file's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colmap_io.records import Camera
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.view_order import coding_order
from nerfstudio_mvc.capture.views import Capture, SourceView, View
from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.entropy.quality_points import QUALITIES, QUALITY_STEPS
from nerfstudio_mvc.layers.pictures import to_pixels
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.restoration.network import error_unit
from nerfstudio_mvc.restoration.restoration import Restoration, Strengths
from nerfstudio_mvc.splatting.prior import DepthPrior
from nerfstudio_mvc.video.colour import PlaneFormat, rgb_from_planes
from nerfstudio_mvc.weights.checkpoint import Checkpoint

CHANNELS = 10
GROUP_VIEWS = 8  # coded from one another, at one quality


class _Recorder(Restoration):
    """Stands where the network will: writes down what that would see, and changes nothing."""

    def __init__(self, folder: Path, label: str) -> None:
        self.folder, self.label, self.count = folder, label, 0

    def correction(
        self, planes: np.ndarray, form: PlaneFormat, reference: Reference | None, *, quality: float
    ) -> np.ndarray:
        self._seen = reference, quality
        return np.zeros((-(-planes.shape[1] // 2), -(-planes.shape[2] // 2), 12), np.float32)

    def strengths(
        self, planes: np.ndarray, form: PlaneFormat, correction: np.ndarray, photograph: np.ndarray
    ) -> Strengths:
        reference, quality = self._seen
        seen = [np.zeros_like(photograph), np.zeros_like(photograph[..., :1])]
        if reference is not None:
            seen = [to_pixels(reference.picture), to_pixels(reference.valid)]
        name = f"{self.label}_{self.count:05d}_{round(quality * QUALITY_STEPS):03d}.npy"
        np.save(self.folder / name, np.concatenate([photograph, rgb_from_planes(planes, form), *seen], 2))
        self.count += 1
        return 0, 0


def _recording_codec(checkpoint: Checkpoint, folder: Path, label: str) -> LmvicCodec:
    folder.mkdir(parents=True, exist_ok=True)
    codec = LmvicCodec(checkpoint.model, checkpoint.tables, fingerprint=checkpoint.fingerprint)
    codec.tools = replace(codec.tools, restoration=_Recorder(folder, label))
    return codec


def store_coded_views(capture: Capture, prior: DepthPrior, folder: Path, checkpoint: Checkpoint, *, seed: int) -> None:
    """Code a capture, group by group at random qualities, with the model of `checkpoint` to blend references."""
    codec = _recording_codec(checkpoint, folder, "view")
    rng = np.random.default_rng(seed)
    order = coding_order(capture.views)
    for group_idx, start in enumerate(range(0, len(order), GROUP_VIEWS)):
        sources = []
        for view_idx in order[start : start + GROUP_VIEWS]:
            view, depth_map = capture.views[view_idx], prior.maps[view_idx]
            depth, valid = (None, None) if depth_map is None else (depth_map.depth, depth_map.valid)
            # Positions in the group are what the codec counts by.
            sources.append(
                SourceView(replace(view, view_idx=len(sources)), read_image(view.image_path).pixels, depth, valid)
            )
        codec.encode_group(group_idx, sources, quality=_random_quality(rng))


def store_coded_stills(paths: Sequence[Path], folder: Path, checkpoint: Checkpoint, *, seed: int) -> None:
    """Code photographs by themselves, each at a random quality."""
    codec = _recording_codec(checkpoint, folder, "still")
    rng = np.random.default_rng(seed)
    for path in paths:
        pixels = read_image(path).pixels
        height, width = pixels.shape[:2]
        camera = Camera(1, "PINHOLE", width, height, (width, width, width / 2, height / 2))
        view = View(0, path.name, path, width, height, camera, np.eye(4))
        codec.encode_group(0, [SourceView(view, pixels)], quality=_random_quality(rng))


class CodedPictures:
    """Draws batches from the stored arrays."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """paths: of arrays, none of them smaller than the crops to be drawn."""
        self.paths = list(paths)
        self._errors = [_error(np.load(path, mmap_mode="r")) for path in self.paths]

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Crops [B, 10, S, S], 0..1; the error unit of each [B]; the mean squared error of each one's picture [B]."""
        crops, units, errors = [], [], []
        for idx in rng.integers(len(self.paths), size=count):
            stored = np.load(self.paths[idx], mmap_mode="r")
            top, left = (int(rng.integers(size - crop_px + 1)) for size in stored.shape[:2])
            crop = stored[top : top + crop_px, left : left + crop_px]
            crop = crop[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
            crop = crop.transpose(1, 0, 2) if rng.random() < 0.5 else crop
            crops.append(torch.from_numpy(crop.copy()).permute(2, 0, 1).float() / 255)
            units.append(error_unit(_quality_of(self.paths[idx])))
            errors.append(self._errors[idx])
        return torch.stack(crops), torch.tensor(units), torch.tensor(errors)


class PicturesOnDevice:
    """The same from a GPU's memory, ten bytes a pixel: one gather a batch, where single crops would keep it waiting.

    Every pixel is as likely as any other to be drawn, not every picture.
    """

    def __init__(self, paths: Sequence[Path], device: torch.device | str) -> None:
        """paths: as of `CodedPictures`."""
        arrays = [np.load(path) for path in paths]
        self._pixels = torch.from_numpy(np.concatenate([array.reshape(-1, CHANNELS) for array in arrays])).to(device)
        self._heights, self._widths = np.array([array.shape[:2] for array in arrays]).T
        sizes = self._heights * self._widths
        self._starts, self._shares = np.cumsum(sizes) - sizes, sizes / sizes.sum()
        self._units = np.array([error_unit(_quality_of(path)) for path in paths])
        self._errors = np.array([_error(array) for array in arrays])

    def batch(self, count: int, crop_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See `CodedPictures`; on the device."""
        chosen = rng.choice(len(self._starts), size=count, p=self._shares)
        top = rng.integers(self._heights[chosen] - crop_px + 1)
        left = rng.integers(self._widths[chosen] - crop_px + 1)
        flips = rng.random((3, count)) < 0.5
        device = self._pixels.device
        first, step, turned = (
            torch.from_numpy(values).to(device)[:, None, None]
            for values in (self._starts[chosen] + top * self._widths[chosen] + left, self._widths[chosen], flips[2])
        )
        rows, columns = (self._run(crop_px, flip) for flip in flips[:2])
        rows, columns = rows[:, :, None], columns[:, None, :]
        there = torch.where(turned, first + rows.mT * step + columns.mT, first + rows * step + columns)
        crops = self._pixels[there.flatten()].view(count, crop_px, crop_px, CHANNELS).permute(0, 3, 1, 2).float() / 255
        units, errors = (
            torch.from_numpy(values[chosen]).to(device, torch.float32) for values in (self._units, self._errors)
        )
        return crops, units, errors

    def _run(self, length: int, flipped: np.ndarray) -> Tensor:
        """0 .. length - 1, or backwards, for each crop. [B, length]"""
        forward = torch.arange(length, device=self._pixels.device)
        return torch.where(torch.from_numpy(flipped).to(forward.device)[:, None], forward.flip(0), forward)


def _error(stored: np.ndarray) -> float:
    """Mean squared error of a whole decoded picture, by every fourth row; 0..1."""
    rows = stored[::4].astype(np.float32)
    return float(np.square(rows[..., :3] - rows[..., 3:6]).mean()) / 255**2


def _random_quality(rng: np.random.Generator) -> float:
    return float(rng.integers(QUALITY_STEPS, QUALITIES * QUALITY_STEPS + 1)) / QUALITY_STEPS


def _quality_of(path: Path) -> float:
    return int(path.stem.rsplit("_", 1)[1]) / QUALITY_STEPS
