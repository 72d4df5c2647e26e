"""Many captures on a Dask cluster: the bytes of single runs, whatever happens to workers and captures meanwhile."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_captures import tree, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.capture.views import PRIOR_FOLDER
from nerfstudio_mvc.cli.verify import Verify
from nerfstudio_mvc.cluster.archive_captures import CaptureOutcome, CaptureStep, archive_captures
from nerfstudio_mvc.cluster.capture_jobs import jobs_of_folder
from nerfstudio_mvc.cluster.check_archives import check_archives
from nerfstudio_mvc.cluster.connection import cluster_client
from nerfstudio_mvc.cluster.tasks import check, code, finish, prepare
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.splatting.left_prior import RECORD_NAME

distributed = pytest.importorskip("distributed")
ROOT = Path(__file__).parents[2]
OPTIONS = CompressOptions(codec="av1", group_size=3, effort="fast", device="cpu")


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with cluster_client(None, workers=2) as connected:
        yield connected


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """Three captures, one a floor below the others, and one that is broken."""
    for name, views in (("a", 6), ("b", 7), ("more/c", 6)):
        write_nerfstudio_capture(tmp_path / "in" / name, views=views)
    broken = write_nerfstudio_capture(tmp_path / "in" / "broken", views=3)
    (broken / "images" / "frame_00002.png").write_bytes(b"no picture")
    return tmp_path / "in"


def outcomes_of(client, data: Path, output_dir: Path, options: CompressOptions = OPTIONS) -> dict[str, CaptureOutcome]:
    events = archive_captures(client, jobs_of_folder(data, output_dir), options)
    outcomes = [event for event in events if isinstance(event, CaptureOutcome)]
    return {outcome.job.data.relative_to(data).as_posix(): outcome for outcome in outcomes}


def check_bytes(data: Path, output_dir: Path, names: tuple[str, ...]) -> None:
    for name in names:
        alone = output_dir.parent / "alone.mvc"
        compress_capture(data / name, alone, OPTIONS, force=True)
        assert (output_dir / f"{name}.mvc").read_bytes() == alone.read_bytes(), name


def test_all_captures_but_the_broken_one_and_then_only_what_has_changed(client, captures: Path, tmp_path: Path) -> None:
    source, out = tree(captures), tmp_path / "out"
    outcomes = outcomes_of(client, captures, out)
    assert set(outcomes) == {"a", "b", "more/c", "broken"}
    assert "frame_00002.png" in outcomes["broken"].problem
    assert "\n" not in outcomes["broken"].problem
    assert [name for name, outcome in outcomes.items() if outcome.problem] == ["broken"]
    assert outcomes["b"].report.views == 7
    assert outcomes["b"].report.psnr_db > 20
    check_bytes(captures, out, ("a", "b", "more/c"))
    assert tree(captures) == source
    archives = {"a.mvc", "b.mvc", "more/c.mvc"}
    assert {name for name in tree(out) if not name.rpartition("/")[2].startswith(".")} == archives

    (captures / "b" / "masks" / "notes.txt").write_text("new")
    (captures / "broken" / "images" / "frame_00002.png").write_bytes(
        (captures / "a" / "images" / "frame_00002.png").read_bytes()
    )
    before = (out / "a.mvc").stat().st_mtime_ns
    again = outcomes_of(client, captures, out)
    assert {name for name, outcome in again.items() if outcome.problem is outcome.report is None} == {"a", "more/c"}
    assert (out / "a.mvc").stat().st_mtime_ns == before
    assert again["broken"].report is not None
    assert "--force" in again["b"].problem
    assert outcomes_of(client, captures / "b", tmp_path / "other")["."].report is not None
    forced = outcomes_of(client, captures, out, CompressOptions(**{**vars(OPTIONS), "force": True}))
    assert [name for name, outcome in forced.items() if outcome.report] == ["b"]
    check_bytes(captures, out, ("b",))


def test_a_worker_killed_in_the_middle_is_survived(client, captures: Path, tmp_path: Path) -> None:
    out, killed = tmp_path / "out", []
    problems = []
    for event in archive_captures(client, jobs_of_folder(captures, out), OPTIONS):
        if isinstance(event, CaptureStep) and not killed:
            killed += list(client.run(os.getpid).values())[:1]
            os.kill(killed[0], signal.SIGKILL)
        elif isinstance(event, CaptureOutcome) and event.problem:
            problems.append(event.job.data.name)
    assert problems == ["broken"]
    assert killed[0] not in client.run(os.getpid).values()
    check_bytes(captures, out, ("a", "b", "more/c"))


def test_workers_of_their_own_through_an_address(captures: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    contact, out = tmp_path / "scheduler.json", tmp_path / "out"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(contact), "--nthreads", "1"]
    here = {"env": environment, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [
        subprocess.Popen([*dask, "--port", "0", "--no-dashboard", "--scheduler-file", str(contact)], **here),
        *(subprocess.Popen([*worker, "--no-nanny", "--no-dashboard"], **here) for _ in range(2)),
    ]
    try:
        deadline = time.monotonic() + 120
        while not contact.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        address = json.loads(contact.read_text())["address"]
        program = "from nerfstudio_mvc.cli.archive_captures import main; main()"
        flags = ["--data", captures, "--output-dir", out, "--scheduler", address, "--codec", "av1", "--group-size", "3"]
        run = subprocess.run(
            [sys.executable, "-c", program, *map(str, flags), "--effort", "fast", "--device", "cpu"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert run.returncode == 1, run.stderr
    failed = [line for line in run.stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 1
    assert "broken" in failed[0]
    check_bytes(captures, out, ("a", "b", "more/c"))


def test_a_depth_prior_that_cannot_be_used_is_named_in_the_report(captures: Path, tmp_path: Path) -> None:
    capture, archive = captures / "a", tmp_path / "a.mvc"
    (capture / PRIOR_FOLDER).mkdir()
    (capture / PRIOR_FOLDER / RECORD_NAME).write_bytes(b"damaged")
    options = CompressOptions(codec="lmvic", group_size=6, effort="fast", device="cpu")
    prepared = prepare(capture, archive, options)
    groups = [code(task) for task in prepared.groups]
    (line,) = finish(capture, archive, options, prepared, groups).warnings
    assert RECORD_NAME in line


def test_what_passes_through_a_scheduler_loads_no_torch(captures: Path, tmp_path: Path) -> None:
    prepared = prepare(captures / "a", tmp_path / "a.mvc", OPTIONS)
    sent = tmp_path / "sent.pickle"
    sent.write_bytes(pickle.dumps((prepare, code, finish, check, OPTIONS, prepared)))
    assert sent.stat().st_size < 20_000
    program = f"import pickle, sys; pickle.load(open({str(sent)!r}, 'rb')); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_archives_of_a_folder_are_checked_together(captures: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    for name in ("a", "b"):
        compress_capture(captures / name, out / f"{name}.mvc", OPTIONS)
    (out / "none.mvc").write_bytes(b"no archive")
    damaged = bytearray((out / "b.mvc").read_bytes())
    damaged[damaged.index(b"MVCG") + 400] ^= 1
    (out / "b.mvc").write_bytes(damaged)
    assert Verify(data=out, jobs=2).run() == 1
    together = capsys.readouterr().out
    assert "1 of 3 archives as written, 2 damaged" in together
    monkeypatch.setattr("nerfstudio_mvc.cluster.check_archives.has_dask", lambda: False)
    assert Verify(data=out).run() == 1
    assert capsys.readouterr().out == together
    (only,) = check_archives([out / "a.mvc"], scheduler=None, jobs=None, decode=True, device="cpu")
    assert only.problems == ()


def test_a_capture_is_not_looked_into_and_archives_do_not_go_into_one(tmp_path: Path) -> None:
    data = tmp_path / "in"
    capture = write_nerfstudio_capture(data / "one")
    write_nerfstudio_capture(capture / "older")
    write_nerfstudio_capture(data / ".one.x.mvc-partial")
    write_nerfstudio_capture(data / "out" / "restored")
    bare = data / "deep" / "bare"
    bare.mkdir(parents=True)
    (data / "cover.png").write_bytes((capture / "images" / "frame_00001.png").read_bytes())
    (bare / "x.png").write_bytes((capture / "images" / "frame_00001.png").read_bytes())
    (data / "circle").symlink_to(data)
    jobs = jobs_of_folder(data, data / "out")
    assert [job.data.relative_to(data).as_posix() for job in jobs] == ["deep/bare", "one"]
    assert [job.archive for job in jobs] == [data / "out" / "deep" / "bare.mvc", data / "out" / "one.mvc"]
    with pytest.raises(CaptureError, match="lies in the capture"):
        jobs_of_folder(data, capture / "archives")


def finish_whose_answer_is_lost(*arguments) -> None:
    """As after a worker that died with it: the task is done again, and finds the archive in the place of its folder."""
    finish(*arguments)
    code(arguments[3].groups[0])


def test_a_finished_capture_whose_answer_died_with_its_worker_is_done(
    client, captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nerfstudio_mvc.cluster.archive_captures.finish", finish_whose_answer_is_lost)
    outcomes = outcomes_of(client, captures / "more", tmp_path / "out")
    assert {name: outcome.problem for name, outcome in outcomes.items()} == {"c": None}
    assert (tmp_path / "out" / "c.mvc").exists()
