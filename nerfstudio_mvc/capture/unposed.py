"""Photographs of a capture folder that no camera was found for: which of its image files they are.

Structure from motion leaves some photographs out, and their files stay where they are. Masks, depth and other pictures
lie there too; coding one of them as a photograph would spoil it, so in doubt a file is none, and is carried as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from nerfstudio_mvc.capture.checks import images_in, listed
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.damaged_pictures import Look, reasons
from nerfstudio_mvc.capture.image_files import IMAGE_SUFFIXES
from nerfstudio_mvc.capture.smaller_copies import find_smaller_copies, images_below, numbered_folders
from nerfstudio_mvc.capture.views import SmallerCopies, View
from nerfstudio_mvc.errors import CaptureError

_NO_PHOTOGRAPH = re.compile(
    r"(^|[-_. ])(masks?|depths?|normals?|alphas?|seg|segmentation|semantics?|labels?|conf|confidence|disp|disparity)"
    r"($|[-_. \d])",
    re.IGNORECASE,
)
"""Words in a name that say it is another picture."""


def with_unposed(
    files: PhotographFiles, views: Sequence[View], look: Look, *, named_files: Collection[str] = ()
) -> tuple[list[View], tuple[SmallerCopies, ...], tuple[str, ...]]:
    """The views, behind them those photographs beside them that have no camera; smaller copies of all of them; what to
    say of those that cannot be read, which are none.

    Args:
        files: of the capture.
        views: the photographs with cameras.
        look: finds the photographs that cannot be read.
        named_files: paths below its folder of files that are something else.

    Raises:
        CaptureError: a folder cannot be read.
    """
    root = files.root
    known = {view.name for view in views}
    folders = sorted({PurePosixPath(view.name).parent.as_posix() for view in views})
    candidates = []
    for folder in filter(lambda folder: (root / folder).is_dir(), folders):
        found = _listed_images(files, folder)
        candidates += _photographs(files, [name for name in found if name not in known | set(named_files)], views)
    copies = find_smaller_copies(root, [*(view.name for view in views), *candidates])
    copied, sizes = {folder.folder for folder in copies}, {(view.width, view.height) for view in views}
    for folder, _, _ in numbered_folders(root, known):
        if folder not in copied and not any(name.startswith(f"{folder}/") for name in known):
            others = [path for path in images_below(root, folder) if path not in named_files]
            # Of another size they may be copies whose photographs are gone.
            candidates += [name for name in _photographs(files, others, views) if files.size(name) in sizes]
    pictures = {name: files.path(name) for name in sorted(set(candidates))}
    damaged = look(pictures)
    notes = (
        (f"carried as the files they are, for they cannot be read: {reasons(damaged, pictures)}",) if damaged else ()
    )
    result = list(views)
    for name in (name for name in pictures if name not in damaged):
        result.append(files.unposed(len(result), name))
    return result, copies, notes


def geometry_note(views: Sequence[View], *, why: str = "") -> tuple[str, ...]:
    """What to say of views without a camera, or with one that cannot be used: nothing where there are none."""
    notes = []
    for names, what in (
        ([view.name for view in views if view.camera is None], f"no camera{why}"),
        ([view.name for view in views if view.camera is not None and not view.has_geometry], "a lens we cannot follow"),
    ):
        if names:
            verb = "has" if len(names) == 1 else "have"
            notes.append(
                f"{len(names)} of {len(views)} photographs {verb} {what}: coded without geometry, restored like the "
                f"others: {listed(names)}"
            )
    return tuple(notes)


def _listed_images(files: PhotographFiles, folder: str) -> list[str]:
    coded = [name for name in files.coded if PurePosixPath(name).parent.as_posix() == folder]
    try:
        return [path.relative_to(files.root).as_posix() for path in images_in(files.root / folder)] + coded
    except OSError as error:
        raise CaptureError(f"{files.root / folder}: cannot be read ({error.strerror}); make it readable") from None


def is_other_picture(name: str, *, stems: Collection[str]) -> bool:
    """Whether a file is a mask or the like of a photograph, by its name: a word in it, or that of another and more.

    Args:
        name: POSIX path.
        stems: paths without their endings, of all pictures; with how many there are of each, where that is known.
    """
    path = PurePosixPath(name)
    stem = path.with_suffix("").as_posix()
    if _NO_PHOTOGRAPH.search(path.stem) or stem.lower().endswith(tuple(IMAGE_SUFFIXES)):
        return True
    twins = stems[stem] > 1 if isinstance(stems, Counter) else stem in stems
    return twins and path.suffix.lower() == ".png"


def _photographs(files: PhotographFiles, names: Sequence[str], views: Sequence[View]) -> list[str]:
    """Of the image files `names`, those like the photographs that the views are: ending, kind of pixels, name."""
    stems = {PurePosixPath(view.name).with_suffix("").as_posix() for view in views}
    alike: dict[str, set[str]] = {}
    found = []
    for name in names:
        suffix = _suffix(name)
        if suffix not in alike:
            of_suffix = [view for view in views if _suffix(view.name) == suffix]
            # A few say enough: their headers are read for it.
            alike[suffix] = {
                files.mode(view.name, view.image_path) for view in of_suffix[:: max(1, len(of_suffix) // 4)]
            }
        try:
            if not is_other_picture(name, stems=stems) and files.mode(name) in alike[suffix]:
                found.append(name)
        except CaptureError:
            pass  # what cannot be read is carried as it is
    return found


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return ".jpg" if suffix in (".jpeg", ".jpe", ".jfif") else suffix
