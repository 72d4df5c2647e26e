"""An archive whose views are decoded when they are asked for: the one place where reader and codec meet.

Writing folders is `decompress`'s business, figures are `evaluate`'s; both decode through this module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from nerfstudio_mvc.archive.carried_strings import without_carried
from nerfstudio_mvc.archive.cell_means import shows_the_same, without_cell_means
from nerfstudio_mvc.archive.integrity import pixel_check
from nerfstudio_mvc.archive.reader import ArchiveReader, DamagedGroupError
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.interface import Explains, KeepsFiles, MultiViewCodec, ViewDone
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.parallel_work import CheckIn, in_parallel, jobs_at_once
from nerfstudio_mvc.weights.store import open_codec


@dataclass(frozen=True)
class DecodedGroup:
    """What came out of one group.

    Attributes:
        group_idx: which.
        pixels: view_idx -> uint8 [H, W, 3] of the wanted views that decoded.
        files: view_idx -> the photograph's file, in place of its pixels, where that was asked for and can be had.
        carried: view_idx -> other bytes of the photograph's file, where there are some.
        differing: view_idx of views whose pixels are not exactly those the encoder saw, but show the same.
        lost: view_idx of wanted views that are damaged, or show something else.
        problem: why they are lost; "" when nothing is.
    """

    group_idx: int
    pixels: dict[int, np.ndarray]
    files: dict[int, bytes]
    carried: dict[int, CarriedBytes]
    differing: tuple[int, ...]
    lost: tuple[int, ...]
    problem: str


@dataclass(frozen=True)
class _StoredGroup:
    """What the file holds of a group: whole strings, views to decode, checksums of pixels; why some are lost."""

    coded: CodedGroup
    wanted: Sequence[int]
    pixel_checks: Mapping[int, int]
    problem: str


class OpenArchive:
    """An open archive and the codec that decodes it; a context manager. Nothing is decoded before it is asked for.

    Attributes:
        reader: the archive.
        views: cameras and sizes in capture order; `image_path` is None.
        codec: made from the weights that the archive names.
        device: where the codec runs.
    """

    def __init__(
        self,
        archive: Path,
        *,
        device: str = "auto",
        weights: Path | None = None,
        codec: MultiViewCodec | None = None,
    ) -> None:
        self.archive = archive
        self.reader = ArchiveReader(archive)
        try:
            self.views = self.reader.views()
            manifest = self.reader.manifest
            self.device = resolve_device(device, codec=manifest.codec)
            self.codec = codec or open_codec(
                manifest.codec, device=self.device, weights=weights, fingerprint=manifest.fingerprint
            )
        except BaseException:
            self.reader.close()
            raise

    def __enter__(self) -> OpenArchive:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.reader.close()

    def find_view(self, name: str) -> int:
        """view_idx of a view by its whole name or, where only one view ends so, by its last part.

        Raises:
            ArchiveError: no such view, or several.
        """
        ends_so = [view.view_idx for view in self.views if PurePosixPath(view.name).name == name]
        if len(ends_so) == 1:
            return ends_so[0]
        return self.reader.manifest.view_idx(name)

    def read_view(self, name: str) -> np.ndarray:
        """The pixels of one view, decoding no more of its group than it needs. uint8 [H, W, 3]

        Raises:
            ArchiveError: no such view, or its group is damaged.
        """
        view_idx = self.find_view(name)
        (decoded,) = self.decode_groups({view_idx})
        return decoded.pixels[view_idx]

    def explain_view(self, name: str) -> dict[str, np.ndarray]:
        """What other views did for a view, as pictures uint8 [H, W, 3] by name; of codecs that decode views together.

        Raises:
            ArchiveError: no such view, its group is damaged, or its codec decodes no view with the help of others.
        """
        view_idx = self.find_view(name)
        if not isinstance(self.codec, Explains):
            raise ArchiveError(
                f"{self.archive}: codec {self.codec.name} does not decode views together, so there is nothing to "
                "explain; parahydra does"
            )
        manifest = self.reader.manifest
        (group_idx,) = (idx for idx, group in enumerate(manifest.groups) if view_idx in group)
        coded = self.reader.read_group(group_idx)
        return self.codec.explain(coded, [self.views[idx] for idx in coded.coding_order], view_idx)

    def decode_groups(
        self,
        wanted: Collection[int] | None = None,
        *,
        files: bool = False,
        skip_damaged: bool = False,
        jobs: int | None = 1,
        on_view: ViewDone | None = None,
    ) -> Iterator[DecodedGroup]:
        """Decode groups, `jobs` of them in memory at a time; groups without a wanted view are not read.

        Args:
            wanted: view_idx to decode; all when None.
            files: give files instead of pixels where the codec keeps them.
            skip_damaged: report damaged views as lost instead of raising.
            jobs: groups decoded at once, in threads; as many as cores and memory allow when None. With more than one
                they come in the order in which they are done; close the iterator to stop early.
            on_view: called after each decoded view, with more than one job from other threads.

        Raises:
            ArchiveError: a group is damaged (unless `skip_damaged`).
        """
        todo = {}
        for group_idx, group in enumerate(self.reader.manifest.groups):
            wanted_here = tuple(view_idx for view_idx in group if wanted is None or view_idx in wanted)
            if wanted_here:
                todo[group_idx] = wanted_here
        # Read in this thread: a ZIP is one file.
        stored = (self._read_group(group_idx, own, skip_damaged=skip_damaged) for group_idx, own in todo.items())

        def decoded(group: _StoredGroup, check_in: CheckIn) -> DecodedGroup:
            def on_own_view(view_idx: int, payload_bytes: int) -> None:
                check_in()
                if on_view is not None:
                    on_view(view_idx, payload_bytes)

            return self._decode_group(group, files=files, skip_damaged=skip_damaged, on_view=on_own_view)

        views = [[self.views[idx] for idx in self.reader.manifest.groups[group_idx]] for group_idx in todo]
        with closing(in_parallel(decoded, stored, jobs=jobs_at_once(self.codec, views, asked=jobs))) as found:
            yield from found

    def _read_group(self, group_idx: int, wanted: Sequence[int], *, skip_damaged: bool) -> _StoredGroup:
        try:
            return _StoredGroup(self.reader.read_group(group_idx), wanted, self.reader.pixel_checks(group_idx), "")
        except DamagedGroupError as damage:
            if not skip_damaged and not set(wanted).isdisjoint(damage.damaged_view_idxs):
                raise
            return _StoredGroup(damage.intact, wanted, self.reader.pixel_checks(group_idx), str(damage))

    def _decode_group(self, group: _StoredGroup, *, files: bool, skip_damaged: bool, on_view: ViewDone) -> DecodedGroup:
        coded, carried = without_carried(group.coded)
        coded, means = without_cell_means(coded)
        views: list[View] = [self.views[view_idx] for view_idx in coded.coding_order]
        readable = [view_idx for view_idx in group.wanted if view_idx in coded.coding_order]
        contents: dict[int, bytes] = {}
        pixels: dict[int, np.ndarray] = {}

        def decode(wanted: Sequence[int]) -> None:
            with _lack_of_memory_told(views):
                if files and isinstance(self.codec, KeepsFiles):
                    contents.update(self.codec.files_of_group(coded, views, wanted=wanted, on_view=on_view))
                else:
                    quality = self.reader.manifest.quality
                    pixels.update(
                        self.codec.decode_group(coded, views, quality=quality, wanted=wanted, on_view=on_view)
                    )

        problem = ""
        try:
            if readable:
                decode(readable)
        except ArchiveError as error:
            if not skip_damaged:
                raise ArchiveError(f"{self.archive}: group {coded.group_idx}: {error}") from error
            problem = str(error)
            for view_idx in readable:  # those that do not hang on what is damaged
                with suppress(ArchiveError):
                    decode([view_idx])
        differing = tuple(idx for idx in pixels if pixel_check(pixels[idx]) != group.pixel_checks.get(idx))
        wrong = [idx for idx in differing if idx in means and not shows_the_same(pixels[idx], means[idx])]
        if wrong:
            problem = f'view {wrong[0]} "{self.views[wrong[0]].name}" decodes to another picture than was stored'
            if not skip_damaged:
                raise ArchiveError(
                    f"{self.archive}: group {coded.group_idx}: {problem}: fetch or make the archive again"
                )
            for view_idx in wrong:
                del pixels[view_idx]
        return DecodedGroup(
            group_idx=coded.group_idx,
            pixels=pixels,
            files=contents,
            carried=carried,
            differing=tuple(idx for idx in differing if idx in pixels),
            lost=tuple(idx for idx in group.wanted if idx not in pixels and idx not in contents),
            problem=group.problem or problem,
        )


@contextmanager
def _lack_of_memory_told(views: Sequence[View]) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch says it in words.
        if isinstance(error, RuntimeError) and not ("allocate" in str(error) or "out of memory" in str(error)):
            raise
        largest = max(views, key=lambda view: view.width * view.height)
        raise ArchiveError(
            f"there is not the memory to decode {len(views)} views of up to {largest.width}x{largest.height}"
        ) from error


def open_archive(
    archive: str | Path,
    *,
    device: str = "auto",
    weights: Path | None = None,
    codec: MultiViewCodec | None = None,
) -> OpenArchive:
    """Open an archive to read single views of it without unpacking anything.

    Args:
        archive: the `.mvc` file.
        device: "auto", "cpu" or "cuda".
        weights: a weights file to use instead of those that ship with the package.
        codec: a codec to decode with, instead of the one the archive names.

    Raises:
        ArchiveError: not an archive, damaged, or of another version.
        WeightsError: the weights it was written with are not here.
    """
    return OpenArchive(Path(archive), device=device, weights=weights, codec=codec)
