"""The tensors of a splatfacto checkpoint, without running anything it contains.

The only place in `splatting` that reads nerfstudio's `step-*.ckpt`; what the tensors mean is in `gaussian_files`. Any
torch from 2.1 on will do: its own `weights_only` can be told what is harmless from 2.6 on, so pickles are read by an
unpickler of ours, which makes tensors and plain values and lets everything else come to nothing.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from nerfstudio_mvc.errors import CaptureError

GAUSSIAN_PREFIXES = ("_model.gauss_params.", "_model.")  # nerfstudio 1.1, and 1.0 before it
POSE_ADJUSTMENT = "_model.camera_optimizer.pose_adjustment"

_HARMLESS = frozenset(
    [("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"), ("collections", "OrderedDict")]
)


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Splatfacto's parameters by short name (``"means"``, ``"pose_adjustment"``...), float32.

    Raises:
        CaptureError: unreadable, or not a splatfacto checkpoint.
    """
    # torch weighs seconds; everything else here works without it.
    import torch

    try:
        _refuse_programs(path)
        content = torch.load(
            str(path), map_location="cpu", weights_only=False, pickle_module=_careful_pickle(), mmap=True
        )
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
    except (OSError, RuntimeError, ValueError, EOFError, BadZipFile, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CaptureError(f"{path}: cannot be read as a checkpoint ({reason}); give another one") from None
    return found


def _refuse_programs(path: Path) -> None:
    """Raise where torch would not read tensors: it loads a ZIP file with constants in it as a program."""
    with ZipFile(path) as archive:
        if any(name.rsplit("/", 1)[-1] == "constants.pkl" for name in archive.namelist()):
            raise ValueError("it is a TorchScript program")


class _Nothing(dict):
    """What stands for a value of a type that is not needed; filled like any object, and good for nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


class _CarefulUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in _HARMLESS:
            return super().find_class(module_name, global_name)
        return _Nothing


def _careful_pickle() -> ModuleType:
    """The module `pickle`, as far as `torch.load` needs it for a ZIP file."""
    module = ModuleType("careful_pickle")
    module.Unpickler = _CarefulUnpickler
    return module
