"""Trained Gaussians from files, in the world units of the capture.

Reads a 3D Gaussian Splatting `.ply` and what `ns-train splatfacto` leaves (`config.yml`, its folder, a `step-*.ckpt`).
nerfstudio trains in a world it has turned and scaled; `dataparser_transforms.json` says how, and it is undone here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from nerfstudio_mvc.capture.camera_axes import colmap_from_nerfstudio
from nerfstudio_mvc.capture.ply_points import parse_vertices
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.splatfacto_checkpoint import read_checkpoint

TRANSFORMS_NAME = "dataparser_transforms.json"
MIN_SQUARED_LENGTH = 1e-12  # of a quaternion
MAX_LOG = 60.0  # logarithms of scales and opacities beyond this are damage
TRAIN_SHARE = 0.9  # nerfstudio's default split: every tenth view is kept for evaluation


@dataclass(frozen=True, eq=False)
class TrainedGaussians:
    """Gaussians in world units, and how training moved the cameras.

    Attributes:
        gaussians: world units.
        camera_shifts: by training view, ``trained_from_world @ world_from_given``: where training moved the camera,
            world units, COLMAP axes; None where cameras were left alone. float64 [T, 4, 4]
    """

    gaussians: Gaussians
    camera_shifts: np.ndarray | None = None


def read_gaussians(path: Path) -> TrainedGaussians:
    """Read Gaussians from a `.ply`, a `config.yml`, a splatfacto output folder or a checkpoint.

    Raises:
        CaptureError: missing, damaged, ambiguous, or without the file that says how nerfstudio scaled the world.
    """
    if not path.exists():
        raise CaptureError(f"{path}: no such file or folder; give a .ply, or splatfacto's config.yml or output folder")
    if path.suffix.lower() == ".ply":
        return TrainedGaussians(_in_original_world(_read_ply(path), _world_of(path, needed=False)))
    checkpoint = _checkpoint_of(path)
    tensors = read_checkpoint(checkpoint)
    transform, scale = _world_of(checkpoint, needed=True) or (np.eye(4)[:3], 1.0)
    gaussians = splatfacto_gaussians(tensors, transform=transform, scale=scale, source=checkpoint)
    return TrainedGaussians(gaussians, _camera_shifts(tensors.get("pose_adjustment"), scale))


def splatfacto_gaussians(
    tensors: Mapping[str, np.ndarray], *, transform: np.ndarray, scale: float, source: Path
) -> Gaussians:
    """Splatfacto's parameters, by its own names, as Gaussians in world units; colour of degree 0.

    Args:
        transform, scale: how nerfstudio turned and scaled the world. float64 [3, 4]
        source: named in messages.

    Raises:
        CaptureError: the arrays do not fit together, or no Gaussian is usable.
    """
    columns = (tensors["means"], tensors["scales"], tensors["quats"], tensors["opacities"], tensors["features_dc"])
    return _in_original_world(_checked(*columns, source), (transform, scale))


def ply_of_gaussians(gaussians: Gaussians) -> bytes:
    """A 3D Gaussian Splatting `.ply` with colour of degree 0."""
    columns = {
        **dict(zip("xyz", gaussians.means.T, strict=True)),
        **{f"f_dc_{channel}": gaussians.harmonics[:, 0, channel] for channel in range(3)},
        "opacity": gaussians.opacity_logits,
        **{f"scale_{axis}": gaussians.log_scales[:, axis] for axis in range(3)},
        **{f"rot_{part}": gaussians.quaternions[:, part] for part in range(4)},
    }
    names = "".join(f"property float {name}\n" for name in columns)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(gaussians)}\n{names}end_header\n"
    return header.encode() + np.stack(list(columns.values()), axis=1).astype("<f4").tobytes()


def trained_views(shift_count: int, view_count: int) -> np.ndarray | None:
    """view_idx of each training view in nerfstudio's own split, or None when the numbers do not fit it."""
    if shift_count == view_count:
        return np.arange(view_count)
    if shift_count == int(np.ceil(view_count * TRAIN_SHARE)):
        return np.linspace(0, view_count - 1, shift_count, dtype=int)
    return None


def _checkpoint_of(path: Path) -> Path:
    if path.suffix == ".ckpt":
        return path
    folder = path if path.is_dir() else path.parent
    checkpoints = sorted(folder.rglob("step-*.ckpt"))
    if not checkpoints:
        raise CaptureError(f"{folder}: holds no step-*.ckpt; give splatfacto's config.yml or the folder it lies in")
    runs = sorted({checkpoint.parent for checkpoint in checkpoints})
    if len(runs) > 1:
        names = ", ".join(str(run.relative_to(folder)) for run in runs[:3])
        raise CaptureError(f"{folder}: holds {len(runs)} training runs ({names}, ...); give the config.yml of one")
    return checkpoints[-1]  # names are zero-padded: the last is the latest step


