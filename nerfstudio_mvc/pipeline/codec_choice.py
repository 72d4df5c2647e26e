"""The smaller of two archives: LMVIC at the quality asked for, AV1 at the same mean PSNR.

Both are made beside the output, each like any other archive, and can be resumed; the smaller one then becomes the
output. How one archive is made is `compress.py`'s business, which hands its function in.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nerfstudio_mvc.archive.attachments import LeftOut
from nerfstudio_mvc.archive.remarks import copy_with_parameters
from nerfstudio_mvc.archive.work_folder import write_whole, writing
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.views import Capture, View
from nerfstudio_mvc.codecs.av1.codec import Av1Codec
from nerfstudio_mvc.codecs.av1.rate import crf_of_quality
from nerfstudio_mvc.codecs.interface import (
    EncodedGroup,
    MultiViewCodec,
    SourceView,
    StepDone,
    ViewDone,
    group_memory,
    wants_depth,
)
from nerfstudio_mvc.coded import CodedGroup
from nerfstudio_mvc.errors import CaptureError, MvcError, OutputError
from nerfstudio_mvc.pipeline.device import resolve_device
from nerfstudio_mvc.pipeline.json_values import json_values
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, Warned, ignore_event
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.weights.store import open_codec

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.compress import CompressReport

LEARNED, VIDEO = "lmvic", "av1"
PSNR_TOLERANCE_DB = 0.05
MAX_CORRECTION_DB = 0.5  # of one group for what others are off
MAX_TRIALS = 4
USUAL_SLOPE = -0.36  # dB per step of the encoder's quantiser
SLOPES = (-1.0, -0.1)
LOSSLESS_PSNR_DB = 100.0  # stands for infinite


@dataclass(frozen=True)
class CodecChoice:
    """Which codec was taken, and what each came to.

    Attributes:
        chosen: "lmvic" or "av1".
        coded_bytes: codec -> bytes of its archive but the attached files.
        psnr_db: codec -> mean over the views.
    """

    chosen: str
    coded_bytes: dict[str, int]
    psnr_db: dict[str, float]

    def __str__(self) -> str:
        (other,) = set(self.coded_bytes) - {self.chosen}
        saved = 1 - self.coded_bytes[self.chosen] / self.coded_bytes[other]
        return (
            f"{self.chosen}, {100 * saved:.1f} % smaller than {other} "
            f"at {self.psnr_db[self.chosen]:.2f} dB ({other}: {self.psnr_db[other]:.2f} dB)"
        )


def compress_with_smaller_codec(
    compress: Callable[..., CompressReport],
    data: str | Path | Capture,
    output: Path,
    *,
    quality: float | None,
    device: str,
    jobs: int | None,
    resume: bool,
    force: bool,
    on_event: OnEvent | None,
    **options: Any,
) -> CompressReport:
    """Compress with both codecs and keep the smaller archive; the report's `choice` says which.

    Args:
        compress: `compress_capture`.
        data: as of `compress_capture`, and so are the others and the errors.
        output: found free, or may be replaced.
    """
    start_s = time.monotonic()
    report_event = on_event or ignore_event
    device = resolve_device(device)
    effort = options["effort"]
    learned = open_codec(LEARNED, device=device, effort=effort)
    shared = {**options, "device": device, "jobs": jobs, "resume": resume, "on_event": report_event}
    video = Av1Codec(effort=effort)
    try:
        video.check_encoder()
    except MvcError as error:
        report_event(Warned(f"{LEARNED} is taken without comparing: {error}"))
        return compress(data, output, codec=learned, quality=quality, force=force, **shared)
    capture = data
    if not isinstance(capture, Capture):
        capture = load_capture(
            Path(data), on_progress=lambda step, done, total: report_event(StepProgress(step, done, total))
        )
    folder = _folder(output, capture.root)
    with writing(output):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        key = _key(capture, learned, quality, options)
        report = _compress_both(compress, capture, folder, learned, video, key=key, quality=quality, shared=shared)
        _publish(report.archive, output, report.choice, force=force)
    except BaseException:
        if not any(folder.glob("*.mvc")) and not any(folder.glob(".*.mvc-partial")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return replace(
        report,
        archive=output,
        file_bytes=output.stat().st_size,
        overhead_bytes=report.overhead_bytes + output.stat().st_size - report.file_bytes,
        elapsed_s=time.monotonic() - start_s,
    )


def _compress_both(
    compress: Callable[..., CompressReport],
    capture: Capture,
    folder: Path,
    learned: MultiViewCodec,
    video: Av1Codec,
    *,
    key: str,
    quality: float | None,
    shared: Mapping[str, Any],
) -> CompressReport:
    """Both archives in `folder`; the report of the one to take, with `choice`, which is None if AV1 failed."""
    resume, report_event = shared["resume"], shared["on_event"]
    journals = {codec: _Journal(folder / f"{codec}.json", key=key, resume=resume) for codec in (LEARNED, VIDEO)}
    first = _FirstArchive(folder / f"{LEARNED}.mvc", key=key)
    report_fields = first.report_fields() if resume else None
    own = None
    if report_fields is None:
        recording = _Recording(learned, journals[LEARNED])
        own = compress(capture, first.path, codec=recording, quality=quality, force=True, **shared)
        report_fields = vars(own)
        first.keep(report_fields)
    equal = _AtEqualPsnr(video, target=journals[LEARNED], journal=journals[VIDEO])
    # Targets are met: the rival codes at what they came to.
    rest = {name: value for name, value in shared.items() if not name.startswith("target")}
    rest["quality"] = report_fields["quality"]
    try:
        report = compress(capture, folder / f"{VIDEO}.mvc", codec=equal, force=True, **rest)
    except BaseException as error:
        encoder_failed = isinstance(error, MvcError) and not isinstance(error, (OutputError, CaptureError))
        if encoder_failed and own is not None:
            report_event(Warned(f"{LEARNED} is taken without comparing: {error}"))
            return own
        report_event(Warned(f"the {LEARNED} archive is kept: the same command with --resume goes on from there"))
        raise
    reports = {LEARNED: replace(report, **report_fields), VIDEO: report}
    choice = _choose(reports, {codec: journal.mean() for codec, journal in journals.items()})
    return replace(
        reports[choice.chosen],
        psnr_db=choice.psnr_db[choice.chosen],
        target=reports[LEARNED].target,
        warnings=tuple(dict.fromkeys([*reports[LEARNED].warnings, *report.warnings])),
        choice=choice,
    )


class _FirstArchive:
    """The archive made first, and its report, so that a run stopped later need not make it again.

    Attributes:
        path: of the archive.
    """

    def __init__(self, path: Path, *, key: str) -> None:
        self.path, self._key = path, key
        self._report_path = path.with_suffix(".report")

    def keep(self, report_fields: Mapping[str, Any]) -> None:
        """Note what its report said."""
        document = {"key": self._key, "report": json_values(dict(report_fields))}
        with writing(self.path):
            write_whole(self._report_path, json.dumps(document).encode())

    def report_fields(self) -> dict[str, Any] | None:
        """Fields of the report where the archive was finished by a run with the same photographs and settings."""
        if not (self.path.exists() and self._report_path.exists()):
            return None
        document = json.loads(self._report_path.read_text())
        if document["key"] != self._key:
            return None
        fields = document["report"]
        left_out = tuple(LeftOut(**line) for line in fields["left_out"])
        return {**fields, "archive": self.path, "left_out": left_out, "warnings": tuple(fields["warnings"])}


class _Journal:
    """PSNR of the views of every group as last coded, on disk, so that a run resumed with the same `key` knows them."""

    def __init__(self, path: Path, *, key: str, resume: bool) -> None:
        self.path, self._key = path, key
        document = json.loads(path.read_text()) if resume and path.exists() else {}
        self._groups: dict[str, list[float]] = document["groups"] if document.get("key") == key else {}
        self._lock = threading.Lock()

    def note(self, group_idx: int, psnr: Sequence[float]) -> None:
        with self._lock, writing(self.path):
            self._groups[str(group_idx)] = list(psnr)
            write_whole(self.path, json.dumps({"key": self._key, "groups": self._groups}).encode())

    def of_group(self, group_idx: int) -> float:
        """Mean over the views of a group, dB."""
        try:
            return float(np.mean(self._groups[str(group_idx)]))
        except KeyError:
            raise OutputError(f"{self.path}: was removed meanwhile; start again without --resume") from None

    @property
    def views(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def surplus(self, target: _Journal, *, but: int) -> float:
        """By how much the groups here, one left out, surpass those of `target`: dB, summed over their views."""
        groups = ((int(idx), len(psnr)) for idx, psnr in self._groups.items() if int(idx) != but)
        return sum(count * (self.of_group(idx) - target.of_group(idx)) for idx, count in groups)

    def mean(self) -> float:
        """Mean over all views, dB."""
        return float(np.mean([psnr for group in self._groups.values() for psnr in group]))


class _Recording:
    """A codec that notes how well it codes."""

    def __init__(self, codec: MultiViewCodec, journal: _Journal) -> None:
        self.name, self.fingerprint, self.wants_depth = codec.name, codec.fingerprint, wants_depth(codec)
        self.codec, self.journal = codec, journal

    def group_memory(self, view_pixels: Sequence[int]) -> int | None:
        return group_memory(self.codec, view_pixels)

    def encode_group(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None = None,
    ) -> EncodedGroup:
        encoded = self.codec.encode_group(group_idx, views, quality=quality, on_view=on_view, on_step=on_step)
        self.journal.note(group_idx, _psnr_of_views(views, encoded))
        return encoded

    def decode_group(
        self,
        coded: CodedGroup,
        views: Sequence[View],
        *,
        quality: float,
        wanted: Collection[int] | None = None,
        on_view: ViewDone | None = None,
    ) -> dict[int, np.ndarray]:
        return self.codec.decode_group(coded, views, quality=quality, wanted=wanted, on_view=on_view)


class _AtEqualPsnr(_Recording):
    """AV1 at the mean PSNR of another codec's archive.

    A group may be off as long as the mean over all views of the capture is not: most groups then take one trial with
    the quantiser of the group before.
    """

    def __init__(self, codec: Av1Codec, *, target: _Journal, journal: _Journal) -> None:
        super().__init__(codec, journal)
        self.video, self.target = codec, target
        self._last_crf: float | None = None

    def group_memory(self, view_pixels: Sequence[int]) -> int | None:
        return None  # a group begins with what the one before came to

    def encode_group(
        self,
        group_idx: int,
        views: Sequence[SourceView],
        *,
        quality: float,
        on_view: ViewDone | None = None,
        on_step: StepDone | None = None,
    ) -> EncodedGroup:
        surplus = self.journal.surplus(self.target, but=group_idx)
        correction = min(max(-surplus / len(views), -MAX_CORRECTION_DB), MAX_CORRECTION_DB)
        goal = self.target.of_group(group_idx) + correction
        tolerance = PSNR_TOLERANCE_DB * self.target.views / len(views)
        crf = crf_of_quality(quality) if self._last_crf is None else self._last_crf
        trials: list[tuple[float, float]] = []
        best, best_psnr = None, []
        while crf is not None:
            encoded = self.video.encode_with(group_idx, views, crf=crf, on_step=on_step)
            psnr = _psnr_of_views(views, encoded)
            trials.append((crf, float(np.mean(psnr))))
            if best is None or abs(np.mean(psnr) - goal) < abs(np.mean(best_psnr) - goal):
                best, best_psnr, self._last_crf = encoded, psnr, crf
            crf = next_crf(trials, goal, tolerance=min(tolerance, MAX_CORRECTION_DB))
        assert best is not None, "at least one trial was made"
        self.journal.note(group_idx, best_psnr)
        if on_view is not None:
            for view in best.coded.views:
                on_view(view.view_idx, view.payload_bytes)
        return best


def next_crf(
    trials: Sequence[tuple[float, float]], goal: float, *, tolerance: float = PSNR_TOLERANCE_DB
) -> float | None:
    """The quantiser to try after `trials` of (crf, PSNR in dB); None when that is near enough or not to be had."""
    crf, reached = min(trials, key=lambda trial: abs(trial[1] - goal))
    if abs(reached - goal) <= tolerance or len(trials) == MAX_TRIALS:
        return None
    slope = USUAL_SLOPE
    if len(trials) > 1:
        (crf, reached), (other_crf, other_reached) = sorted(trials, key=lambda trial: abs(trial[1] - goal))[:2]
        slope = min(max((reached - other_reached) / (crf - other_crf), SLOPES[0]), SLOPES[1])
    proposed = min(max(crf + (goal - reached) / slope, 0.0), 63.0)
    return None if any(abs(proposed - tried) < 1e-3 for tried, _ in trials) else proposed


def _psnr_of_views(views: Sequence[SourceView], encoded: EncodedGroup) -> list[float]:
    found = (psnr_db(source.pixels, encoded.reconstructions[source.view.view_idx]) for source in views)
    return [min(psnr, LOSSLESS_PSNR_DB) for psnr in found]


def _choose(reports: dict[str, CompressReport], mean_psnr_db: dict[str, float]) -> CodecChoice:
    coded_bytes = {codec: report.file_bytes - report.attachment_bytes for codec, report in reports.items()}
    # Where AV1 could not be brought to the PSNR, its size says nothing.
    comparable = mean_psnr_db[VIDEO] >= mean_psnr_db[LEARNED] - 2 * PSNR_TOLERANCE_DB
    video_smaller = coded_bytes[VIDEO] < coded_bytes[LEARNED]
    return CodecChoice(VIDEO if comparable and video_smaller else LEARNED, coded_bytes, mean_psnr_db)


def _publish(archive: Path, output: Path, choice: CodecChoice | None, *, force: bool) -> None:
    compared = {}
    if choice is not None:
        sizes_and_psnr = ((codec, size, choice.psnr_db[codec]) for codec, size in choice.coded_bytes.items())
        compared = {codec: {"bytes": size, "psnr_db": round(psnr, 4)} for codec, size, psnr in sizes_and_psnr}
    final = archive.with_name("final.mvc")
    copy_with_parameters(archive, final, {"compared": compared} if compared else {})
    if output.exists() and not force:
        raise OutputError(f"{output} exists already: choose another --output, or replace it with --force.")
    with writing(output):
        os.replace(final, output)


def _key(capture: Capture, codec: MultiViewCodec, quality: float | None, options: Mapping[str, Any]) -> str:
    """What the first archive depends on; photographs by size and time of change, as they were hashed once."""
    stats = [view.image_path.stat() for view in capture.views if view.image_path is not None]
    photographs = [[view.name for view in capture.views], [[stat.st_size, stat.st_mtime_ns] for stat in stats]]
    settings = {name: str(value) for name, value in options.items()}
    return json.dumps([codec.name, codec.fingerprint, quality, settings, photographs], sort_keys=True)


def _folder(output: Path, root: Path | None) -> Path:
    """Where both archives are made: beside the output, but never among the files to be attached."""
    name = f".{output.name}.mvc-both"
    place = output.absolute().parent
    if root is not None and place.is_relative_to(root.absolute()):
        place = root.absolute().parent
    return place / name
