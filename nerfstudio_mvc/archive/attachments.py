"""Files carried along unread: which of a capture folder's files go into the archive, and why the others do not.

The photographs are the codec's business; how known kinds of files become small is `packing.py`'s.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.archived_paths import check_path
from nerfstudio_mvc.errors import CaptureError, OutputError

REASON_NONE = "--attachments none"
REASON_DATABASE = "COLMAP database: colmap feature_extractor and matcher make it again"
REASON_DOWNSCALED = "downscaled photographs: remade on restore"
REASON_STEREO = "COLMAP dense workspace: colmap patch_match_stereo makes it again"
REASON_DISTORTED = "COLMAP workspace from before undistortion"
REASON_NAME = "a name that not every system can restore"
REASON_ARCHIVE = "archive of ns-mvc-compress, or what a stopped run left of one"
REASON_LINK = "link to a folder: only photographs behind it are carried"
REASON_SPECIAL = "neither a file nor a link to one inside the capture folder"

DATABASE_SUFFIXES = (".db", ".db-wal", ".db-shm", ".db-journal")
DOWNSCALED_NAME = re.compile(r"(.+)_(2|4|8|16|32)")
WORK_FOLDER = re.compile(r"\..+\.mvc-partial")
STEREO_FOLDERS = frozenset(["depth_maps", "normal_maps", "consistency_graphs"])


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not in the archive, and why.

    Attributes:
        path: POSIX, relative to the capture folder.
        bytes: of the file, or of the files below the folder that are left out for this reason.
        reason: for people.
    """

    path: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class DownscaledFolder:
    """Smaller copies of photographs that were there and are remade on restore.

    Attributes:
        path: of the folder, e.g. ``"images_2"``.
        source: folder of the photographs they are copies of, e.g. ``"images"``.
        factor: 2, 4, 8, ...
        suffix: of its files, e.g. ``".jpg"``; "" where each has the suffix of its photograph.
        view_idxs: the views with a copy here; None for all views below `source`.
        bytes: of the folder's copies on disk.
    """

    path: str
    source: str
    factor: int
    suffix: str
    view_idxs: tuple[int, ...] | None
    bytes: int


@dataclass(frozen=True)
class AttachmentPlan:
    """What will be attached and what not.

    Attributes:
        mode: "lean", "all" or "none".
        root: the capture folder; None for a capture without files.
        files: POSIX paths relative to `root`, sorted.
        left_out: what is not attached, with reasons; of downscaled photographs one line per folder.
        downscaled: folders to remake on restore.
    """

    mode: str
    root: Path | None
    files: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    downscaled: tuple[DownscaledFolder, ...]


def plan_attachments(
    root: Path | None, *, view_names: Sequence[str], mode: str = "lean", exclude: Collection[Path] = ()
) -> AttachmentPlan:
    """Look through the capture folder and decide file by file; reads names and sizes only.

    Args:
        root: the capture folder.
        view_names: of the views, in capture order; never attached.
        mode: "lean" leaves out what can be made again, "all" nothing but special files, "none" everything.
        exclude: files and folders below `root` that are no part of the capture: the archive being written.

    Raises:
        CaptureError: the folder cannot be read.
    """
    if mode not in layout.ATTACHMENT_MODES:
        raise OutputError(f'unknown attachment mode "{mode}"; choose one of {", ".join(layout.ATTACHMENT_MODES)}.')
    if root is None:
        return AttachmentPlan(mode, None, (), (), ())
    excluded = {path.absolute() for path in exclude}
    sizes, left_out = _walk(root, skipped=excluded)
    for name in view_names:
        sizes.pop(name, None)
    downscaled: tuple[DownscaledFolder, ...] = ()
    if mode == "lean":
        downscaled, copies = _downscaled_folders(sizes, view_names)
        sizes = {path: size for path, size in sizes.items() if path not in copies}
        left_out += [LeftOut(folder.path, folder.bytes, REASON_DOWNSCALED) for folder in downscaled]
    files = []
    left_bytes: dict[tuple[str, str], int] = defaultdict(int)
    for path, size in sorted(sizes.items()):
        left = _left(path, mode)
        if left is None:
            files.append(path)
        else:
            left_bytes[left] += size
    left_out += [LeftOut(path, size, reason) for (path, reason), size in left_bytes.items()]
    return AttachmentPlan(mode, root, tuple(files), tuple(left_out), downscaled)


