"""Folders like images_2: are their pictures copies of the photographs, reduced, or photographs of their own?

A name says nothing: a second walk through a scene may lie in images_2, and cameras number their pictures from 1. A
folder holds copies only if each of its pictures that is called like a photograph has that photograph's size divided,
and shows the same when both are reduced further. What is remade of them is `pipeline.downscaled`'s business.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np

from nerfstudio_mvc.capture.checks import is_image_name
from nerfstudio_mvc.capture.image_files import read_file, read_size, reduced_luma
from nerfstudio_mvc.capture.views import SmallerCopies
from nerfstudio_mvc.errors import CaptureError

NUMBERED = re.compile(r"(.+)_(\d+)")
"""``images_2``: the folder whose pictures these may be, and how many times smaller they are."""
MAX_FACTOR = 64
COMPARED_SIDE = 96
"""Longer side, in pixels, of what is compared: a third of the copy's own at most, so that filters do not matter."""
SHARE_OF_CONTRAST, NOISE, MAX_DIFFERENCE = 0.25, 1.5, 40.0
"""What may differ: a root mean square of this share of the picture's own and so many grey levels; a largest difference.
Other filters and JPEG qualities make .07 to .17 of it, neighbouring photographs .8 and more (the sample)."""


def find_smaller_copies(root: Path, names: Sequence[str]) -> tuple[SmallerCopies, ...]:
    """The folders below `root` that hold reduced copies of the photographs `names`, in the order of their paths."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_stem[_stem(name)].append(name)
    known, seen = set(names), _Photographs(root)
    found = []
    for folder, source, factor in numbered_folders(root, names):
        pictures = [path for path in images_below(root, folder) if path not in known]
        pairs: dict[str, str] = {}
        for path in pictures:
            rest = PurePosixPath(path).relative_to(folder)
            candidates = by_stem.get(_stem(f"{source}/{rest}"), ())
            own = [name for name in candidates if PurePosixPath(name).suffix == rest.suffix]
            for name in own or candidates[:1]:
                pairs.setdefault(name, path)
        sizes = _copied_sizes(root, pairs, factor, seen) if 1 < factor <= MAX_FACTOR else None
        if pairs and sizes is not None and _remakeable(pairs):
            digests = {name: seen.sha256[name] for name in pairs}
            found.append(SmallerCopies(folder, source, pairs, tuple(sizes), digests))
    return tuple(found)


def numbered_folders(root: Path, names: Collection[str]) -> list[tuple[str, str, int]]:
    """(folder, folder of photographs beside it, number) of every folder like images_2 beside one that holds `names`."""
    sources = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents if parent.name}
    found = []
    for source in sorted(sources):
        beside = root / PurePosixPath(source).parent
        for entry in sorted(os.listdir(beside)) if beside.is_dir() else ():
            match = NUMBERED.fullmatch(entry)
            if match and match[1] == PurePosixPath(source).name and (beside / entry).is_dir():
                folder = PurePosixPath(source).with_name(entry).as_posix()
                found.append((folder, source, int(match[2])))
    return found


def images_below(root: Path, folder: str) -> list[str]:
    """POSIX paths below `root` of the image files at and below `folder`, by their endings, sorted."""
    found = []
    for place, _, files in os.walk(root / folder):
        found += [(Path(place) / name).relative_to(root).as_posix() for name in files if is_image_name(name)]
    return sorted(path for path in found if (root / path).is_file())


class _Photographs:
    """Those that copies were compared with, reduced, and the SHA-256 of their files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._reduced: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
        self.sha256: dict[str, str] = {}

    def reduced(self, name: str, size: tuple[int, int]) -> np.ndarray:
        if (name, size) not in self._reduced:
            data = read_file(self._root / name)
            digest = sha256(data).hexdigest()
            if self.sha256.setdefault(name, digest) != digest:
                raise CaptureError(f"{self._root / name}: changed while the capture was read; start again")
            self._reduced[name, size] = reduced_luma(data, self._root / name, size)
        return self._reduced[name, size]


def _copied_sizes(
    root: Path, pairs: Mapping[str, str], factor: int, seen: _Photographs
) -> list[tuple[int, int]] | None:
    """Sizes of the copies; None where one of them is no copy."""
    sizes = []
    try:
        for name, path in pairs.items():
            size, source_size = read_size(root / path), read_size(root / name)
            # Some programs cut off, some round.
            if not all(
                side in (max(1, source // factor), -(-source // factor))
                for side, source in zip(size, source_size, strict=True)
            ):
                return None
            sizes.append(size)
        # Headers are read in no time; pictures only where all sizes are right.
        for (name, path), size in zip(pairs.items(), sizes, strict=True):
            compared = _compared_size(size)
            photograph = seen.reduced(name, compared)
            difference = reduced_luma(read_file(root / path), root / path, compared) - photograph
            allowed = SHARE_OF_CONTRAST * photograph.std() + NOISE
            if np.sqrt(np.mean(difference**2)) > allowed or np.abs(difference).max() > MAX_DIFFERENCE:
                return None
    except CaptureError:
        return None  # what cannot be read is carried as it is
    return sizes


def _compared_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1 / 3, COMPARED_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _remakeable(pairs: Mapping[str, str]) -> bool:
    """Whether names of copies follow from those of the photographs: each its own suffix, or one for all of them."""
    suffixes = {PurePosixPath(path).suffix for path in pairs.values()}
    kept = all(PurePosixPath(name).suffix == PurePosixPath(path).suffix for name, path in pairs.items())
    return kept or len(suffixes) == 1


def _stem(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()
