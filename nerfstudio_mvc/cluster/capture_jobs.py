"""Which captures of a folder become which archives, and how many processes this machine has room for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nerfstudio_mvc.capture.checks import is_image_name
from nerfstudio_mvc.capture.find_captures import find_captures
from nerfstudio_mvc.capture.image_files import read_size
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.cluster.archive_captures import CaptureJob
from nerfstudio_mvc.cores import available_cores
from nerfstudio_mvc.errors import CaptureError, MvcError
from nerfstudio_mvc.pipeline.coded_views import coded_views_for
from nerfstudio_mvc.pipeline.options import CompressOptions


def jobs_of_folder(data: Path, output_dir: Path, *, coded: bool = False) -> list[CaptureJob]:
    """A job for every capture at and below `data`: ``data/a/b`` becomes ``output_dir/a/b.mvc``.

    `coded`: as of `find_captures`.

    Raises:
        CaptureError: there is no such folder, or `output_dir` lies in a capture.
        OSError: a folder cannot be read.
    """
    data, output_dir = data.absolute(), output_dir.absolute()
    if not data.is_dir():
        raise CaptureError(f"{data}: there is no such folder")
    inside = output_dir.resolve() != data.resolve() and output_dir.resolve().is_relative_to(data.resolve())
    captures = find_captures(data, skip=[output_dir] if inside else [], coded=coded)
    for capture in captures:
        if output_dir.resolve().is_relative_to(capture.resolve()):
            raise CaptureError(f"{output_dir} lies in the capture {capture}: choose another --output-dir")
    return [CaptureJob(capture, _archive_path(capture, data, output_dir)) for capture in captures]


def workers_for(jobs: Sequence[CaptureJob], options: CompressOptions) -> int:
    """How many groups of these captures this machine codes at once, each on a thread of its own.

    Raises:
        WeightsError: the codec's weights are missing or damaged.
    """
    # torch arrives only here: who has a scheduler does without.
    from nerfstudio_mvc.pipeline.compress import open_codec_of
    from nerfstudio_mvc.pipeline.device import resolve_device
    from nerfstudio_mvc.pipeline.parallel_work import jobs_at_once

    codec = open_codec_of(options, resolve_device(options.device, codec=options.codec_name))
    largest = max((_largest_photograph(job.data, options) for job in jobs), key=lambda size: size[0] * size[1])
    group = [View(0, "", None, *largest, None, None)] * options.views_per_group
    return jobs_at_once(codec, [group] * available_cores(), asked=None)


def _archive_path(capture: Path, data: Path, output_dir: Path) -> Path:
    relative = capture.relative_to(data)
    name = relative.name or data.resolve().name
    return output_dir / relative.parent / f"{name}.mvc"


def _largest_photograph(data: Path, options: CompressOptions) -> tuple[int, int]:
    """Width and height, as far as coded ones and the files with most bytes of each folder tell."""
    sizes = [(1, 1)]
    with suppress(MvcError):
        sizes += [(one.width, one.height) for one in coded_views_for(data, options)[0].found.values()]
    for folder, _, names in os.walk(data):
        pictures = [path for name in names if is_image_name(name) and (path := Path(folder, name)).is_file()]
        if pictures:
            with suppress(CaptureError, OSError):
                sizes.append(read_size(max(pictures, key=lambda path: path.stat().st_size)))
    return max(sizes, key=lambda size: size[0] * size[1])
