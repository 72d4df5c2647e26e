"""Files carried along unread: which of a capture folder's files go into the archive, and why the others do not.

The photographs are the codec's business; how known kinds of files become small is `packing.py`'s.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from colmap_io.regular_files import open_regular
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.archived_paths import check_path
from nerfstudio_mvc.archive.made_again import made_again
from nerfstudio_mvc.capture.nerfstudio_source import TRANSFORMS_FILE
from nerfstudio_mvc.capture.views import PRIOR_FOLDER, SmallerCopies
from nerfstudio_mvc.errors import CaptureError, OutputError

REASON_NONE = "--attachments none"
REASON_POINTS = "--attachments points"
REASON_DOWNSCALED = "downscaled photographs: remade on restore"
REASON_PRIOR = "depth prior: ns-train mvc-splatfacto makes it again"
REASON_NAME = "a name that not every system can restore"
REASON_LINK = "link to a folder: only photographs and what transforms.json names is carried"
REASON_SPECIAL = "neither a file nor a link to one inside the capture folder"


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
        suffix: of its files, e.g. ``".jpg"``; "" where each has the suffix of its photograph.
        view_idxs: the views with a copy here, in capture order.
        sizes: width and height of each copy.
        bytes: of the folder's copies on disk.
    """

    path: str
    source: str
    suffix: str
    view_idxs: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    bytes: int


@dataclass(frozen=True)
class AttachmentPlan:
    """What will be attached and what not.

    Attributes:
        mode: one of `layout.ATTACHMENT_MODES`.
        root: the capture folder; None for a capture without files.
        files: POSIX paths, sorted, by which they are restored.
        left_out: what is not attached, with reasons; of downscaled photographs one line per folder.
        downscaled: folders to remake on restore.
        places: where each of `files` lies, links followed.
        written_paths: as of `capture.views.Capture`.
        points: path and bytes of a PLY file of the sparse points, to restore beside a transforms.json that is made.
    """

    mode: str
    root: Path | None
    files: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    downscaled: tuple[DownscaledFolder, ...]
    places: Mapping[str, Path] = field(default_factory=dict)
    written_paths: Mapping[str, str] = field(default_factory=dict)
    points: tuple[str, bytes] | None = None


def plan_attachments(
    root: Path | None,
    *,
    view_names: Sequence[str],
    mode: str = "lean",
    exclude: Collection[Path] = (),
    smaller_copies: Sequence[SmallerCopies] = (),
    named_files: Mapping[str, Path] | None = None,
    written_paths: Mapping[str, str] | None = None,
) -> AttachmentPlan:
    """Look through the capture folder and decide file by file.

    Args:
        root: the capture folder.
        view_names: of the views, in capture order; never attached.
        mode: "lean" leaves out what can be made again, "all" nothing but special files and `PRIOR_FOLDER`, "points"
            all but transforms.json and what it names, "none" everything.
        exclude: files and folders below `root` that are no part of the capture: the archive being written.
        smaller_copies, named_files, written_paths: as of `capture.views.Capture`.

    Raises:
        CaptureError: the folder cannot be read, a file that transforms.json names cannot be stored, or files are too
            large or too many.
    """
    if mode not in layout.ATTACHMENT_MODES:
        raise OutputError(f'unknown attachment mode "{mode}"; choose one of {", ".join(layout.ATTACHMENT_MODES)}.')
    if root is None:
        return AttachmentPlan(mode, None, (), (), ())
    sizes, left_out = _walk(root, exclude)
    views = set(view_names)
    named = {path: file for path, file in (named_files or {}).items() if path not in views}
    for path, file in named.items():
        problem = check_path(path)
        if problem:
            raise CaptureError(f'{root}: transforms.json names "{path}", whose path is {problem}: name it otherwise')
        sizes[path] = file.stat().st_size
    left_out = [line for line in left_out if line.path not in named]
    for name in views:
        sizes.pop(name, None)
    downscaled: tuple[DownscaledFolder, ...] = ()
    again: dict[str, tuple[str, str]] = {}
    if mode in ("lean", "points"):
        downscaled, copies = _downscaled_folders(sizes, view_names, smaller_copies, kept=named)
        sizes = {path: size for path, size in sizes.items() if path not in copies}
        left_out += [LeftOut(folder.path, folder.bytes, REASON_DOWNSCALED) for folder in downscaled]
        again = made_again(root, sizes, kept=named)
    files = []
    left_bytes: dict[tuple[str, str], int] = defaultdict(int)
    for path, size in sorted(sizes.items()):
        left = again.get(path) or _left(path, mode, named)
        if left is None:
            files.append(path)
        else:
            left_bytes[left] += size
    left_out += [LeftOut(path, size, reason) for (path, reason), size in left_bytes.items()]
    _check_sizes(root, {path: sizes[path] for path in files})
    if len(files) > layout.MAX_ATTACHMENT_FILES:
        raise CaptureError(
            f"{root}: {len(files)} files besides the photographs, more than an archive carries "
            f"({layout.MAX_ATTACHMENT_FILES}): move some away, or leave them out with --attachments points"
        )
    # Whatever is put in their place later, nothing but these is read.
    places = {path: named.get(path, root / path).resolve() for path in files}
    return AttachmentPlan(mode, root, tuple(files), tuple(left_out), downscaled, places, dict(written_paths or {}))


