"""Multi-view image compression for nerfstudio captures: photographs and cameras to one `.mvc` file and back.

The public functions are resolved on first use, so importing the package loads nothing heavy.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.compress import compress_capture
    from nerfstudio_mvc.pipeline.decompress import decompress_archive
    from nerfstudio_mvc.pipeline.evaluate import evaluate_archive
    from nerfstudio_mvc.pipeline.open_archive import open_archive

# Threads that wait let others compute; decoding beside other work otherwise takes many times as long. Read when torch
# is loaded, so that it has to be said before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["__version__", "compress_capture", "decompress_archive", "evaluate_archive", "open_archive"]

_HOME = {
    "compress_capture": "nerfstudio_mvc.pipeline.compress",
    "decompress_archive": "nerfstudio_mvc.pipeline.decompress",
    "evaluate_archive": "nerfstudio_mvc.pipeline.evaluate",
    "open_archive": "nerfstudio_mvc.pipeline.open_archive",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Looked up on first use: compressing needs torch, asking for the version does not.
    return getattr(import_module(_HOME[name]), name)
