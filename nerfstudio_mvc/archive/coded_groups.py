"""The groups of an archive under way: those that are coded lie in its work folder, each a file of its own.

What else the archive takes, and the archive itself, is the business of `writer.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.container import record_bytes
from nerfstudio_mvc.archive.group_entry import cut_strings, decode_header, encode_group
from nerfstudio_mvc.archive.work_folder import WorkFolder
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import ArchiveError, ShapeError

QUALITY_NAME = "quality"


class CodedGroups:
    """Takes groups as they are coded; a context manager that keeps those that are finished.

    Args:
        work: the folder.
        groups: view_idx of each group of the archive in coding order.
        quality: they are coded at; None where it is found on the way.
        looked_for: the groups asked about; all when None.

    Attributes:
        quality: as given or, where that was None, as the run that is resumed has chosen it.
    """

    def __init__(
        self,
        work: WorkFolder,
        groups: Sequence[Sequence[int]],
        quality: float | None,
        *,
        looked_for: Collection[int] | None = None,
    ) -> None:
        self._work = work
        self._groups = tuple(tuple(group) for group in groups)
        self.quality = self._kept_quality() if quality is None else quality
        asked = range(len(groups)) if looked_for is None else looked_for
        self._finished = {group_idx: size for group_idx in asked if (size := self._kept_bytes(group_idx))}
        self._open = True

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        if self._open:
            self._close(remove=not self._finished)

    def choose_quality(self, quality: float) -> None:
        """Set the quality of all groups, where the settings left it open; groups of another quality are dropped.

        Raises:
            OutputError: it cannot be written.
        """
        if quality != self.quality:
            self._finished.clear()
            for group_idx in range(len(self._groups)):
                self._work.drop(kept_name(group_idx))
            self._work.keep(QUALITY_NAME, repr(quality).encode())
            self.quality = quality

    def has_group(self, group_idx: int) -> bool:
        """Whether the group is finished, in this run or in the one being resumed."""
        return group_idx in self._finished

    def finished_payload_bytes(self, group_idx: int) -> int:
        """Bytes of the strings of a finished group."""
        return self._finished[group_idx]

    @property
    def groups_bytes(self) -> int:
        """Bytes in the file of the groups finished so far, headers and ZIP records included."""
        return sum(self._work.size(kept_name(idx)) + record_bytes(layout.group_entry(idx)) for idx in self._finished)

    def add_group(self, group: CodedGroup, *, pixel_checks: Mapping[int, int]) -> None:
        """Keep a coded group; `pixel_checks` maps view_idx to `integrity.pixel_check` of what the decoder will show.

        Raises:
            ShapeError: the group does not hold the views it should, in their order.
            OutputError: it cannot be written.
        """
        expected = self._groups[group.group_idx]
        if group.coding_order != expected:
            raise ShapeError(f"group {group.group_idx} holds views {group.coding_order}, it should be {expected}")
        self._work.keep(kept_name(group.group_idx), encode_group(group, pixel_checks=pixel_checks))
        self._finished[group.group_idx] = group.payload_bytes

    def keep(self, name: str, data: bytes) -> None:
        """Put something beside the groups, for others who go on with the work folder.

        Raises:
            OutputError: it cannot be written.
        """
        self._work.keep(name, data)

    def kept(self, name: str) -> bytes | None:
        """What this run or the one it goes on with has put there; None when it is not there."""
        return self._work.read(name)

    def discard(self) -> None:
        """Forget everything: removes the work folder, finished groups too."""
        if self._open:
            self._close(remove=True)

    def leave(self) -> None:
        """Give the work folder up to others who go on with it, whatever is in it."""
        self._close(remove=False)

    def _close(self, *, remove: bool) -> None:
        self._open = False
        self._work.close(remove=remove)

    def _kept_quality(self) -> float | None:
        data = self._work.read(QUALITY_NAME)
        try:
            return None if data is None else float(data)
        except ValueError:
            return None

    def _kept_bytes(self, group_idx: int) -> int | None:
        """Payload bytes of a group left in the work folder; None when it is not there or not whole."""
        data = self._work.read(kept_name(group_idx))
        if data is None:
            return None
        try:
            header = decode_header(data, what=kept_name(group_idx))
        except ArchiveError:
            return None
        group, damage = cut_strings(data, header)
        whole = not damage and group.group_idx == group_idx and group.coding_order == self._groups[group_idx]
        return group.payload_bytes if whole else None


class SharedGroups(CodedGroups):
    """One group of an archive whose work folder others write to as well, from other processes or machines.

    Args:
        target: the archive to be.
        key: of the work folder, as `ArchiveWriter.key` gives it.
        groups, quality: as of `CodedGroups`.
        group_idx: of the group.

    Raises:
        OtherInputsError: the folder is of another run meanwhile, or gone.
        OutputError: a run that does not share it holds it.
    """

    def __init__(
        self, target: Path, *, key: str, groups: Sequence[Sequence[int]], quality: float, group_idx: int
    ) -> None:
        super().__init__(WorkFolder.shared(target, key=key), groups, quality, looked_for=[group_idx])

    def __exit__(self, *error: object) -> None:
        self.leave()


def kept_name(group_idx: int) -> str:
    """The file of a group in the work folder."""
    return layout.group_entry(group_idx).replace("/", "_")
