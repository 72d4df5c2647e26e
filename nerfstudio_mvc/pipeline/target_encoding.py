"""Coding all groups of a capture at the quality that comes to a target.

Which quality that may be is `quality_search`'s business.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nerfstudio_mvc.archive.attachments import AttachmentPlan
from nerfstudio_mvc.archive.writer import ArchiveWriter
from nerfstudio_mvc.pipeline.group_encoder import GroupEncoder
from nerfstudio_mvc.pipeline.progress import Noted
from nerfstudio_mvc.pipeline.quality_search import QualityTarget, Sample, outcome, sample_groups, search_on_sample


def encode_for_target(encoder: GroupEncoder, writer: ArchiveWriter, target: QualityTarget, plan: AttachmentPlan) -> str:
    """Code all groups at the quality that comes to the target; says what was reached."""
    run = encoder.run
    rest_bytes, carried_bytes = 0, 0 if target.kind == "psnr" else encoder.carried_bytes()
    if target.kind == "size":
        for view in encoder.views.values():
            run.read_metadata(view)  # EXIF, profiles and alpha are part of the file
        rest_bytes = writer.rest_bytes(plan, image_metadata=run.metadata) + carried_bytes
    elif target.kind == "bpp":
        rest_bytes = writer.rest_bytes(replace(plan, files=(), points=None), image_metadata={})
    search = None
    if writer.quality is None:
        view_pixels = {idx: view.width * view.height for idx, view in encoder.views.items()}
        pixels = [[view_pixels[view_idx] for view_idx in group] for group in encoder.groups]
        sample = Sample([encoder.sources(group) for group in sample_groups(encoder.groups)], pixels, rest_bytes)
        search = search_on_sample(
            target, sample, encoder.codec, on_trial=lambda done, total: run.step("finding the quality", done, total)
        )
        writer.choose_quality(search.best())
    while True:
        encoder.report_plan()
        encoder.encode_groups()
        reached = _reached(encoder, target, rest_bytes - carried_bytes)
        if reached is None:
            return f"{target.text(target.value)} wanted; quality {writer.quality:g} as in the run that was resumed"
        line, shortfall = outcome(target, writer.quality, reached)
        better = search.correction(writer.quality, reached) if search is not None else None
        if better is None:
            if shortfall:
                line = f"{line}: {shortfall}"
                run.warn(line)
            return line
        run.report(Noted(f"{line}: all again with quality {better:g}"))
        writer.choose_quality(better)


def _reached(encoder: GroupEncoder, target: QualityTarget, rest_bytes: int) -> float | None:
    """What all views came to, in the target's unit; None where a resumed run does not know."""
    if target.kind == "psnr":
        known = len(encoder.run.view_psnr_db) == len(encoder.views)
        return float(np.mean(encoder.run.view_psnr_db)) if known else None
    total = encoder.writer.groups_bytes + rest_bytes
    if target.kind == "size":
        return total
    return 8 * total / sum(view.width * view.height for view in encoder.views.values())
