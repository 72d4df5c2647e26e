"""Cameras for photographs that have none: runs `mapping` in a process of its own and judges what comes back.

Which files are photographs is the caller's business; nothing is written beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from colmap_io.errors import MappingError
from colmap_io.mapping_job import MappingJob, MappingSettings
from colmap_io.model_folder import read_model
from colmap_io.records import Model

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); the stages are "features", "matches" and "cameras"."""


def estimate_cameras(
    folder: Path,
    names: Sequence[str],
    *,
    sizes: Sequence[tuple[int, int]],
    num_threads: int = -1,
    on_progress: Progress | None = None,
    settings: MappingSettings | None = None,
    scratch: Path | None = None,
) -> Model:
    """Estimate one camera per image size, and a pose for every photograph that can be placed.

    Args:
        folder: where the photographs lie.
        names: their POSIX paths below `folder`, in order of capture: JPEG, PNG or BMP files.
        sizes: (width, height) of each, in pixels.
        num_threads: -1 for all processors; the answer repeats exactly only with 1.
        on_progress: see `Progress`.
        settings: the defaults of `MappingSettings` when None.
        scratch: a folder to leave features, matches and the model in: a later call with the same photographs and
            settings goes on from there.

    Returns:
        The model with most photographs, in an arbitrary world; images are called as in `names`. Those that could not be
        placed are not in it, which may be all.

    Raises:
        MappingError: pycolmap is not installed or fails.
    """
    if find_spec("pycolmap") is None:
        raise MappingError("estimating cameras needs pycolmap: pip install pycolmap")
    if len(names) < 2:
        return Model(cameras=(), images=())
    with tempfile.TemporaryDirectory(prefix="camera-estimation-") as temporary:
        place = scratch or Path(temporary)
        best = place / "best"
        if not best.is_dir():
            job = MappingJob(
                folder=str(folder.absolute()),
                names=list(names),
                sizes=list(sizes),
                scratch=str(place.absolute()),
                num_threads=num_threads,
                settings=settings or MappingSettings(),
            )
            try:
                _run(job, Path(temporary) / "messages.txt", on_progress or (lambda stage, done, total: None))
            except MappingError as error:
                raise MappingError(f"{folder}: {error}") from None
        return read_model(best) if best.is_dir() else Model(cameras=(), images=())


def _run(job: MappingJob, messages: Path, report: Progress) -> None:
    """Run `mapping` on `job`, passing on its progress.

    Raises:
        MappingError: it failed, or ended without an answer.
    """
    package_parent = str(Path(__file__).parent.parent)
    paths = [package_parent, *filter(None, [os.environ.get("PYTHONPATH")])]
    failure: str | None = "pycolmap ended without an answer"
    with (
        messages.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "colmap_io.mapping"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # Left open: the program ends where this one does.
            process.stdin.write(job.to_json() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                match _answer(line):
                    case ["progress", str(stage), int(done), int(total)]:
                        report(stage, done, total)
                    case ["failed", str(reason)]:
                        failure = f"pycolmap failed: {reason}"
                    case ["done"]:
                        failure = None
        except BrokenPipeError:
            pass  # it ended before it read the job; what it said is reported below
        except BaseException:
            process.kill()  # Ctrl-C above all: minutes of work nobody waits for
            raise
    if failure is not None:
        said = messages.read_text("utf-8", "replace").strip().splitlines()
        raise MappingError(f"{failure} (exit code {process.returncode}){': ' + said[-1][:200] if said else ''}")


def _answer(line: bytes) -> object:
    """A line of the program's output as JSON; None for what a library printed."""
    try:
        return json.loads(line)
    except ValueError:
        return None