def _walk(root: Path, *, skipped: Collection[Path]) -> tuple[dict[str, int], list[LeftOut]]:
    """Sizes of all regular files below `root` by POSIX path; links are followed when they stay inside."""
    sizes: dict[str, int] = {}
    left_out: list[LeftOut] = []
    resolved_root = root.resolve()

    def refuse(error: OSError) -> None:
        raise CaptureError(f"{error.filename}: cannot be read ({error.strerror}); make it readable or move it away.")

    for folder, folder_names, file_names in os.walk(root, onerror=refuse):
        for name in list(folder_names):
            path = Path(folder, name)
            if path.absolute() in skipped:
                folder_names.remove(name)
            elif path.is_symlink():
                left_out.append(LeftOut(path.relative_to(root).as_posix(), 0, REASON_LINK))
        for name in file_names:
            path = Path(folder, name)
            if path.absolute() in skipped:
                continue
            relative = path.relative_to(root).as_posix()
            # A link that leads in circles is no file; only then is it safe to ask where it leads.
            if path.is_file() and path.resolve().is_relative_to(resolved_root):
                sizes[relative] = path.stat().st_size
            else:
                left_out.append(LeftOut(relative, 0, REASON_SPECIAL))
    return sizes, left_out


def _left(path: str, mode: str) -> tuple[str, str] | None:
    """Where a file is left out: its path, or that of the folder that is left out with it, and the reason."""
    parts = PurePosixPath(path).parts
    if mode == "none":
        return parts[0], REASON_NONE
    if check_path(path):
        return path, REASON_NAME
    if mode == "all":
        return None
    if parts[-1].lower().endswith(DATABASE_SUFFIXES):
        return path, REASON_DATABASE
    if parts[-1].endswith(".mvc"):
        return path, REASON_ARCHIVE
    for depth, part in enumerate(parts[:-1], start=1):
        if WORK_FOLDER.fullmatch(part):
            return "/".join(parts[:depth]), REASON_ARCHIVE
    if "stereo" in parts[:-1] and not STEREO_FOLDERS.isdisjoint(parts):
        return "/".join(parts[: parts.index("stereo") + 1]), REASON_STEREO
    return (parts[0], REASON_DISTORTED) if parts[0] == "distorted" and len(parts) > 1 else None


def _downscaled_folders(
    sizes: dict[str, int], view_names: Sequence[str]
) -> tuple[tuple[DownscaledFolder, ...], set[str]]:
    """Folders like images_2 beside images whose files are named like views, and those files."""
    stems = {str(PurePosixPath(name).with_suffix("")): idx for idx, name in enumerate(view_names)}
    found: dict[tuple[str, str, int], dict[int, str]] = defaultdict(dict)
    for path in sizes:
        parts = PurePosixPath(path).parts
        for depth, part in enumerate(parts[:-1]):
            match = DOWNSCALED_NAME.fullmatch(part)
            if match is None:
                continue
            stem = PurePosixPath(*parts[:depth], match[1], *parts[depth + 1 :]).with_suffix("")
            view_idx = stems.get(str(stem))
            if view_idx is not None:
                folder = str(PurePosixPath(*parts[: depth + 1]))
                source = str(PurePosixPath(*parts[:depth], match[1]))
                found[folder, source, int(match[2])].setdefault(view_idx, path)
                break
    folders, copies = [], set()
    for (folder, source, factor), paths in sorted(found.items()):
        kept_suffix = all(PurePosixPath(path).suffix == _suffix(view_names[idx]) for idx, path in paths.items())
        suffixes = {PurePosixPath(path).suffix for path in paths.values()}
        if not kept_suffix and len(suffixes) > 1:
            continue
        below = [idx for idx, name in enumerate(view_names) if PurePosixPath(name).is_relative_to(source)]
        view_idxs = None if sorted(paths) == below else tuple(sorted(paths))
        suffix = "" if kept_suffix else suffixes.pop()
        size = sum(sizes[path] for path in paths.values())
        folders.append(DownscaledFolder(folder, source, factor, suffix, view_idxs, size))
        copies.update(paths.values())
    return tuple(folders), copies


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


def read_attached(root: Path, path: str) -> bytes:
    """Bytes of one file of the capture folder.

    Raises:
        CaptureError: it cannot be read any more.
    """
    try:
        return (root / path).read_bytes()
    except OSError as error:
        raise CaptureError(
            f"{root / path}: cannot be read ({error.strerror}); make it readable or move it away."
        ) from error
