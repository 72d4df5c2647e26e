"""3D Gaussians as arrays.

Reading them from files is the business of `gaussian_files`, fitting them that of `fitting`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

SH_BAND_0 = 0.28209479177387814
SH_BAND_1 = 0.4886025119029199


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians in world units, parametrised as 3D Gaussian Splatting does it.

    Attributes:
        means: float32 [N, 3]
        log_scales: natural logarithm of the standard deviation along each own axis. float32 [N, 3]
        quaternions: own axes to world, wxyz, of any length. float32 [N, 4]
        opacity_logits: opacity is their sigmoid. float32 [N]
        harmonics: colour is 0.5 + spherical harmonics of degree 0 (K = 1) or 1 (K = 4). float32 [N, K, 3]
    """

    means: np.ndarray
    log_scales: np.ndarray
    quaternions: np.ndarray
    opacity_logits: np.ndarray
    harmonics: np.ndarray

    def __len__(self) -> int:
        return len(self.means)

    def arrays(self) -> dict[str, np.ndarray]:
        """The five arrays by name, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def only(self, chosen: np.ndarray) -> Gaussians:
        """Those where `chosen`, bool [N], is true."""
        return Gaussians(**{name: array[chosen] for name, array in self.arrays().items()})

    def moved(self, *, offset: np.ndarray, scale: float) -> Gaussians:
        """The same Gaussians in the frame ``(world - offset) * scale``."""
        arrays = self.arrays()
        arrays["means"] = ((self.means.astype(np.float64) - offset) * scale).astype(np.float32)
        arrays["log_scales"] = self.log_scales + np.float32(np.log(scale))
        return Gaussians(**arrays)


def rotation_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices of wxyz quaternions of any length but zero. [N, 4] -> [N, 3, 3]"""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)
