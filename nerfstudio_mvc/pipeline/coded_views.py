"""Photographs that were encoded one by one, on their way into an archive: the `.mvcv` files of a capture folder.

Such a file is an archive of a single view (FORMAT.md); `encode_view` makes them. Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import get_args

from nerfstudio_mvc.archive.carried_strings import without_carried
from nerfstudio_mvc.archive.layout import CODEC_PARAHYDRA
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.capture.checks import listed
from nerfstudio_mvc.capture.coded_photographs import CODED_SUFFIX, CodedPhotograph
from nerfstudio_mvc.capture.image_files import ImageMetadata
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.capture.photo_source import files_with_photographs
from nerfstudio_mvc.codecs.parahydra.stills import PROFILE
from nerfstudio_mvc.coded import Substream
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import ArchiveError, CaptureError, OptionError
from nerfstudio_mvc.pipeline.options import CompressOptions


@dataclass(frozen=True)
class CodedView:
    """What such a file holds: its strings, and what belongs to the photograph besides its picture."""

    strings: tuple[Substream, ...]
    metadata: ImageMetadata
    carried: CarriedBytes


@dataclass(frozen=True)
class CodedViews:
    """The coded photographs of a folder.

    Attributes:
        found: by the path below the folder that the photograph would have.
        beside: files whose photograph is there as well; that one counts.
        quality, effort: of all of them; None where there are none.
    """

    found: dict[str, CodedPhotograph] = field(default_factory=dict)
    beside: tuple[Path, ...] = ()
    quality: float | None = None
    effort: Effort | None = None

    @property
    def files(self) -> list[Path]:
        """All of them, which are no other files of the capture."""
        return [*(one.path for one in self.found.values()), *self.beside]

    def settled(self, options: CompressOptions) -> CompressOptions:
        """The options, with what the coded photographs say.

        Raises:
            OptionError: they say otherwise.
        """
        if self.quality is None:
            return options
        for name in ("target_bpp", "target_psnr_db", "target_size_bytes", "weights"):
            if getattr(options, name) is not None:
                raise OptionError(
                    name, problem=f"comes too late: there are photographs coded already ({CODED_SUFFIX} files)"
                )
        if options.quality is not None and options.given_quality != self.quality:
            raise OptionError(
                "quality", problem=f"{options.quality} is not that of the {CODED_SUFFIX} files, {self.quality:g}"
            )
        if options.effort not in ("default", self.effort):
            raise OptionError(
                "effort", problem=f"{options.effort} is not that of the {CODED_SUFFIX} files, {self.effort}"
            )
        return replace(options, quality=self.quality, effort=self.effort)


def coded_views_for(root: Path, options: CompressOptions) -> tuple[CodedViews, CompressOptions]:
    """Those of a capture folder if the codec takes them, and the options with what they say; errors of both."""
    if options.codec_name != CODEC_PARAHYDRA:
        return CodedViews(), options
    coded = find_coded_views(root)
    return coded, coded.settled(options)


def find_coded_views(root: Path) -> CodedViews:
    """The `.mvcv` files at and below a folder, but for hidden folders and those of masks.

    Raises:
        ArchiveError: one is damaged.
        CaptureError: two are of one photograph, or they are of several qualities or efforts.
    """
    found: dict[str, CodedPhotograph] = {}
    beside, settings = [], {}
    for path in sorted(path for path in files_with_photographs(root) if path.suffix.lower() == CODED_SUFFIX):
        with ArchiveReader(path) as reader:
            photograph, name, settings_of_file = _photograph(reader)
        name = (path.parent / name).relative_to(root).as_posix()
        if (root / name).is_file():
            beside.append(path)
            continue
        if name in found:
            raise CaptureError(f"{path} and {found[name].path} are of one photograph: remove one of them")
        found[name] = photograph
        settings.setdefault(settings_of_file, path)
    if len(settings) > 1:
        said = listed(
            f"{path.name}: quality {quality:g}, effort {effort}" for (quality, effort), path in settings.items()
        )
        raise CaptureError(f"{root}: photographs are coded unlike each other ({said}); encode them alike")
    quality, effort = next(iter(settings), (None, None))
    return CodedViews(found, tuple(beside), quality, effort)


def read_coded_view(path: Path) -> CodedView:
    """All that a `.mvcv` file holds.

    Raises:
        ArchiveError: it is damaged.
    """
    with ArchiveReader(path) as reader:
        _check(reader)
        group, carried = without_carried(reader.read_group(0))
        return CodedView(group.views[0].substreams, _metadata(reader), carried.get(0, CarriedBytes()))


def _photograph(reader: ArchiveReader) -> tuple[CodedPhotograph, str, tuple[float, Effort]]:
    """The photograph of an open file, its name, its quality and effort."""
    _check(reader)
    manifest = reader.manifest
    (view,) = manifest.views
    effort = manifest.parameters.get("effort")
    if effort not in get_args(Effort) or PurePosixPath(view.name).name != view.name:
        raise reader.container.damaged("it says nothing of its effort, or names no photograph")
    mode = _metadata(reader).mode
    photograph = CodedPhotograph(reader.path, view.width, view.height, mode, view.source_bytes)
    return photograph, view.name, (manifest.quality, effort)


def _metadata(reader: ArchiveReader) -> ImageMetadata:
    metadata = reader.read_image_metadata()
    if 0 not in metadata:
        raise reader.container.damaged("nothing is said of its photograph's file")
    return metadata[0]


def _check(reader: ArchiveReader) -> None:
    manifest = reader.manifest
    if (manifest.codec, manifest.fingerprint) != (CODEC_PARAHYDRA, PROFILE) or len(manifest.views) != 1:
        raise ArchiveError(
            f"{reader.path} holds {len(manifest.views)} views of {manifest.codec} {manifest.fingerprint:.24}, not one "
            f"of {PROFILE}: encode the photograph again with ns-mvc-encode-view"
        )
