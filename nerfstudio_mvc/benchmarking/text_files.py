"""Text files that appear complete or not at all; what is in them is the caller's business."""

from __future__ import annotations

import os
from pathlib import Path

from nerfstudio_mvc.errors import OutputError


def replace_file(path: Path, text: str) -> None:
    """Write a text file beside its target and move it there; its folder is made when it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(text, encoding="utf-8", newline="\n")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error
