"""Paths inside an archive: which of them may be written below a folder on any system.

Every path that is written or read goes through here; what lies behind it is no concern of this module.
"""

from __future__ import annotations

from pathlib import PureWindowsPath

from nerfstudio_mvc.archive import layout


def check_path(path: str) -> str | None:
    """Why a path from an archive must not be written below a folder; None when it may."""
    try:
        size = len(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half a surrogate pair
        size = 0
    if not 0 < size <= layout.MAX_NAME_BYTES or "\0" in path or "\\" in path:
        return "empty, too long, or with characters a path must not have"
    if path.startswith("/") or PureWindowsPath(path).drive:
        return "absolute"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "not a plain path below the capture folder"
    return None
