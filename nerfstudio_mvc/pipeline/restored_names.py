"""Under which names photographs are restored: never two files under one, whatever the image format.

What becomes of the names in transforms.json is `restored_transforms`' business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import Literal

from nerfstudio_mvc.capture.views import View

ImageFormat = Literal["keep", "png", "jpg"]


def restored_names(views: Sequence[View], image_format: ImageFormat, *, taken: Collection[str] = ()) -> dict[int, str]:
    """view_idx -> the name of its photograph when it is written in `image_format`.

    A name that says so already stays. Where the new ending makes one of two names (a.jpg, a.tif), or that of another
    file, it is added to the old one: a.jpg.png.

    Args:
        taken: names of the other files that are restored.
    """
    suffixes = {"keep": (), "png": (".png",), "jpg": (".jpg", ".jpeg")}[image_format]
    names = {view.view_idx: view.name for view in views}
    changed = {idx: name for idx, name in names.items() if suffixes and _suffix(name) not in suffixes}
    wanted = {idx: str(PurePosixPath(name).with_suffix(suffixes[0])) for idx, name in changed.items()}
    # File systems that take names apart by case alone are not to be relied on.
    used = {name.casefold() for name in taken} | {name.casefold() for idx, name in names.items() if idx not in changed}
    wishes = Counter(name.casefold() for name in wanted.values())
    for idx, name in changed.items():
        new = wanted[idx]
        if wishes[new.casefold()] > 1 or new.casefold() in used:
            others = (f"{name}.{number}{suffixes[0]}" for number in count(2))
            new = f"{name}{suffixes[0]}"
            while new.casefold() in used:
                new = next(others)
        used.add(new.casefold())
        names[idx] = new
    return names


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
