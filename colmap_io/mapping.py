"""Structure from motion with pycolmap on the CPU: the only file that imports it.

Owns the settings of feature extraction, matching and mapping. It runs as a program of its own, started by
`camera_estimation`: pycolmap and Pillow bring two builds of zlib into one process, after which writing a PNG corrupts
memory (seen with pycolmap 4.2.1 and Pillow 13.0.0).

``python -m colmap_io.mapping`` reads one JSON object from standard input, the fields of `MappingJob`. It answers on
standard output with one JSON array per line: ``["progress", stage, done, total]``, and at the end ``["done"]`` or
``["failed", reason]``. pycolmap's own messages go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pycolmap

MAX_IMAGE_SIZE = 1600
"""Features are found on photographs reduced to this many pixels on the longer side."""
MAX_FEATURES = 4096
EXHAUSTIVE_UP_TO = 60
"""Up to this many photographs every pair is matched; of more, each with its neighbours in the order of names."""
SEQUENTIAL_OVERLAP = 12
SEED = 0

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MappingJob:
    """What to do.

    Attributes:
        folder: where the photographs lie.
        names: their POSIX paths below `folder`, in order of capture.
        sizes: (width, height) of each, in pixels; photographs of one size share a camera.
        scratch: an empty folder; the model is left in its subfolder ``best``, which is missing if there is none.
        num_threads: -1 for all processors.
    """

    folder: str
    names: list[str]
    sizes: list[tuple[int, int]]
    scratch: str
    num_threads: int


def run_mapping(job: MappingJob, report: Report) -> None:
    """Leave the model with the most photographs in ``scratch/best``.

    Raises:
        RuntimeError, ValueError: pycolmap cannot go on.
    """
    pycolmap.set_random_seed(SEED)
    database = Path(job.scratch) / "database.db"
    _extract(job, database, report)
    _match(job, database, report)
    best = _map(job, database, report)
    if best is not None:
        best.rename(Path(job.scratch) / "best")


def _extract(job: MappingJob, database: Path, report: Report) -> None:
    sizes = [tuple(size) for size in job.sizes]
    extraction = _extraction_options(job.num_threads)
    batch_size = 2 * (job.num_threads if job.num_threads > 0 else os.cpu_count() or 1)
    done = 0
    report("features", done, len(job.names))
    for size in dict.fromkeys(sizes):
        same_size = [name for name, other in zip(job.names, sizes, strict=True) if other == size]
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = "OPENCV"
        # In batches, for the sake of progress; each but the first is told which camera it continues.
        for start in range(0, len(same_size), batch_size):
            batch = same_size[start : start + batch_size]
            pycolmap.extract_features(
                database,
                job.folder,
                image_names=batch,
                camera_mode=pycolmap.CameraMode.SINGLE,
                reader_options=reader,
                extraction_options=extraction,
                device=pycolmap.Device.cpu,
            )
            reader.existing_camera_id = _newest_camera(database)
            done += len(batch)
            report("features", done, len(job.names))


def _extraction_options(num_threads: int) -> pycolmap.FeatureExtractionOptions:
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = MAX_IMAGE_SIZE
    options.use_gpu = False
    options.num_threads = num_threads
    options.sift.max_num_features = MAX_FEATURES
    return options


def _newest_camera(database: Path) -> int:
    with pycolmap.Database.open(database) as opened:
        return max((camera.camera_id for camera in opened.read_all_cameras()), default=-1)


def _match(job: MappingJob, database: Path, report: Report) -> None:
    count = len(job.names)
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = job.num_threads
    report("matches", 0, count)
    if count <= EXHAUSTIVE_UP_TO:
        pycolmap.match_exhaustive(database, matching_options=matching, device=pycolmap.Device.cpu)
    else:
        pairing = pycolmap.SequentialPairingOptions()
        pairing.overlap = SEQUENTIAL_OVERLAP
        pairing.quadratic_overlap = True
        pycolmap.match_sequential(
            database, matching_options=matching, pairing_options=pairing, device=pycolmap.Device.cpu
        )
    report("matches", count, count)


def _map(job: MappingJob, database: Path, report: Report) -> Path | None:
    """The folder of the model with the most photographs; a second try asks for less of a pair of photographs."""
    best, most_placed = None, 0
    for attempt, options in enumerate((_strict_options(), _lenient_options())):
        options.min_model_size = 2
        options.num_threads = job.num_threads
        options.random_seed = SEED
        folder = Path(job.scratch) / f"attempt{attempt}"
        folder.mkdir()
        models = pycolmap.incremental_mapping(
            database, job.folder, folder, options=options, next_image_callback=_count_images(len(job.names), report)
        )
        for model_idx in sorted(models):
            placed = models[model_idx].num_reg_images()
            # Of models of one size the first, so that equal input gives an equal answer.
            if placed > most_placed:
                best, most_placed = folder / str(model_idx), placed
        if most_placed == len(job.names):
            break
    return best


def _strict_options() -> pycolmap.IncrementalPipelineOptions:
    return pycolmap.IncrementalPipelineOptions()


def _lenient_options() -> pycolmap.IncrementalPipelineOptions:
    options = pycolmap.IncrementalPipelineOptions()
    options.min_num_matches = 10
    options.mapper.init_min_num_inliers = 50
    options.mapper.init_min_tri_angle = 6.0
    options.mapper.abs_pose_min_num_inliers = 18
    options.mapper.abs_pose_min_inlier_ratio = 0.15
    return options


def _count_images(count: int, report: Report) -> Callable[[], None]:
    placed = 2
    report("cameras", 0, count)

    def next_image() -> None:
        nonlocal placed
        placed = min(placed + 1, count)
        report("cameras", placed, count)

    return next_image


def main() -> None:
    """Read a job from standard input, do it, answer on standard output."""

    def answer(*words: object) -> None:
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()

    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    job = MappingJob(**json.load(sys.stdin))
    try:
        run_mapping(job, lambda stage, done, total: answer("progress", stage, done, total))
    except (RuntimeError, ValueError) as error:
        answer("failed", " ".join(str(error).split())[:300])
    else:
        answer("done")


if __name__ == "__main__":
    main()
