"""Does an archive decode to the very pixels its encoder saw: the deep half of `ns-mvc-verify`.

Checksums of the stored bytes are `archive.integrity`'s business.
"""

from __future__ import annotations

from pathlib import Path

from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.pipeline.open_archive import OpenArchive
from nerfstudio_mvc.pipeline.options import check_jobs
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.pipeline.reports import DecodeCheck


def check_decoding(
    archive: str | Path,
    *,
    device: str = "auto",
    weights: Path | None = None,
    codec: MultiViewCodec | None = None,
    jobs: int | None = None,
    on_event: OnEvent | None = None,
) -> DecodeCheck:
    """Decode every view, write nothing, and compare pixel checksums; `jobs` groups at once, as many as cores and
    memory allow when None.

    Raises:
        ArchiveError: not an archive, or of another version; damaged groups are reported, not raised.
        WeightsError: the weights it was written with are not here.
        OptionError: `jobs` is out of range.
    """
    check_jobs(jobs)
    on_event = on_event or ignore_event
    exact: list[str] = []
    differing: list[str] = []
    lost: list[str] = []
    with OpenArchive(Path(archive), device=device, weights=weights, codec=codec) as source:
        for decoded in source.decode_groups(files=True, skip_damaged=True, jobs=jobs):
            exact += [source.views[view_idx].name for view_idx in decoded.files]
            for view_idx in decoded.pixels:
                same = view_idx not in decoded.differing
                (exact if same else differing).append(source.views[view_idx].name)
            lost += [source.views[view_idx].name for view_idx in decoded.lost]
            done = len(exact) + len(differing) + len(lost)
            on_event(StepProgress("decoding", done, len(source.views)))
    return DecodeCheck(exact=tuple(exact), differing=tuple(differing), lost=tuple(lost))