def refuse_too_large(root: Path, *, mode: str, exclude: Collection[Path] = ()) -> None:
    """Refuse at once what `plan_attachments` refuses for its size once photographs and cameras are known.

    Raises:
        CaptureError: the folder cannot be read, or a file in it is too large.
    """
    sizes, _ = _walk(root, exclude)
    large = {path: size for path, size in sizes.items() if size > layout.MAX_LARGE_FILE_BYTES}
    again = made_again(root, sizes) if large and mode in ("lean", "points") else {}
    _check_sizes(root, {path: size for path, size in large.items() if not (path in again or _left(path, mode, ()))})


def _check_sizes(root: Path, sizes: Mapping[str, int]) -> None:
    for path, size in sizes.items():
        if size > layout.MAX_LARGE_FILE_BYTES:
            raise CaptureError(
                f"{root / path} has {size} bytes, more than an archive carries ({layout.MAX_LARGE_FILE_BYTES}); "
                "move it out of the capture folder."
            )


def _walk(root: Path, exclude: Collection[Path]) -> tuple[dict[str, int], list[LeftOut]]:
    """Sizes of all regular files below `root` by POSIX path; links are followed when they stay inside."""
    sizes: dict[str, int] = {}
    left_out: list[LeftOut] = []
    resolved_root = root.resolve()
    skipped = {path.parent.resolve() / path.name for path in exclude}

    def refuse(error: OSError) -> None:
        raise CaptureError(f"{error.filename}: cannot be read ({error.strerror}); make it readable or move it away.")

    for folder, folder_names, file_names in os.walk(root, onerror=refuse):
        for name in list(folder_names):
            path = Path(folder, name)
            if resolved_root / path.relative_to(root) in skipped:
                folder_names.remove(name)
            elif path.is_symlink():
                left_out.append(LeftOut(path.relative_to(root).as_posix(), 0, REASON_LINK))
        for name in file_names:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if resolved_root / relative in skipped:
                continue
            # A link that leads in circles is no file; only then is it safe to ask where it leads.
            if path.is_file() and path.resolve().is_relative_to(resolved_root):
                sizes[relative] = path.stat().st_size
            else:
                left_out.append(LeftOut(relative, 0, REASON_SPECIAL))
    return sizes, left_out


def _left(path: str, mode: str, named: Collection[str]) -> tuple[str, str] | None:
    """Where a file is left out: its path, or that of the folder that is left out with it, and the reason."""
    if path.startswith(f"{PRIOR_FOLDER}/") and path not in named:
        return PRIOR_FOLDER, REASON_PRIOR
    if mode == "none":
        return PurePosixPath(path).parts[0], REASON_NONE
    if mode == "points" and path not in named and not TRANSFORMS_FILE.fullmatch(path):
        return PurePosixPath(path).parts[0], REASON_POINTS
    return (path, REASON_NAME) if check_path(path) else None


def _downscaled_folders(
    sizes: Mapping[str, int],
    view_names: Sequence[str],
    smaller_copies: Sequence[SmallerCopies],
    *,
    kept: Collection[str],
) -> tuple[tuple[DownscaledFolder, ...], set[str]]:
    """The folders of smaller copies whose photographs are views, and their files; none with a file in `kept`."""
    view_idx_of = {name: idx for idx, name in enumerate(view_names)}
    folders, files = [], set()
    for found in smaller_copies:
        own = {
            view_idx_of[name]: (path, size)
            for (name, path), size in zip(found.copies.items(), found.sizes, strict=True)
            if name in view_idx_of and path in sizes
        }
        paths = [path for path, _ in own.values()]
        if not own or not set(paths).isdisjoint(kept):
            continue
        kept_suffix = all(_suffix(path) == _suffix(view_names[idx]) for idx, (path, _) in own.items())
        folders.append(
            DownscaledFolder(
                path=found.folder,
                source=found.source,
                suffix="" if kept_suffix else _suffix(paths[0]),
                view_idxs=tuple(sorted(own)),
                sizes=tuple(own[idx][1] for idx in sorted(own)),
                bytes=sum(sizes[path] for path in paths),
            )
        )
        files.update(paths)
    return tuple(folders), files


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


@contextmanager
def open_attached(path: Path, *, size: int) -> Iterator[BinaryIO]:
    """A file of the capture, `size` bytes long when that was last asked, to read to its end within the block.

    Raises:
        CaptureError: it cannot be read any more, or is another file or longer or shorter by now.
    """
    try:
        with open_regular(path, real=True) as file:
            yield file
            if file.tell() != size or file.read(1):
                raise CaptureError(f"{path}: changed while it was read; run again once nothing writes to it.")
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror}); make it readable or move it away.") from error
