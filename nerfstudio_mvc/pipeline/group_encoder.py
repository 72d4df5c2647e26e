"""Coding the groups of a capture into the writer's work folder, some of them side by side.

Which quality, which codec and what else goes into the archive is `compress`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from nerfstudio_mvc.archive.carried_strings import packed_size, with_carried
from nerfstudio_mvc.archive.cell_means import with_cell_means
from nerfstudio_mvc.archive.coded_groups import CodedGroups
from nerfstudio_mvc.archive.integrity import pixel_check
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.interface import EncodedGroup, MultiViewCodec
from nerfstudio_mvc.pipeline.compression_run import Run
from nerfstudio_mvc.pipeline.parallel_work import CheckIn, in_parallel, jobs_at_once
from nerfstudio_mvc.pipeline.progress import GroupReused, Planned, StepProgress, ViewDone
from nerfstudio_mvc.pipeline.view_notes import ViewNote, note_of_view, pack_notes, unpack_notes
from nerfstudio_mvc.splatting.depth_map import DepthMap


@dataclass(frozen=True)
class _Group:
    """One to code; `alone` while no other one is."""

    group_idx: int
    sources: Sequence[SourceView]
    alone: bool


@dataclass(frozen=True)
class GroupEncoder:
    """All that coding the groups takes.

    Attributes:
        views: by view_idx, cameras as the decoder will read them; those of the groups that are to be coded.
        depth: of the views, by view_idx, where there is a prior.
        writer: takes the groups.
        jobs: groups at once; as many as cores and memory allow when None.
        carry: whether bytes of the photographs' files that are neither picture nor EXIF go along.
    """

    views: Mapping[int, View]
    groups: Sequence[Sequence[int]]
    codec: MultiViewCodec
    device: str
    depth: Mapping[int, DepthMap | None]
    writer: CodedGroups
    run: Run
    jobs: int | None
    carry: bool = True

    def encode_groups(self) -> None:
        """Code the groups that the writer does not have, `jobs` of them at once."""
        self.run.notes.clear()
        todo = []
        for group_idx, group in enumerate(self.groups):
            if self.writer.has_group(group_idx):
                _take_over_group(self.writer, group_idx, [self.views[idx] for idx in group], self.run)
            else:
                todo.append(group_idx)
        views = [[self.views[idx] for idx in self.groups[group]] for group in todo]
        jobs = jobs_at_once(self.codec, views, asked=self.jobs)
        groups = (_Group(group_idx, self.sources(self.groups[group_idx]), alone=jobs == 1) for group_idx in todo)
        with closing(in_parallel(self._encode, groups, jobs=jobs)) as coded:
            for result in coded:
                self._keep(*result)

    def encode_group(self, group_idx: int) -> None:
        """Code one group."""
        group = _Group(group_idx, self.sources(self.groups[group_idx]), alone=True)
        self._keep(*self._encode(group, lambda: None))

    def report_plan(self) -> None:
        assert self.writer.quality is not None, "the quality was chosen"
        self.run.report(plan_of(list(self.views.values()), self.groups, self.codec, self.writer.quality, self.device))

    def sources(self, view_idxs: Sequence[int]) -> list[SourceView]:
        return [_source_view(self.run, self.views[idx], self.depth.get(idx)) for idx in view_idxs]

    def _encode(self, group: _Group, check_in: CheckIn) -> tuple[_Group, EncodedGroup, dict[int, ViewNote]]:
        assert self.writer.quality is not None, "the quality was chosen"
        views = {source.view.view_idx: source.view for source in group.sources}

        def on_view(view_idx: int, payload_bytes: int) -> None:
            check_in()
            self.run.report(self._view_done(views[view_idx], payload_bytes, group.group_idx))

        def on_step(step: str, done: int, total: int) -> None:
            check_in()
            name = step if group.alone else f"group {group.group_idx}: {step}"
            self.run.report(StepProgress(name, done, total, of_views=True))

        encoded = self.codec.encode_group(
            group.group_idx, group.sources, quality=self.writer.quality, on_view=on_view, on_step=on_step
        )
        notes = {}
        for source in group.sources:
            if source.coded:
                continue
            view, decoded = source.view, encoded.reconstructions[source.view.view_idx]
            metadata = self.run.metadata.get(view.view_idx)
            notes[view.view_idx] = note_of_view(view.name, source.pixels, decoded, metadata)
        return group, encoded, notes

    def _keep(self, group: _Group, encoded: EncodedGroup, notes: dict[int, ViewNote]) -> None:
        checks = {view_idx: pixel_check(pixels) for view_idx, pixels in encoded.reconstructions.items()}
        self.writer.keep(_notes_name(group.group_idx), pack_notes(notes))
        coded = with_cell_means(encoded.coded, encoded.reconstructions)
        self.writer.add_group(with_carried(coded, self._carried(group)), pixel_checks=checks)
        self.run.notes |= notes

    def _carried(self, group: _Group) -> dict[int, CarriedBytes]:
        """Bytes of the photographs' files that are put back as they were."""
        if not self.carry:
            return {}
        return {source.view.view_idx: self.run.carried_of(source.view) for source in group.sources}

    def carried_bytes(self) -> int:
        """What these take in the archive, all together."""
        if not self.carry:
            return 0
        return sum(packed_size(self.run.carried_of(view)) for view in self.views.values())

    def _view_done(self, view: View, payload_bytes: int, group_idx: int) -> ViewDone:
        return ViewDone(
            view_idx=view.view_idx,
            name=view.name,
            payload_bytes=payload_bytes,
            source_bytes=self.run.photographs[view.view_idx].bytes,
            group_idx=group_idx,
        )


def plan_of(
    views: Sequence[View], groups: Sequence[Sequence[int]], codec: MultiViewCodec, quality: float, device: str
) -> Planned:
    """What is about to happen."""
    return Planned(
        codec=codec.name,
        fingerprint=codec.fingerprint,
        quality=quality,
        device=device,
        views=len(views),
        groups=len(groups),
        sizes=tuple(dict.fromkeys((view.width, view.height) for view in views)),
    )


def _source_view(run: Run, view: View, depth_map: DepthMap | None) -> SourceView:
    source = run.read_source(view)
    return source if depth_map is None else replace(source, depth=depth_map.depth, depth_valid=depth_map.valid)


def _notes_name(group_idx: int) -> str:
    return f"notes_{group_idx:05d}.json"


def _take_over_group(writer: CodedGroups, group_idx: int, views: Sequence[View], run: Run) -> None:
    run.notes |= unpack_notes(writer.kept(_notes_name(group_idx)))
    # The strings are there already; EXIF, profiles and alpha are packed at the end and have to be read again.
    for view in views:
        run.read_metadata(view)
    run.report(
        GroupReused(
            group_idx=group_idx,
            views=len(views),
            payload_bytes=writer.finished_payload_bytes(group_idx),
            source_bytes=sum(run.photographs[view.view_idx].bytes for view in views),
        )
    )
