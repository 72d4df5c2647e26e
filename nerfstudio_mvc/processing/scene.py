"""Photographs or a video -> a folder as ns-process-data leaves it, without COLMAP's or ffmpeg's programs.

    images/            the photographs, untouched; also those that no camera was found for
    images_2/ ..       smaller copies
    colmap/sparse/0/   the model
    sparse_pc.ply      its points
    transforms.json    cameras, as nerfstudio writes them
    process_data.json  what was done, and from what

Nothing of it appears before all is done. A run that was stopped leaves what it has found in a hidden folder beside the
target; the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from colmap_io.camera_estimation import estimate_cameras
from colmap_io.model_folder import write_model
from colmap_io.records import Model
from nerfstudio_mvc.archive.work_folder import OtherInputsError, WorkFolder
from nerfstudio_mvc.capture.checks import image_size, listed
from nerfstudio_mvc.capture.coded_photographs import PhotographFiles
from nerfstudio_mvc.capture.colmap_source import capture_of_model
from nerfstudio_mvc.capture.photo_source import KIND, model_of_photographs
from nerfstudio_mvc.capture.ply_points import ply_of_points
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline.output_folder import check_output_folder, move_into_place, writing_folder
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, Warned, ignore_event
from nerfstudio_mvc.pipeline.restored_transforms import TRANSFORMS_NAME, Z_UP, transforms_of_views
from nerfstudio_mvc.processing.photographs import find_sources, place_photographs
from nerfstudio_mvc.processing.settings import ProcessSettings
from nerfstudio_mvc.processing.smaller_pictures import make_smaller_pictures
from nerfstudio_mvc.processing.video_frames import check_video, extract_frames

RECORD_NAME = "process_data.json"
POINTS_NAME = "sparse_pc.ply"
MODEL_FOLDER = "colmap/sparse/0"

Names = Mapping[str, Sequence[str]]
"""Split ("train", "eval", or "" where there is no eval data) -> names in images/, in order of capture."""
Progress = Callable[[str, int, int], None]
Gather = Callable[[Path, Path, Progress], Names]
"""Fills images/, given that folder and one for notes of its own."""


@dataclass(frozen=True)
class ProcessReport:
    """What came of it.

    Attributes:
        output_dir: the folder.
        photographs: how many are in images/.
        without_camera: names in images/ of those that no camera was found for.
        points: sparse points.
        done_before: an earlier run with the same data and settings had done it all.
        elapsed_s: seconds.
    """

    output_dir: Path
    photographs: int
    without_camera: tuple[str, ...]
    points: int
    done_before: bool
    elapsed_s: float


def process_images(
    data: str | Path,
    output_dir: str | Path,
    settings: ProcessSettings | None = None,
    *,
    on_event: OnEvent | None = None,
) -> ProcessReport:
    """Make a nerfstudio folder of photographs.

    Args:
        data: the folder of the photographs, which may have folders of its own. They keep their names, but for slashes,
            which become underscores.
        output_dir: the folder to make; it appears when it is complete.
        settings: the defaults when None.
        on_event: receives the events of `pipeline.progress`.

    Raises:
        CaptureError: there are no photographs, one cannot be read, or no cameras can be found.
        OutputError: `output_dir` exists and was not made of this, or cannot be written.
    """
    settings, output_dir = settings or ProcessSettings(), Path(output_dir)
    sources = {
        split: find_sources(folder, prefix=split and f"{split}_", leave_out=output_dir.resolve())
        for split, folder in _splits(Path(data), settings).items()
    }
    files = [path for found in sources.values() for path in found.values()]
    for path in files:
        image_size(path)  # what is no photograph is told under the name its owner knows

    def gather(images: Path, notes: Path, on_progress: Progress) -> Names:
        return {split: place_photographs(found, images) for split, found in sources.items()}

    return _process(output_dir, settings, files, gather, video=False, on_event=on_event or ignore_event)


def process_video(
    data: str | Path,
    output_dir: str | Path,
    settings: ProcessSettings | None = None,
    *,
    on_event: OnEvent | None = None,
) -> ProcessReport:
    """Make a nerfstudio folder of a video: of its sharpest frames, see `extract_frames`.

    Arguments and errors as of `process_images`, with a video in place of each folder of photographs.
    """
    settings = settings or ProcessSettings()
    videos = _splits(Path(data), settings)
    for video in videos.values():
        check_video(video)

    def gather(images: Path, notes: Path, on_progress: Progress) -> Names:
        extract = partial(extract_frames, target=settings.num_frames_target, on_progress=on_progress)
        done = notes / "frames.json"
        if not done.exists():
            names = {
                split: extract(video, images, prefix=f"frame_{split and f'{split}_'}")
                for split, video in videos.items()
            }
            done.write_text(json.dumps(names))
        return json.loads(done.read_text())

    output_dir = Path(output_dir)
    return _process(output_dir, settings, list(videos.values()), gather, video=True, on_event=on_event or ignore_event)


def _splits(data: Path, settings: ProcessSettings) -> dict[str, Path]:
    """nerfstudio's ``--eval-mode filename`` looks for these words in names."""
    return {"": data} if settings.eval_data is None else {"train": data, "eval": settings.eval_data}


