"""Structure from motion with pycolmap on the CPU: the only file that imports it.

Owns the settings of feature extraction, matching and mapping. It runs as a program of its own, started by
`camera_estimation`: pycolmap and Pillow bring two builds of zlib into one process, after which writing a PNG corrupts
memory (seen with pycolmap 4.2.1 and Pillow 13.0.0).

``python -m colmap_io.mapping`` reads one JSON object from standard input, a `MappingJob` in one line. It answers on
standard output with one JSON array per line: ``["progress", stage, done, total]``, and at the end ``["done"]`` or
``["failed", reason]``. pycolmap's own messages go to standard error. When its standard input is closed it ends at once:
whoever asked was killed, and may ask another one to go on with the same database.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pycolmap

from colmap_io.mapping_job import MappingJob

MAX_FEATURES = 4096
SEQUENTIAL_OVERLAP = 12
MAX_SHIFT = 0.1
"""Of a principal point from the centre, in sides of the picture: lenses are built to have it there."""
SECONDS_BETWEEN_REPORTS = 1.0
SEED = 0

Report = Callable[[str, int, int], None]


def run_mapping(job: MappingJob, report: Report) -> None:
    """Leave the model with the most photographs in ``scratch/best``; features and matches found there are kept.

    Raises:
        RuntimeError, ValueError: pycolmap cannot go on.
    """
    pycolmap.set_random_seed(SEED)
    database = Path(job.scratch) / "database.db"
    _extract(job, database, report)
    _match(job, database, report)
    best = _map(job, database, report)
    if best is not None:
        if job.settings.refine_principal_point:
            _refine(best, job)
        best.rename(Path(job.scratch) / "best")


def _extract(job: MappingJob, database: Path, report: Report) -> None:
    sizes = [tuple(size) for size in job.sizes]
    extraction = _extraction_options(job)
    batch_size = 2 * (job.num_threads if job.num_threads > 0 else os.cpu_count() or 1)
    camera_of = _cameras_of_images(database)
    done = len(camera_of)
    report("features", done, len(job.names))
    for size in dict.fromkeys(sizes):
        same_size = [name for name, other in zip(job.names, sizes, strict=True) if other == size]
        todo = [name for name in same_size if name not in camera_of]
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = job.settings.camera_model
        # In batches, for the sake of progress; each but the first is told which camera it continues.
        for start in range(0, len(todo), batch_size):
            batch = todo[start : start + batch_size]
            reader.existing_camera_id = next((camera_of[name] for name in same_size if name in camera_of), -1)
            pycolmap.extract_features(
                database,
                job.folder,
                image_names=batch,
                camera_mode=pycolmap.CameraMode.SINGLE,
                reader_options=reader,
                extraction_options=extraction,
                device=pycolmap.Device.cpu,
            )
            camera_of = _cameras_of_images(database)
            done += len(batch)
            report("features", done, len(job.names))


def _extraction_options(job: MappingJob) -> pycolmap.FeatureExtractionOptions:
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = job.settings.max_image_size
    options.use_gpu = False
    options.num_threads = job.num_threads
    options.sift.max_num_features = MAX_FEATURES
    return options


def _cameras_of_images(database: Path) -> dict[str, int]:
    """Name -> camera_id of the photographs whose features are known."""
    with pycolmap.Database.open(database) as opened:
        return {
            image.name: image.camera_id
            for image in opened.read_all_images()
            if opened.exists_keypoints(image.image_id) and opened.exists_descriptors(image.image_id)
        }


def _match(job: MappingJob, database: Path, report: Report) -> None:
    count = len(job.names)
    matching, verification = pycolmap.FeatureMatchingOptions(), pycolmap.TwoViewGeometryOptions()
    matching.use_gpu = False
    matching.num_threads = job.num_threads
    verification.ransac.random_seed = SEED
    options = {"matching_options": matching, "verification_options": verification, "device": pycolmap.Device.cpu}
    if job.compares_every_pair:
        with _matches_reported(database, count * (count - 1) // 2, report):
            pycolmap.match_exhaustive(database, **options)
        return
    pairing = pycolmap.SequentialPairingOptions()
    pairing.overlap = SEQUENTIAL_OVERLAP
    pairing.quadratic_overlap = True
    with _matches_reported(database, _sequential_pairs(count), report):
        pycolmap.match_sequential(database, pairing_options=pairing, **options)


def _sequential_pairs(count: int) -> int:
    """How many pairs pycolmap compares: neighbours, and those a power of two apart."""
    apart = {*range(1, SEQUENTIAL_OVERLAP + 1), *(1 << power for power in range(SEQUENTIAL_OVERLAP))}
    return sum(max(0, count - distance) for distance in apart)


@contextmanager
def _matches_reported(database: Path, total: int, report: Report) -> Iterator[None]:
    """Report now and then how many pairs the database holds: pycolmap itself says nothing before the end."""
    finished = threading.Event()

    def watch() -> None:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            while not finished.wait(SECONDS_BETWEEN_REPORTS):
                try:
                    (done,) = connection.execute("SELECT COUNT(*) FROM two_view_geometries").fetchone()
                except sqlite3.Error:
                    continue  # being written to
                report("matches", min(done, total - 1), total)

    report("matches", 0, total)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
    report("matches", total, total)


def _map(job: MappingJob, database: Path, report: Report) -> Path | None:
    """The folder of the model with the most photographs; a second try asks for less of a pair of photographs."""
    best, most_placed = None, 0
    for attempt, options in enumerate((_strict_options(), _lenient_options())):
        options.min_model_size = 2
        options.num_threads = job.num_threads
        options.random_seed = SEED
        folder = Path(job.scratch) / f"attempt{attempt}"
        shutil.rmtree(folder, ignore_errors=True)
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


def _refine(folder: Path, job: MappingJob) -> None:
    """Adjust the model in `folder` once more, principal points too, as nerfstudio has COLMAP do.

    Where all cameras look alike, a point far from the centre fits as well as one near it; such a model is not taken.
    """
    model, options = pycolmap.Reconstruction(folder), pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = True
    options.print_summary = False
    options.ceres.solver_options.num_threads = job.num_threads
    pycolmap.bundle_adjustment(model, options)
    cameras = model.cameras.values()
    if all(
        abs(camera.principal_point_x - camera.width / 2) <= MAX_SHIFT * camera.width
        and abs(camera.principal_point_y - camera.height / 2) <= MAX_SHIFT * camera.height
        for camera in cameras
    ):
        model.write(folder)


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

    def end_with_input() -> None:
        os.read(sys.stdin.fileno(), 1)  # sys.stdin itself would be locked when the program is done
        os._exit(1)

    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    job = MappingJob.from_json(sys.stdin.readline())
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        run_mapping(job, lambda stage, done, total: answer("progress", stage, done, total))
    except (RuntimeError, ValueError) as error:
        answer("failed", " ".join(str(error).split())[:300])
    else:
        answer("done")


if __name__ == "__main__":
    main()
