"""Cameras for photographs that have none, with pycolmap on the CPU: the only file that imports it.

Owns the settings of feature extraction, matching and mapping. Which files are photographs, and what to do with the
model, is the caller's business; nothing is written beside the photographs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from colmap_io.errors import MappingError
from colmap_io.model_folder import read_model
from colmap_io.records import Model

MAX_IMAGE_SIZE = 1600
"""Features are found on photographs reduced to this many pixels on the longer side."""
MAX_FEATURES = 4096
EXHAUSTIVE_UP_TO = 60
"""Up to this many photographs every pair is matched; of more, each with its neighbours in the order of names."""
SEQUENTIAL_OVERLAP = 12
SEED = 0

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); the stages are "features", "matches" and "cameras"."""


def estimate_cameras(
    folder: Path,
    names: Sequence[str],
    *,
    sizes: Sequence[tuple[int, int]],
    num_threads: int = -1,
    on_progress: Progress | None = None,
) -> Model:
    """Estimate one OPENCV camera per image size, and a pose for every photograph.

    Args:
        folder: where the photographs lie.
        names: their POSIX paths below `folder`, in order of capture.
        sizes: (width, height) of each, in pixels.
        num_threads: -1 for all processors.
        on_progress: see `Progress`.

    Returns:
        The model with the most photographs, if that is all of them.

    Raises:
        MappingError: pycolmap is not installed, a photograph cannot be read by it, or not all of them could be placed
            in one model; the message names those that were left over.
    """
    try:
        import pycolmap  # heavy: only when cameras are really estimated
    except ImportError:
        raise MappingError("estimating cameras needs pycolmap; install it: pip install pycolmap") from None
    report = on_progress or (lambda stage, done, total: None)
    if len(names) < 2:
        raise MappingError(f"{folder}: cameras can be estimated from two or more photographs, found {len(names)}")

    _silence(pycolmap)
    pycolmap.set_random_seed(SEED)
    with tempfile.TemporaryDirectory(prefix="mvc-mapping-") as scratch:
        database = Path(scratch) / "database.db"
        sparse = Path(scratch) / "sparse"
        sparse.mkdir()
        try:
            _extract(pycolmap, database, folder, names, sizes, num_threads, report)
            _match(pycolmap, database, len(names), num_threads, report)
            found = _map(pycolmap, database, folder, sparse, len(names), num_threads, report)
        except (RuntimeError, ValueError) as error:
            raise MappingError(f"{folder}: pycolmap failed: {_one_line(error)}") from None
        if not found:
            raise MappingError(
                f"{folder}: no two photographs could be matched well enough to place their cameras; "
                "take more photographs that overlap, or provide cameras (transforms.json or a COLMAP model)"
            )
        best = max(found, key=lambda idx: found[idx].num_reg_images())
        written = Path(scratch) / "best"
        written.mkdir()
        found[best].write(written)
        model = read_model(written)
    placed = {image.name for image in model.images}
    missing = [name for name in names if name not in placed]
    if missing:
        raise MappingError(
            f"{folder}: {len(missing)} of {len(names)} photographs could not be placed: {_listed(missing)}; "
            "remove them, or add photographs that overlap with both these and the others"
        )
    return model


def _extract(pycolmap, database: Path, folder: Path, names, sizes, num_threads: int, report: Progress) -> None:
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size = MAX_IMAGE_SIZE
    extraction.use_gpu = False
    extraction.num_threads = num_threads
    extraction.sift.max_num_features = MAX_FEATURES
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "OPENCV"
    done = 0
    report("features", done, len(names))
    for size in dict.fromkeys(sizes):
        same_size = [name for name, other in zip(names, sizes, strict=True) if other == size]
        pycolmap.extract_features(
            database,
            folder,
            image_names=same_size,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=reader,
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )
        done += len(same_size)
        report("features", done, len(names))


def _match(pycolmap, database: Path, count: int, num_threads: int, report: Progress) -> None:
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = num_threads
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


def _map(pycolmap, database: Path, folder: Path, sparse: Path, count: int, num_threads: int, report: Progress) -> dict:
    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = 2
    options.num_threads = num_threads
    options.random_seed = SEED
    placed = 2

    def next_image() -> None:
        nonlocal placed
        placed = min(placed + 1, count)
        report("cameras", placed, count)

    report("cameras", 0, count)
    return pycolmap.incremental_mapping(database, folder, sparse, options=options, next_image_callback=next_image)


def _silence(pycolmap) -> None:
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    pycolmap.logging.alsologtostderr = False
    pycolmap.logging.logtostderr = False


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
