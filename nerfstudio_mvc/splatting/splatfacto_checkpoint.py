"""The tensors of a splatfacto checkpoint, without running anything it contains.

The only place in `splatting` that reads nerfstudio's `step-*.ckpt`; what the tensors mean is in `gaussian_files`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mvc.errors import CaptureError

GAUSSIAN_PREFIXES = ("_model.gauss_params.", "_model.")  # nerfstudio 1.1, and 1.0 before it
POSE_ADJUSTMENT = "_model.camera_optimizer.pose_adjustment"


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Splatfacto's parameters by short name (``"means"``, ``"pose_adjustment"``...), float32.

    Raises:
        CaptureError: unreadable, or not a splatfacto checkpoint.
    """
    # torch weighs seconds; everything else here works without it.
    import torch

    # nerfstudio keeps NumPy scalars among its optimiser states; torch's safe loader has to be told they are harmless.
    scalar = np.float64(0).__reduce__()[0]
    harmless: list[Any] = [
        (scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")
    ]  # NumPy 1 and 2 call it so
    harmless += [np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?"))]
    try:
        with torch.serialization.safe_globals(harmless):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        tensors = content["pipeline"]
        found = {}
        for prefix in GAUSSIAN_PREFIXES:
            if prefix + "means" in tensors:
                names = ("means", "scales", "quats", "opacities", "features_dc")
                found = {name: tensors[prefix + name].float().numpy() for name in names}
                break
        if not found:
            raise KeyError("Gaussians")
        if POSE_ADJUSTMENT in tensors:
            found["pose_adjustment"] = tensors[POSE_ADJUSTMENT].float().numpy()
    except (KeyError, TypeError, AttributeError) as error:
        raise CaptureError(
            f"{path}: not a splatfacto checkpoint ({error} missing); train with ns-train splatfacto"
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CaptureError(f"{path}: cannot be read as a checkpoint ({reason}); give another one") from None
    return found
