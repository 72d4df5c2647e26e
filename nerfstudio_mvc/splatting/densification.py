"""How Gaussians multiply and vanish while they are fitted: by absolute gradients of their centres (AbsGS, Ye 2024).

Both fits follow it, the CPU's (`fitting`) and gsplat's (`gsplat_backend`).
"""

from __future__ import annotations

import numpy as np

from nerfstudio_mvc.splatting.gaussians import Gaussians, rotation_matrices

FIRST, INTERVAL, LAST = 300, 100, 0.7  # iterations; share of all iterations
DENSIFY_ABOVE = 8e-4  # absolute gradient of a splat's centre, in half frames
MAX_GROWTH = 0.15  # share of the Gaussians that may be added at a time
MIN_OPACITY, MAX_SCALE = 0.005, 1.0
SPLIT_ABOVE = 0.01  # standard deviation in the scene frame from which a Gaussian is split rather than cloned
SPLIT_FACTOR = 1.6


def densification_due(iteration: int, iterations: int) -> bool:
    """Whether it is time after `iteration`, the first being 1, of `iterations`."""
    return iteration % INTERVAL == 0 and FIRST <= iteration <= LAST * iterations


def can_be_seen(gaussians: Gaussians) -> np.ndarray:
    """Which Gaussians can be seen. bool [N]"""
    return gaussians.opacity_logits > np.log(MIN_OPACITY / (1 - MIN_OPACITY))


def densified(
    gaussians: Gaussians, strength: np.ndarray, *, max_gaussians: int, rng: np.random.Generator
) -> tuple[Gaussians, np.ndarray, int]:
    """Drop the invisible and the huge; split or clone those the image pulls at most.

    Args:
        gaussians: in the scene frame; left alone.
        strength: mean absolute gradient of each splat's centre, in half frames. float32 [N]
        max_gaussians: how many there may be afterwards.

    Returns:
        The Gaussians; which of the old ones are among them, in front and in order, bool [N]; how many come after those.
    """
    arrays = {name: array.copy() for name, array in gaussians.arrays().items()}
    largest = np.exp(gaussians.log_scales).max(1)
    keep = can_be_seen(gaussians) & (largest < MAX_SCALE)
    strength = np.where(keep, strength, 0)
    room = max(0, min(max_gaussians - int(keep.sum()), max(200, int(MAX_GROWTH * len(keep)))))
    chosen = np.argsort(-strength, kind="stable")[:room]
    chosen = chosen[strength[chosen] > DENSIFY_ABOVE]
    split = largest[chosen] > SPLIT_ABOVE
    axes = rotation_matrices(gaussians.quaternions[chosen])
    scales = np.exp(gaussians.log_scales[chosen])
    offsets = np.einsum("nij,nj->ni", axes, scales * rng.standard_normal((len(chosen), 3)))
    added = {name: array[chosen].copy() for name, array in arrays.items()}
    added["means"] += (offsets * np.where(split, 1.0, 0.3)[:, None]).astype(np.float32)
    shrink = (np.log(SPLIT_FACTOR) * split).astype(np.float32)[:, None]
    added["log_scales"] -= shrink
    # A split leaves the original where the two together keep their place.
    arrays["means"][chosen] -= (0.5 * offsets * split[:, None]).astype(np.float32)
    arrays["log_scales"][chosen] -= shrink
    more = Gaussians(**{name: np.concatenate([arrays[name][keep], added[name]]) for name in arrays})
    return more, keep, len(chosen)


def moments_after(moments: tuple[np.ndarray, ...], keep: np.ndarray, added: int) -> tuple[np.ndarray, ...]:
    """An optimiser's moments, [N, ..] each, of what `densified` has made: new Gaussians begin at zero."""
    return tuple(np.concatenate([m[keep], np.zeros((added, *m.shape[1:]), m.dtype)]) for m in moments)
