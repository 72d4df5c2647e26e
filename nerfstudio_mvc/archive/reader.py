"""Reading an `.mvc` file: the manifest first, then any group or attachment without touching the rest.

It returns named byte strings and views; decoding them is the codec's business, writing folders the pipeline's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.archived_paths import check_path
from nerfstudio_mvc.archive.camera_table import decode_cameras, views_of_table
from nerfstudio_mvc.archive.container import Container
from nerfstudio_mvc.archive.group_entry import (
    PREFIX,
    GroupHeader,
    StringDamage,
    cut_strings,
    decode_header,
    header_length,
)
from nerfstudio_mvc.archive.image_metadata import read_metadata
from nerfstudio_mvc.archive.large_files import entry_of, read_large_file
from nerfstudio_mvc.archive.manifest import Manifest, decode_manifest
from nerfstudio_mvc.archive.packing import (
    IN_OWN_ENTRY,
    KIND_BLOB,
    KIND_FILE,
    KIND_LARGE_BLOB,
    KIND_LARGE_FILE,
    Item,
    PackReader,
)
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import ArchiveError

if TYPE_CHECKING:
    from nerfstudio_mvc.capture.image_files import ImageMetadata


class DamagedGroupError(ArchiveError):
    """A group with damaged strings; views that do not hang on a damaged one still decode.

    Attributes:
        intact: the group with its whole strings alone: all its views, or none where nothing can be found in it.
        damaged_view_idxs: the views with a damaged string, in coding order.
        lost_view_idxs: of these, those whose picture is lost; which others hang on them is the codec's business.
    """

    def __init__(
        self,
        message: str,
        *,
        intact: CodedGroup,
        damaged_view_idxs: tuple[int, ...],
        lost_view_idxs: tuple[int, ...],
    ) -> None:
        super().__init__(message)
        self.intact, self.damaged_view_idxs, self.lost_view_idxs = intact, damaged_view_idxs, lost_view_idxs


class ArchiveReader:
    """An open archive; a context manager.

    Args:
        path: the file.

    Attributes:
        path: the file.
        manifest: everything the file says about itself.
        container: the ZIP around it.

    Raises:
        ArchiveError: not an `.mvc`, truncated, of another version, or its manifest does not hold together.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.container = Container(self.path)
        try:
            if layout.MANIFEST_ENTRY not in self.container:
                raise ArchiveError(f"{self.path} is a ZIP but no .mvc archive: it has no {layout.MANIFEST_ENTRY}.")
            data = self.container.read(layout.MANIFEST_ENTRY, limit=layout.MAX_MANIFEST_BYTES)
            self.manifest: Manifest = decode_manifest(data, what=str(self.path))
            for needed in [layout.CAMERAS_ENTRY, *map(layout.group_entry, range(len(self.manifest.groups)))]:
                if needed not in self.container:
                    raise self.container.damaged(f'entry "{needed}" is missing')
            pixels = self.manifest.group_pixels
            if pixels > max(layout.BELIEVED_PIXELS, layout.PIXELS_PER_BYTE * self.container.file_bytes):
                raise self.container.damaged(f"{self.container.file_bytes} bytes hold no group of {pixels} pixels")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def views(self) -> tuple[View, ...]:
        """The views in capture order; cameras bit for bit as written, `image_path` None.

        Raises:
            ArchiveError: the cameras are damaged.
        """
        data = self.container.read(layout.CAMERAS_ENTRY, limit=layout.MAX_CAMERAS_BYTES)
        what = f"{self.path}, {layout.CAMERAS_ENTRY}"
        table = decode_cameras(data, view_count=len(self.manifest.views), what=what)
        views = views_of_table(table, self.manifest.views)
        if tuple(view.view_idx for view in views if not view.has_geometry) != self.manifest.without_geometry:
            raise self.container.damaged("its cameras are not those of the views that the manifest says have some")
        return views

    def group_header(self, group_idx: int) -> GroupHeader:
        """Names and lengths of the strings of a group; their bytes are not read.

        Raises:
            DamagedGroupError: the header is damaged, and with it the whole group.
        """
        name, what = layout.group_entry(group_idx), self._what(group_idx)
        try:
            length = header_length(self.container.read_unchecked(name, first_bytes=PREFIX.size), what=what)
            header = decode_header(self.container.read_unchecked(name, first_bytes=length), what=what)
            self._check_header(header, group_idx)
        except ArchiveError as error:
            raise self._lost(group_idx, str(error)) from error
        return header

    def read_group(self, group_idx: int) -> CodedGroup:
        """The strings of one group.

        Raises:
            DamagedGroupError: a checksum does not agree; says which views are lost and carries the others.
        """
        header = self.group_header(group_idx)
        name = layout.group_entry(group_idx)
        data = self.container.read_unchecked(name)
        group, damages = cut_strings(data, header)
        if damages:
            raise self._partly_lost(group, damages)
        if len(data) != header.header_bytes + header.payload_bytes or crc32(data) != self.container.crc(name):
            raise self._lost(group_idx, f"{self._what(group_idx)}: checksum of the whole group mismatches.")
        return group

    def pixel_checks(self, group_idx: int) -> dict[int, int]:
        """view_idx -> `integrity.pixel_check` of the pixels the encoder saw its decoder make."""
        return {view.view_idx: view.pixel_check for view in self.group_header(group_idx).views}

    def read_attachments(self) -> Iterator[tuple[str, bytes]]:
        """(POSIX path relative to the capture folder, bytes) of every attached file, checked against its SHA-256.

        Raises:
            ArchiveError: damaged; files before the damage have been handed out.
        """
        pack = self._pack()
        if pack is None:
            return
        for item in pack.items():
            if item.kind == KIND_FILE:
                yield item.path, item.data
        for line in pack.lines:
            if line.kind == KIND_LARGE_FILE:
                yield line.path, read_large_file(self.container, line)

    def check_attachments(self) -> int:
        """Hold the stored bytes of the attached files against their CRC-32; only their index is unpacked.

        Returns:
            How many files there are.

        Raises:
            ArchiveError: damaged, or the index disagrees with the manifest or the entries.
        """
        pack = self._pack()
        lines = () if pack is None else pack.lines
        for line in lines:
            if line.kind in IN_OWN_ENTRY:
                deque(self.container.chunks(entry_of(line, what=str(self.path))), maxlen=0)
        return sum(line.kind in (KIND_FILE, KIND_LARGE_FILE) for line in lines)

    def attachment_sizes(self) -> dict[str, int]:
        """Bytes of every attached file as it was on disk, by path; only their index is unpacked.

        Raises:
            ArchiveError: the pack is damaged.
        """
        pack = self._pack()
        lines = () if pack is None else pack.lines
        return {line.path: line.size for line in lines if line.kind in (KIND_FILE, KIND_LARGE_FILE)}

    def metadata_bytes(self) -> int:
        """Packed bytes of what the image files held besides pixels.

        Raises:
            ArchiveError: the pack is damaged.
        """
        pack = self._pack()
        if pack is None:
            return 0
        spilled = (entry_of(line, what=str(self.path)) for line in pack.lines if line.kind == KIND_LARGE_BLOB)
        return pack.metadata_bytes + sum(map(self.container.stored_bytes, spilled))

    def read_image_metadata(self) -> dict[int, ImageMetadata]:
        """What the image files held besides pixels, by view_idx; empty when the archive carries none.

        Raises:
            ArchiveError: damaged.
        """
        pack = self._pack()
        if pack is None:
            return {}
        items = [item for item in pack.items() if item.kind != KIND_FILE]
        spilled = [line for line in pack.lines if line.kind == KIND_LARGE_BLOB]
        items += [Item(KIND_BLOB, line.path, read_large_file(self.container, line)) for line in spilled]
        return read_metadata(items, view_count=len(self.manifest.views), what=str(self.path))

    def _pack(self) -> PackReader | None:
        if layout.ATTACHMENTS_ENTRY not in self.container:
            if self.manifest.attached_files:
                raise self.container.damaged("its attached files are missing")
            return None
        data = self.container.read(layout.ATTACHMENTS_ENTRY, limit=layout.MAX_PACK_BYTES)
        pack = PackReader(data, what=f"{self.path}, {layout.ATTACHMENTS_ENTRY}")
        self._check_paths([line.path for line in pack.lines if line.kind in (KIND_FILE, KIND_LARGE_FILE)])
        return pack

    def _check_paths(self, paths: Sequence[str]) -> None:
        for path in paths:
            problem = check_path(path)
            if problem:
                raise self.container.damaged(f'attached file "{path!r:.80}" has a path that is {problem}')
        taken = {*paths, *(view.name for view in self.manifest.views)}
        if len(taken) != len(paths) + len(self.manifest.views) or len(paths) != self.manifest.attached_files:
            raise self.container.damaged("its list of attached files repeats itself or disagrees with the manifest")

    def _check_header(self, header: GroupHeader, group_idx: int) -> None:
        order = tuple(view.view_idx for view in header.views)
        if header.group_idx != group_idx or order != self.manifest.groups[group_idx]:
            raise ArchiveError(f"{self._what(group_idx)} holds other views than the manifest says.")

    def _what(self, group_idx: int) -> str:
        return f"{self.path}, group {group_idx}"

    def _lost(self, group_idx: int, detail: str) -> DamagedGroupError:
        order = self.manifest.groups[group_idx]
        noun, verb = ("View", "is") if len(order) == 1 else ("Views", "are")
        message = f"{detail} {noun} {_ranges(order)}, all of group {group_idx}, {verb} lost; {self._remedy()}"
        return DamagedGroupError(
            message, intact=CodedGroup(group_idx, ()), damaged_view_idxs=order, lost_view_idxs=order
        )

    def _partly_lost(self, group: CodedGroup, damages: Sequence[StringDamage]) -> DamagedGroupError:
        order = group.coding_order
        damaged = tuple(dict.fromkeys(order[damage.view_position] for damage in damages))
        lost = tuple(
            dict.fromkeys(order[damage.view_position] for damage in damages if damage.name != layout.FILE_STRING)
        )
        first = damages[0]
        computed = "cut off" if first.computed is None else f"computed {first.computed:04x}"
        more = f" and {len(damages) - 1} more" if len(damages) > 1 else ""
        detail = (
            f'{self.path}: view {damaged[0]} "{self.manifest.views[damaged[0]].name}", string "{first.name}"{more}: '
            f"checksum mismatch (stored {first.stored:04x}, {computed})."
        )
        noun, pronoun = ("View", "it") if len(lost) == 1 else ("Views", "them")
        what = f"{noun} {_ranges(lost)} of group {group.group_idx} and what hangs on {pronoun}: lost"
        if not lost:
            what = "Bytes of photographs' files that are no picture are lost"
        return DamagedGroupError(
            f"{detail} {what}; {self._remedy()}", intact=group, damaged_view_idxs=damaged, lost_view_idxs=lost
        )

    def _remedy(self) -> str:
        return f"all others decode: ns-mvc-decompress --archive {self.path.name} --output-dir out --skip-damaged"

    @cached_property
    def case_collisions(self) -> tuple[str, ...]:
        """Views and attached files whose names differ only in case: some file systems keep one of each."""
        seen: dict[str, str] = {}
        names = [*(view.name for view in self.manifest.views), *self.attachment_sizes()]
        return tuple(name for name in names if seen.setdefault(name.casefold(), name) != name)


def _ranges(numbers: Sequence[int]) -> str:
    """12, 13, 14, 20 as "12-14, 20"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in runs)
