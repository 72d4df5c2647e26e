"""What nerfstudio's commands load at every start, to know that captures may be .mvc files; nothing heavy is loaded."""

import numpy as np
import torch
from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from nerfstudio_mvc.nerfstudio_plugin.dataparser import MvcDataParserConfig


def allow_numpy_scalars() -> None:
    """Let `torch.load` read the NumPy scalars that nerfstudio's checkpoints hold.

    Since torch 2.6 it refuses what it was not told to be harmless, so that nerfstudio 1.1.5 cannot read its own
    checkpoints there. Each scalar names its type, and the function that makes it by where NumPy 1 or 2 has it.
    """
    if torch.__version__ < (2, 6):
        return
    make_scalar = np.float64(0).__reduce__()[0]
    torch.serialization.add_safe_globals(
        [
            *((make_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
            np.dtype,
            *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")),
        ]
    )


allow_numpy_scalars()

specification = DataParserSpecification(
    config=MvcDataParserConfig(), description="Photographs, cameras and points from an .mvc file, or a folder."
)