def _world_of(path: Path, *, needed: bool) -> tuple[np.ndarray, float] | None:
    """nerfstudio's (transform [3, 4], scale) from the nearest `dataparser_transforms.json`: here or one folder up."""
    for folder in (path.parent, path.parent.parent):
        file = folder / TRANSFORMS_NAME
        if not file.is_file():
            continue
        try:
            content = json.loads(file.read_text("utf-8"))
            transform, scale = np.array(content["transform"], np.float64)[:3, :4], float(content["scale"])
            if transform.shape != (3, 4) or not np.isfinite(transform).all() or not 1e-12 < scale < 1e12:
                raise ValueError("impossible numbers")
            if not np.allclose(transform[:, :3] @ transform[:, :3].T, np.eye(3), atol=1e-3):
                raise ValueError("its transform is not a rotation")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CaptureError(
                f"{file}: unusable ({error}); train again or give a .ply in the capture's world"
            ) from None
        return transform, scale
    if needed:
        raise CaptureError(f"{path}: {TRANSFORMS_NAME} is missing beside it; copy it from splatfacto's output folder")
    return None


def _in_original_world(gaussians: Gaussians, world: tuple[np.ndarray, float] | None) -> Gaussians:
    """Undo ``nerfstudio = scale * (R x + t)``."""
    if world is None:
        return gaussians
    transform, scale = world
    rotation = transform[:, :3]
    means = (gaussians.means.astype(np.float64) / scale - transform[:, 3]) @ rotation
    # A mirrored world cannot be written as a quaternion, but a Gaussian looks the same with all its axes turned round.
    back = Rotation.from_matrix(rotation.T * np.sign(np.linalg.det(rotation)))
    own_axes = back * Rotation.from_quat(gaussians.quaternions[:, [1, 2, 3, 0]].astype(np.float64))
    arrays = gaussians.arrays()
    arrays["means"] = means.astype(np.float32)
    arrays["log_scales"] = gaussians.log_scales - np.float32(np.log(scale))
    arrays["quaternions"] = own_axes.as_quat()[:, [3, 0, 1, 2]].astype(np.float32)
    return Gaussians(**arrays)


def _read_ply(path: Path) -> Gaussians:
    try:
        vertices = parse_vertices(path.read_bytes())
        means, scales, quaternions, opacities, colors = (
            np.stack([vertices[name].astype(np.float32) for name in names], axis=1)
            for names in (
                ("x", "y", "z"),
                ("scale_0", "scale_1", "scale_2"),
                ("rot_0", "rot_1", "rot_2", "rot_3"),
                ("opacity",),
                ("f_dc_0", "f_dc_1", "f_dc_2"),
            )
        )
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror}); give another file") from None
    except (ValueError, KeyError, OverflowError) as error:
        raise CaptureError(
            f"{path}: not a .ply of 3D Gaussians ({error}); give one that a splat trainer wrote"
        ) from None
    return _checked(means, scales, quaternions, opacities, colors, path)


def _checked(
    means: np.ndarray,
    scales: np.ndarray,
    quaternions: np.ndarray,
    opacities: np.ndarray,
    colors: np.ndarray,
    path: Path,
) -> Gaussians:
    """The usable rows as Gaussians with colour of degree 0: depth does not need more."""
    count = len(means)
    shapes = ((count, 3), (count, 3), (count, 4))
    if tuple(array.shape for array in (means, scales, quaternions)) != shapes or colors.size != 3 * count:
        raise CaptureError(f"{path}: its arrays of Gaussians do not fit together; give another file")
    if opacities.size != count:
        raise CaptureError(f"{path}: its arrays of Gaussians do not fit together; give another file")
    opacities, colors = opacities.reshape(count), colors.reshape(count, 1, 3)
    usable = np.isfinite(means).all(1) & (np.abs(scales) < MAX_LOG).all(1) & (np.abs(opacities) < MAX_LOG)
    usable &= np.isfinite(colors).all((1, 2)) & ((quaternions.astype(np.float64) ** 2).sum(1) > MIN_SQUARED_LENGTH)
    if not usable.any():
        raise CaptureError(f"{path}: holds no usable Gaussian; give another file")
    arrays = (means, scales, quaternions, opacities, colors)
    return Gaussians(*(np.ascontiguousarray(array[usable], dtype=np.float32) for array in arrays))


def _camera_shifts(pose_adjustment: np.ndarray | None, scale: float) -> np.ndarray | None:
    """nerfstudio's camera optimiser (SO3xR3): camera-to-world as trained = camera-to-world as given @ correction."""
    if pose_adjustment is None or not np.any(pose_adjustment) or not np.isfinite(pose_adjustment).all():
        return None
    corrections = np.tile(np.eye(4), (len(pose_adjustment), 1, 1))
    corrections[:, :3, :3] = Rotation.from_rotvec(pose_adjustment[:, 3:6].astype(np.float64)).as_matrix()
    corrections[:, :3, 3] = pose_adjustment[:, :3] / scale
    # trained_from_world = (given_to_world @ correction)^-1; conjugating by the flip of axes brings it to COLMAP's.
    identity = colmap_from_nerfstudio(np.eye(4))
    return np.stack([colmap_from_nerfstudio(correction) @ identity for correction in corrections])
