"""The manifest: what an archive says about itself, as JSON, validated field by field.

Cameras have an entry of their own (`camera_table.py`); the table of attached files stands in their pack (`packing.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.archived_paths import check_path
from nerfstudio_mvc.archive.attachments import DownscaledFolder, LeftOut
from nerfstudio_mvc.errors import ArchiveError

MAX_BYTES = 1 << 60


@dataclass(frozen=True)
class ViewEntry:
    """One line of the view table: its name, the size of its pixels, and the photograph's bytes on disk (0: unknown)."""

    name: str
    width: int
    height: int
    source_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an archive says about itself.

    Attributes:
        version: of the format.
        writer: program and version that wrote it.
        codec, fingerprint, quality, parameters: see `writer.CodingSettings`.
        kind: of the capture ("nerfstudio", "colmap", "photographs", ...).
        views: in capture order.
        groups: view_idx of each group, in coding order.
        without_geometry: view_idx of the views coded without: no camera was found, or of a lens that is not followed.
        attachments: mode, "lean", "all" or "none".
        attached_files, attached_bytes: how many files are attached, and their bytes as they were on disk.
        left_out: what was not attached, with reasons.
        downscaled: folders of smaller copies to remake on restore.
        written_paths: path as the attached transforms.json has it -> path in the archive, where the first does not lead
            to the second.
        points_file: of the attached files, the sparse points in the world of the stored cameras; None where an attached
            transforms.json names them, or there are none.
        view_psnr_db: of each view against its photograph: as decoded, and of the file it is restored to under its name;
            empty where that is not known.
    """

    version: int
    writer: str
    codec: str
    fingerprint: str
    quality: float
    parameters: Mapping[str, Any]
    kind: str
    views: tuple[ViewEntry, ...]
    groups: tuple[tuple[int, ...], ...]
    without_geometry: tuple[int, ...]
    attachments: str
    attached_files: int
    attached_bytes: int
    left_out: tuple[LeftOut, ...]
    downscaled: tuple[DownscaledFolder, ...]
    written_paths: Mapping[str, str] = field(default_factory=dict)
    points_file: str | None = None
    view_psnr_db: tuple[tuple[float, float], ...] = ()

    @property
    def pixels(self) -> int:
        """Of all views together."""
        return sum(view.width * view.height for view in self.views)

    @property
    def group_pixels(self) -> int:
        """Of the largest group."""
        return max(sum(self.views[idx].width * self.views[idx].height for idx in group) for group in self.groups)

    @property
    def source_bytes(self) -> int:
        """The photographs as they were on disk; 0 when not all are known."""
        sizes = [view.source_bytes for view in self.views]
        return sum(sizes) if all(sizes) else 0

    @cached_property
    def _idx_of_name(self) -> dict[str, int]:
        return {view.name: idx for idx, view in enumerate(self.views)}

    @cached_property
    def _group_of_view(self) -> dict[int, int]:
        return {view_idx: group_idx for group_idx, group in enumerate(self.groups) for view_idx in group}

    def view_idx(self, name: str) -> int:
        """Index of the view called `name`, its full name or its file name where that is unique.

        Raises:
            ArchiveError: there is none; the message names some that come near.
        """
        if name in self._idx_of_name:
            return self._idx_of_name[name]
        same_file = [idx for idx, view in enumerate(self.views) if PurePosixPath(view.name).name == name]
        if len(same_file) == 1:
            return same_file[0]
        near = get_close_matches(name, self._idx_of_name, n=3, cutoff=0.0)
        raise ArchiveError(
            f'the archive holds no view "{name}"; it holds {len(self.views)}, for instance {", ".join(near)}.'
        )

    def group_of(self, view_idx: int) -> int:
        """Index of the group that holds a view."""
        return self._group_of_view[view_idx]


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest as UTF-8 JSON; `decode_manifest` gives an equal one back."""
    document = {
        "format": layout.FORMAT_NAME,
        "version": manifest.version,
        "writer": manifest.writer,
        "codec": manifest.codec,
        "weights": manifest.fingerprint,
        "quality": manifest.quality,
        "parameters": dict(manifest.parameters),
        "kind": manifest.kind,
        "names": [view.name for view in manifest.views],
        "sizes": _runs((view.width, view.height) for view in manifest.views),
        "source_bytes": [view.source_bytes for view in manifest.views],
        "groups": [list(group) for group in manifest.groups],
        "without_geometry": list(manifest.without_geometry),
        "attachments": manifest.attachments,
        "attached": [manifest.attached_files, manifest.attached_bytes],
        "left_out": [[line.path, line.bytes, line.reason] for line in manifest.left_out],
        "downscaled": [
            {
                "path": folder.path,
                "source": folder.source,
                "suffix": folder.suffix,
                "views": list(folder.view_idxs),
                "sizes": _runs(folder.sizes),
                "bytes": folder.bytes,
            }
            for folder in manifest.downscaled
        ],
        "written_paths": dict(manifest.written_paths),
        "points_file": manifest.points_file,
        "psnr": [[_rounded(value) for value in pair] for pair in manifest.view_psnr_db],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def decode_manifest(data: bytes, *, what: str) -> Manifest:
    """Read and validate; `what` names the archive in messages.

    Raises:
        ArchiveError: no manifest, of another version, or a field that is missing, of another type or out of limits.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(
            f"{what}: its manifest is no JSON; the file is damaged or no .mvc. Fetch or make it again."
        ) from error
    fields = _Fields(document, what=what)
    if fields.get("format", str) != layout.FORMAT_NAME:
        raise ArchiveError(f"{what} is a ZIP but no .mvc archive: its manifest names another format.")
    version = fields.count("version", 1 << 31)
    if version != layout.FORMAT_VERSION:
        raise ArchiveError(
            f"{what} has format version {version}, this program reads version {layout.FORMAT_VERSION}: "
            "use the nerfstudio_mvc release that wrote it, or update this one."
        )
    views = _views(fields)
    groups = _groups(fields, len(views))
    problem = pixel_problem([(view.width, view.height) for view in views], groups)
    if problem:
        raise fields.wrong('manifest field "sizes"', problem)
    attached_files, attached_bytes = _attached(fields)
    return Manifest(
        version=version,
        writer=fields.get("writer", str),
        codec=fields.get("codec", str),
        fingerprint=fields.get("weights", str),
        quality=fields.number("quality"),
        parameters=fields.get("parameters", dict),
        kind=fields.get("kind", str),
        views=views,
        groups=groups,
        without_geometry=tuple(fields.counts("without_geometry", len(views) - 1)),
        attachments=_mode(fields),
        attached_files=attached_files,
        attached_bytes=attached_bytes,
        left_out=tuple(_left_out(fields)),
        downscaled=tuple(_downscaled(fields, views)),
        written_paths=_written_paths(fields),
        points_file=None
        if document.get("points_file") is None
        else fields.checked_path(document["points_file"], "points_file"),
        view_psnr_db=tuple(_psnr(fields, len(views))),
    )


class _Fields:
    """Typed access to a JSON object; whatever does not fit is an `ArchiveError` naming the field."""

    def __init__(self, document: Any, *, what: str) -> None:
        self.what = what
        if not isinstance(document, dict):
            raise self.wrong("the manifest", "no JSON object")
        self._document = document

    def wrong(self, field: str, detail: str) -> ArchiveError:
        return ArchiveError(f"{self.what}: {field} is {detail}; the archive is damaged. Fetch or make it again.")

    def get(self, name: str, kind: type) -> Any:
        value = self._document.get(name)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.wrong(f'manifest field "{name}"', "missing" if value is None else f"no {kind.__name__}")
        return value

    def __contains__(self, name: str) -> bool:
        return name in self._document

    def number(self, name: str) -> float:
        return self.checked_number(self._document.get(name), name)

    def checked_number(self, value: Any, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e6:
            raise self.wrong(f'manifest field "{name}"', "no number from 0 to a million")
        return float(value)

    def count(self, name: str, limit: int) -> int:
        return self.checked_count(self.get(name, int), name, limit)

    def counts(self, name: str, limit: int) -> list[int]:
        return [self.checked_count(value, name, limit) for value in self.get(name, list)]

    def checked_count(self, value: Any, name: str, limit: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            raise self.wrong(f'manifest field "{name}"', f"out of range: integers from 0 to {limit} are possible")
        return value

    def checked_path(self, value: Any, name: str) -> str:
        problem = check_path(value) if isinstance(value, str) else "no text"
        if problem:
            raise self.wrong(f'a path in manifest field "{name}"', problem)
        return value


def pixel_problem(sizes: Sequence[tuple[int, int]], groups: Sequence[Sequence[int]]) -> str | None:
    """Why views of these (width, height) in these groups are too large for an archive; None when they are not."""
    pixels = [width * height for width, height in sizes]
    if max(pixels) > layout.MAX_VIEW_PIXELS:
        return f"a view of {max(pixels)} pixels where {layout.MAX_VIEW_PIXELS} are possible"
    of_group = max(sum(pixels[view_idx] for view_idx in group) for group in groups)
    if of_group > layout.MAX_GROUP_PIXELS:
        return f"a group of {of_group} pixels where {layout.MAX_GROUP_PIXELS} are possible"
    if sum(pixels) > layout.MAX_PIXELS:
        return f"{sum(pixels)} pixels in all where {layout.MAX_PIXELS} are possible"
    return None


def _views(fields: _Fields) -> tuple[ViewEntry, ...]:
    names = [fields.checked_path(name, "names") for name in fields.get("names", list)]
    if not 0 < len(names) <= layout.MAX_VIEWS:
        raise fields.wrong(
            'manifest field "names"', f"a list of {len(names)} views where 1 to {layout.MAX_VIEWS} are possible"
        )
    if len(set(names)) != len(names):
        raise fields.wrong('manifest field "names"', "a list with a name twice")
    source_bytes = fields.counts("source_bytes", MAX_BYTES)
    sizes = _sizes(fields, len(names))
    if len(source_bytes) != len(names):
        raise fields.wrong("the view table", "of unequal columns")
    return tuple(ViewEntry(*line) for line in zip(names, *zip(*sizes, strict=True), source_bytes, strict=True))


def _runs(sizes: Iterable[tuple[int, int]]) -> list[list[int]]:
    return [[*size, len(list(run))] for size, run in groupby(sizes)]


def _sizes(fields: _Fields, count: int) -> list[tuple[int, int]]:
    """`count` sizes from their runs."""
    sizes: list[tuple[int, int]] = []
    for run in fields.get("sizes", list):
        if not isinstance(run, list) or len(run) != 3:
            raise fields.wrong('manifest field "sizes"', "no list of [width, height, count]")
        width, height = (fields.checked_count(side, "sizes", layout.MAX_IMAGE_SIDE) for side in run[:2])
        sizes += [(width, height)] * fields.checked_count(run[2], "sizes", count - len(sizes))
    if len(sizes) != count or any(0 in size for size in sizes):
        raise fields.wrong('manifest field "sizes"', "of another length, or with a side of no pixels")
    return sizes


def _groups(fields: _Fields, view_count: int) -> tuple[tuple[int, ...], ...]:
    groups = []
    for group in fields.get("groups", list):
        if not isinstance(group, list) or not group:
            raise fields.wrong('manifest field "groups"', "no list of lists of views")
        groups.append(tuple(fields.checked_count(view_idx, "groups", view_count - 1) for view_idx in group))
    if sorted(view_idx for group in groups for view_idx in group) != list(range(view_count)):
        raise fields.wrong('manifest field "groups"', "not every view exactly once")
    return tuple(groups)


def _mode(fields: _Fields) -> str:
    mode = fields.get("attachments", str)
    if mode not in layout.ATTACHMENT_MODES:
        raise fields.wrong('manifest field "attachments"', "no known mode")
    return mode


def _attached(fields: _Fields) -> tuple[int, int]:
    attached = fields.counts("attached", MAX_BYTES)
    if len(attached) != 2:
        raise fields.wrong('manifest field "attached"', "not the number of files and their bytes")
    fields.checked_count(attached[0], "attached", layout.MAX_ATTACHMENT_FILES)
    return attached[0], attached[1]


def _left_out(fields: _Fields) -> Iterable[LeftOut]:
    for line in fields.get("left_out", list):
        if not isinstance(line, list) or len(line) != 3 or not isinstance(line[0], str) or not isinstance(line[2], str):
            raise fields.wrong('manifest field "left_out"', "no list of [path, bytes, reason]")
        yield LeftOut(line[0], fields.checked_count(line[1], "left_out", MAX_BYTES), line[2])


def _downscaled(fields: _Fields, views: Sequence[ViewEntry]) -> Iterable[DownscaledFolder]:
    for entry in fields.get("downscaled", list):
        folder = _Fields(entry, what=fields.what)
        source, suffix = folder.get("source", str), folder.get("suffix", str)
        if suffix and (check_path(suffix) or "/" in suffix or not suffix.startswith(".") or len(suffix) < 2):
            raise fields.wrong('manifest field "suffix"', "no file suffix")
        view_idxs = tuple(folder.counts("views", len(views) - 1))
        sizes = tuple(_sizes(folder, len(view_idxs)))
        for idx, (width, height) in zip(view_idxs, sizes, strict=True):
            if width > views[idx].width or height > views[idx].height:
                raise fields.wrong('manifest field "downscaled"', "of copies larger than their photographs")
        yield DownscaledFolder(
            path=fields.checked_path(folder.get("path", str), "path"),
            source=fields.checked_path(source, "source"),
            suffix=suffix,
            view_idxs=view_idxs,
            sizes=sizes,
            bytes=folder.count("bytes", MAX_BYTES),
        )


def _rounded(psnr_db: float) -> float | None:
    return None if math.isinf(psnr_db) else round(psnr_db, 2)


def _psnr(fields: _Fields, view_count: int) -> Iterable[tuple[float, float]]:
    pairs = fields.get("psnr", list) if "psnr" in fields else []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or len(pairs) != view_count:
            raise fields.wrong('manifest field "psnr"', "no list of two numbers for each view")
        decoded, file = (math.inf if value is None else fields.checked_number(value, "psnr") for value in pair)
        yield decoded, file


def _written_paths(fields: _Fields) -> dict[str, str]:
    written = fields.get("written_paths", dict)
    return {key: fields.checked_path(path, "written_paths") for key, path in written.items()}
