"""Files that COLMAP or this program makes again: told by what is in them, their names say nothing.

`attachments.py` leaves them out. Whatever is not surely one of them is carried.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path, PurePosixPath

from colmap_io.regular_files import open_regular
from nerfstudio_mvc.archive import layout

REASON_DATABASE = "COLMAP database: colmap feature_extractor and matcher make it again"
REASON_STEREO = "COLMAP dense workspace: colmap patch_match_stereo makes it again"
REASON_DISTORTED = "COLMAP workspace from before undistortion"
REASON_ARCHIVE = "archive of ns-mvc-compress, or what a stopped run left of one"

DATABASE_BESIDE = ("-wal", "-shm", "-journal")
WORK_FOLDER = re.compile(r"\..+\.mvc-partial")

_NEEDED_TABLES = frozenset(("cameras", "images", "keypoints", "descriptors", "matches", "two_view_geometries"))
_OTHER_TABLES = frozenset(("inlier_matches", "pose_priors", "rigs", "rig_sensors", "frames", "frame_data"))
_STEREO_FILE = re.compile(r"(patch-match|fusion)\.cfg|(depth_maps|normal_maps|consistency_graphs)/.+\.bin")
_STEREO_HEAD = re.compile(rb"\d+&\d+&\d+&")
_MODEL_FILE = re.compile(r"((cameras|images|points3D|rigs|frames)\.(bin|txt)|project\.ini)")


def made_again(root: Path, paths: Iterable[str], *, kept: Collection[str] = ()) -> dict[str, tuple[str, str]]:
    """Of the files `paths` below `root`, those that can be made again.

    Args:
        root: the capture folder.
        paths: POSIX, below `root`.
        kept: of these, files that are to stay whatever they are.

    Returns:
        Path -> the path to name it by, which may be that of a folder left out as a whole, and the reason.
    """
    paths = [path for path in paths if path not in kept]
    found = {}
    for path in paths:
        if _is_colmap_database(root / path):
            found |= {own: (own, REASON_DATABASE) for own in _with_companions(path, paths)}
        elif PurePosixPath(path).suffix == ".mvc" and _is_archive(root / path):
            found[path] = (path, REASON_ARCHIVE)
        else:
            depth = next((at for at, part in enumerate(path.split("/")[:-1], 1) if WORK_FOLDER.fullmatch(part)), 0)
            if depth:
                found[path] = ("/".join(path.split("/")[:depth]), REASON_ARCHIVE)
    for folder in _folders_called("stereo", paths):
        own = _below(folder, paths)
        if not kept_below(folder, kept) and all(_is_stereo_file(root, folder, path) for path in own):
            found |= dict.fromkeys(own, (folder, REASON_STEREO))
    own = _below("distorted", paths)
    if not kept_below("distorted", kept) and all(path in found or _is_model_file(path) for path in own):
        found |= dict.fromkeys(own, ("distorted", REASON_DISTORTED))
    return found


def kept_below(folder: str, kept: Collection[str]) -> bool:
    """Whether one of the files `kept` lies in `folder`."""
    return any(path.startswith(f"{folder}/") for path in kept)


def _folders_called(name: str, paths: Iterable[str]) -> list[str]:
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents if parent.name == name}
    return sorted(parents)


def _below(folder: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path.startswith(f"{folder}/")]


def _with_companions(path: str, paths: Collection[str]) -> list[str]:
    """A database and what SQLite keeps beside it."""
    return [path, *(f"{path}{end}" for end in DATABASE_BESIDE if f"{path}{end}" in paths)]


def _is_colmap_database(path: Path) -> bool:
    """Whether a file is a database as COLMAP makes it: its tables, no others, and features that it found itself."""
    try:
        with open_regular(path) as file:
            if file.read(16) != b"SQLite format 3\0":
                return False
        # Read only, without locks: nothing appears beside it.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            tables = {name for (name,) in rows if not name.startswith("sqlite_")}
            if not tables >= _NEEDED_TABLES or tables - _NEEDED_TABLES - _OTHER_TABLES:
                return False
            # Features of other programs (hloc) come without descriptors: COLMAP would not find them again.
            (foreign,) = database.execute(
                "SELECT EXISTS (SELECT 1 FROM keypoints WHERE rows > 0 AND image_id NOT IN "
                "(SELECT image_id FROM descriptors WHERE rows > 0))"
            ).fetchone()
            return not foreign
    except (OSError, sqlite3.Error):
        return False


def _is_archive(path: Path) -> bool:
    """Whether a file begins like an archive of `writer.py`: a ZIP whose first entry is the manifest."""
    try:
        with open_regular(path) as file:
            head = file.read(64)
    except OSError:
        return False
    return head.startswith(b"PK\x03\x04") and head[30:].startswith(layout.MANIFEST_ENTRY.encode())


def _is_stereo_file(root: Path, folder: str, path: str) -> bool:
    """Whether a file of a folder `stereo` is one of COLMAP's: its settings, or a map that begins with its size."""
    rest = path.removeprefix(f"{folder}/")
    if not _STEREO_FILE.fullmatch(rest):
        return False
    if rest.endswith(".cfg"):
        return True
    try:
        with open_regular(root / path) as file:
            return _STEREO_HEAD.match(file.read(40)) is not None
    except OSError:
        return False


def _is_model_file(path: str) -> bool:
    return _MODEL_FILE.fullmatch(PurePosixPath(path).name) is not None