def _process(
    output_dir: Path,
    settings: ProcessSettings,
    files: Sequence[Path],
    gather: Gather,
    *,
    video: bool,
    on_event: OnEvent,
) -> ProcessReport:
    start_s = time.monotonic()
    key = _key(settings, files)
    made = _record(output_dir)
    if made.get("key") == key and not settings.force:
        return _report(output_dir, made, start_s, done_before=True)
    check_output_folder(output_dir, force=settings.force)

    def step(stage: str, done: int, total: int) -> None:
        on_event(StepProgress(stage, done, total))

    with writing_folder(output_dir):
        work = _work_folder(output_dir, key)
        try:
            scene, mapping = work.path / "scene", work.path / "mapping"
            for folder in (scene, mapping):
                folder.mkdir(exist_ok=True)
            with _hidden_place_left_out(scene):
                names = gather(scene / "images", work.path, step)
                in_order = [name for split in names.values() for name in split]
                # First of all, as it finds damaged photographs.
                paths = [f"images/{name}" for name in in_order]
                make_smaller_pictures(scene, paths, num_downscales=settings.num_downscales, on_progress=step)
                estimate = partial(estimate_cameras, settings=settings.mapping(video=video), scratch=mapping)
                model = model_of_photographs(scene / "images", in_order, estimate_cameras=estimate, on_progress=step)
            if not model.images:
                raise CaptureError(
                    f"{files[0].parent}: no cameras can be found for these {len(in_order)} photographs: take more of "
                    "the same things, that stand still, from places a step apart"
                )
            made = {"key": key, **_write_cameras(scene, model, names)}
            (scene / RECORD_NAME).write_text(json.dumps(made, indent=2))
            move_into_place(scene, output_dir, force=settings.force)
        except BaseException:
            work.close(remove=False)
            on_event(Warned("what is done so far is kept: the same command goes on from there"))
            raise
        work.close(remove=True)
    if made["without_camera"]:
        on_event(Warned(_without_camera(made, every_pair=not video or settings.matching_method == "exhaustive")))
    return _report(output_dir, made, start_s, done_before=False)


def _work_folder(output_dir: Path, key: str) -> WorkFolder:
    """What a stopped run with the same data and settings has left, or an empty one."""
    try:
        return WorkFolder(output_dir, key=key, resume=True)
    except OtherInputsError:
        return WorkFolder(output_dir, key=key, resume=False)


def _key(settings: ProcessSettings, files: Sequence[Path]) -> str:
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps([settings.key(), stats]).encode()).hexdigest()


def _record(output_dir: Path) -> dict[str, Any]:
    """What an earlier run says it made there; nothing where it says nothing."""
    with suppress(OSError, ValueError):
        made = json.loads((output_dir / RECORD_NAME).read_text())
        if isinstance(made, dict) and (output_dir / TRANSFORMS_NAME).is_file():
            return made
    return {}


def _report(output_dir: Path, made: Mapping[str, Any], start_s: float, *, done_before: bool) -> ProcessReport:
    return ProcessReport(
        output_dir=output_dir,
        photographs=made["photographs"],
        without_camera=tuple(made["without_camera"]),
        points=made["points"],
        done_before=done_before,
        elapsed_s=time.monotonic() - start_s,
    )


@contextmanager
def _hidden_place_left_out(scene: Path) -> Iterator[None]:
    """Where photographs lie before all is done, nobody needs to know: messages say ``images/..``."""
    try:
        yield
    except CaptureError as error:
        raise CaptureError(
            str(error).replace(f"{scene.absolute()}{os.sep}", "").replace(f"{scene}{os.sep}", "")
        ) from None


def _write_cameras(scene: Path, model: Model, names: Names) -> dict[str, Any]:
    """Write model, points and transforms.json; what the record says of them."""
    write_model(model, scene / MODEL_FOLDER)
    paths = {image.image_id: f"images/{image.name}" for image in model.images}
    capture = capture_of_model(PhotographFiles(scene), model, names=paths, kind=KIND)
    (scene / POINTS_NAME).write_bytes(ply_of_points(capture.points @ Z_UP[:, :3].T, capture.point_colors))
    transforms, _ = transforms_of_views(
        capture.views,
        names={view.view_idx: view.name for view in capture.views},
        ply_file_path=POINTS_NAME,
        applied_transform=Z_UP,
    )
    id_of = {path: image_id for image_id, path in paths.items()}
    for frame in transforms["frames"]:
        frame["colmap_im_id"] = id_of[frame["file_path"]]
    if "eval" in names:
        # Without these lists, nerfstudio trains on the photographs to evaluate on, unless it is told not to.
        for split, of_split in (("train", "train"), ("val", "eval"), ("test", "eval")):
            transforms[f"{split}_filenames"] = [path for name in names[of_split] if (path := f"images/{name}") in id_of]
    (scene / TRANSFORMS_NAME).write_text(json.dumps(transforms, indent=4))
    in_order = [name for split in names.values() for name in split]
    return {
        "photographs": len(in_order),
        "without_camera": [name for name in in_order if f"images/{name}" not in id_of],
        "points": len(capture.points),
    }


def _without_camera(made: Mapping[str, Any], *, every_pair: bool) -> str:
    names = made["without_camera"]
    hint = "" if every_pair else "; --matching-method exhaustive compares every pair of photographs and may find more"
    verb = "has" if len(names) == 1 else "have"
    return (
        f"{len(names)} of {made['photographs']} photographs {verb} no camera, as they overlap too little with the "
        f"others: {listed(names)}; their files are in images/, transforms.json does not name them{hint}"
    )
