"""From a capture to numbers and files: what is counted, what is compared, what the command prints."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.benchmarking.capture_benchmark import CaptureBenchmark
from nerfstudio_mvc.benchmarking.peers import make_peers
from nerfstudio_mvc.benchmarking.result_files import (
    CSV_NAME,
    CURVES_NAME,
    JSON_NAME,
    MARKDOWN_NAME,
    check_output_dir,
    write_results,
)
from nerfstudio_mvc.cli import eval as eval_command
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.coded import Substream
from nerfstudio_mvc.errors import MvcError, OutputError
from nerfstudio_mvc.pipeline.options import CompressOptions


class CoarseCodec(RawCodec):
    """Keeps `quality` - 1 bits per sample, so that there is a curve."""

    def encode_group(self, group_idx, views, *, quality, on_view=None, on_step=None):
        lost = 9 - round(quality)
        coarse = [replace(view, pixels=view.pixels >> lost << lost | 1 << (lost - 1)) for view in views]
        return super().encode_group(group_idx, coarse, quality=quality, on_view=on_view)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nerfstudio_capture(tmp_path_factory.mktemp("capture") / "garden", views=3)


@pytest.fixture
def benchmark(capture: Path) -> CaptureBenchmark:
    peers = make_peers(["jpeg", "webp"])
    return CaptureBenchmark(capture, peers=peers, options=CompressOptions(codec=RawCodec(), depth="none"))


def test_an_archive_is_compared_at_its_own_psnr(benchmark: CaptureBenchmark, capture: Path, tmp_path: Path) -> None:
    report = compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    result = benchmark.measure_archive(tmp_path / "a.mvc")
    assert result.coded_bytes == report.file_bytes - report.attachment_bytes
    assert result.attachment_bytes == report.attachment_bytes > 0
    assert result.bpp == report.bpp
    assert result.psnr_db == pytest.approx(report.psnr_db)
    assert (result.archive, result.views, result.encode_s) == ("a.mvc", 3, None)
    jpeg = result.peers["jpeg"]
    assert jpeg.bpp == pytest.approx(8 * jpeg.bytes / result.pixels)
    assert jpeg.saving_percent == pytest.approx(100 * (1 - result.coded_bytes / jpeg.bytes))


def test_an_archive_made_here_leaves_nothing_and_has_seconds(benchmark: CaptureBenchmark, capture: Path) -> None:
    before = sorted(capture.rglob("*"))
    steps = []
    result = benchmark.measure_quality(4, on_event=lambda event: steps.append(getattr(event, "step", "")))
    assert result.archive == ""
    assert result.quality == 4
    assert result.encode_s > 0
    assert result.encode_mp_per_s == pytest.approx(result.pixels / 1e6 / result.encode_s)
    assert sorted(capture.rglob("*")) == before
    assert any(step.startswith("jpeg at setting") for step in steps)


def test_other_views_are_refused(benchmark: CaptureBenchmark, tmp_path: Path) -> None:
    benchmark.measure_quality(4)
    other = write_nerfstudio_capture(tmp_path / "other", views=2)
    compress_capture(other, tmp_path / "b.mvc", codec=RawCodec(), depth="none")
    with pytest.raises(MvcError, match="other views"):
        benchmark.measure_archive(tmp_path / "b.mvc")


def test_bd_rate_needs_three_archives_that_form_a_curve(capture: Path) -> None:
    def bd_rate_after(*qualities: float):
        options = CompressOptions(codec=CoarseCodec(), depth="none")
        benchmark = CaptureBenchmark(capture, peers=make_peers(["jpeg"]), options=options)
        for quality in qualities:
            benchmark.measure_quality(quality)
        return benchmark.result()

    assert bd_rate_after(3, 4).bd_rates == ()
    (flat,) = bd_rate_after(4, 4, 4).bd_rates
    assert (flat.tested, flat.baseline, flat.psnr_percent) == ("raw", "jpeg", None)
    result = bd_rate_after(3, 4, 5)
    more = [-archive.peers["jpeg"].saving_percent for archive in result.archives]
    # An average lies among the single differences; the curve of JPEG bends a little between its points.
    assert min(more) - 5 <= result.bd_rates[0].psnr_percent <= max(more) + 5


def test_codecs_of_ours_are_compared_with_each_other(capture: Path) -> None:
    class Twice(CoarseCodec):
        name = "twice"

        def encode_group(self, group_idx, views, *, quality, on_view=None, on_step=None):
            group = super().encode_group(group_idx, views, quality=quality, on_view=on_view)
            views = [
                replace(view, substreams=(*view.substreams, Substream("image/again", view.substreams[0].payload)))
                for view in group.coded.views
            ]
            return replace(group, coded=replace(group.coded, views=tuple(views)))

    benchmark = CaptureBenchmark(capture, peers=(), options=CompressOptions(codec=CoarseCodec(), depth="none"))
    for codec in (CoarseCodec(), Twice()):
        for quality in (3, 4, 5):
            benchmark.measure_quality(quality, codec=codec)
    (rate,) = benchmark.result().bd_rates
    assert (rate.tested, rate.baseline) == ("twice", "raw")
    assert 20 < rate.psnr_percent < 100
    assert rate.ms_ssim_percent is None


def test_every_view_has_its_bytes_and_psnr(benchmark: CaptureBenchmark) -> None:
    result = benchmark.measure_quality(4)
    assert [view.name for view in result.view_results] == [f"images/frame_{index:05d}.png" for index in (1, 2, 3)]
    assert np.mean([view.psnr_db for view in result.view_results]) == pytest.approx(result.psnr_db)
    assert 0 < sum(view.bytes for view in result.view_results) < result.coded_bytes


def test_peers_get_the_photographs_in_the_order_they_want(capture: Path) -> None:
    (jpeg,) = make_peers(["jpeg"])
    seen = {}

    class Watching:
        def __init__(self, order: str) -> None:
            self.order = self.name = order

        def __getattr__(self, name: str):
            return getattr(jpeg, name)

        def encode(self, photographs, setting):
            photographs = list(photographs)
            seen[self.order] = [int(pixels.sum()) for pixels in photographs]
            return jpeg.encode(photographs, setting)

    # Cameras on a line that are named out of order: greedy from the first one is 1, 3, 2.
    shuffled = json.loads((capture / "transforms.json").read_text())
    poses = [frame["transform_matrix"] for frame in shuffled["frames"]]
    assert len(poses) == 3
    folder = capture.parent / "shuffled"
    shutil.copytree(capture, folder)
    for frame, pose in zip(shuffled["frames"], (poses[0], poses[2], poses[1]), strict=True):
        frame["transform_matrix"] = pose
    (folder / "transforms.json").write_text(json.dumps(shuffled))
    benchmark = CaptureBenchmark(
        folder, peers=(Watching("file"), Watching("coding")), options=CompressOptions(codec=RawCodec(), depth="none")
    )
    benchmark.measure_quality(4)
    first, second, third = seen["file"]
    assert seen["coding"] == [first, third, second]


def test_results_as_files(benchmark: CaptureBenchmark, tmp_path: Path) -> None:
    result = benchmark.measure_quality(4)
    check_output_dir(tmp_path / "results", force=False)
    write_results(tmp_path / "results", [benchmark.result()], {"depth": "none"})
    rows = list(csv.DictReader((tmp_path / "results" / CSV_NAME).open(newline="")))
    reached = [name for name, peer in result.peers.items() if peer.bytes is not None]
    assert [row["codec"] for row in rows] == ["raw", *reached]
    assert int(rows[0]["bytes"]) == result.coded_bytes
    assert rows[0]["ms_ssim"] == ""  # 48x32 is too small for five scales
    document = json.loads((tmp_path / "results" / JSON_NAME).read_text())
    assert document["settings"] == {"depth": "none"}
    assert document["captures"][0]["archives"][0]["bpp"] == result.bpp
    heading, rule, line = (tmp_path / "results" / MARKDOWN_NAME).read_text().splitlines()
    assert heading.count("|") == rule.count("|") == line.count("|")
    assert line.startswith(f"| garden | raw | 3 | 4 | {result.bpp:.3f} | {result.psnr_db:.2f} | - |")
    jpeg_cell = heading.split(" | ").index("bytes against jpeg")
    assert line.split(" | ")[jpeg_cell] == f"{100 * (result.coded_bytes / result.peers['jpeg'].bytes - 1):+.0f} %"
    points = list(csv.DictReader((tmp_path / "results" / CURVES_NAME).open(newline="")))
    assert [row["codec"] for row in points].count("raw") == 1
    assert {row["codec"] for row in points} == {"raw", "jpeg", "webp"}
    assert len(list((tmp_path / "results").iterdir())) == 4
    with pytest.raises(OutputError, match="--force"):
        check_output_dir(tmp_path / "results", force=False)
    check_output_dir(tmp_path / "results", force=True)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_results(tmp_path / "file", [benchmark.result()], {})


@pytest.fixture
def run_eval(monkeypatch: pytest.MonkeyPatch):
    """The command, with a codec that needs no weights."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("nerfstudio_mvc.pipeline.compress.open_codec", lambda *_, **__: RawCodec())
    monkeypatch.setattr("nerfstudio_mvc.pipeline.open_archive.open_codec", lambda *_, **__: RawCodec())

    def run(*argv: object) -> int:
        with pytest.raises(SystemExit) as stop:
            run_command(eval_command.Eval, "ns-mvc-eval", [str(word) for word in argv])
        return stop.value.code

    yield run
    signal.signal(signal.SIGTERM, handler)


def test_command_prints_tables(run_eval, capture: Path, tmp_path: Path, capsys) -> None:
    common = ("--data", capture, "--depth", "none", "--peers", "jpeg", "--output-dir", tmp_path / "results")
    assert run_eval(*common, "--qualities", 3, 5) == 0
    out = capsys.readouterr().out
    assert "quality 3" in out
    assert "quality 5" in out
    assert "same mean PSNR" in out
    assert "jpeg: JPEG 4:4:4" in out
    assert run_eval(*common, "--qualities", 3) == 1
    assert "--force" in capsys.readouterr().err


def test_command_prints_json_of_a_finished_archive_alone(run_eval, capture: Path, tmp_path: Path, capsys) -> None:
    archive = tmp_path / "a.mvc"
    compress_capture(capture, archive, codec=RawCodec(), depth="none")
    assert run_eval("--data", capture, "--archive", archive, "--peers", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (measured,) = document["captures"]
    assert measured["capture"] == "garden"
    assert [result["archive"] for result in measured["archives"]] == ["a.mvc"]
    assert measured["archives"][0]["peers"] == {}
    assert np.isfinite(measured["archives"][0]["psnr_db"])


def test_a_second_run_finds_the_peers_measured(run_eval, capture: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    common = ("--data", capture, "--depth", "none", "--qualities", 4, "--peers", "jpeg", "--json")
    assert run_eval(*common, "--peer-points", tmp_path / "points.json") == 0
    first = json.loads(capsys.readouterr().out)["captures"][0]["archives"][0]["peers"]
    monkeypatch.setattr("nerfstudio_mvc.benchmarking.peers.StillPeer.encode", None)
    assert run_eval(*common, "--peer-points", tmp_path / "points.json") == 0
    assert json.loads(capsys.readouterr().out)["captures"][0]["archives"][0]["peers"] == first


def test_command_writes_a_page_that_needs_nothing_else(run_eval, capture: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.html"
    common = ("--data", capture, "--depth", "none", "--peers", "jpeg", "--report", page, "--qualities", 3, 4, 5)
    assert run_eval(*common) == 0
    text = page.read_text(encoding="utf-8")
    assert "garden" in text
    assert text.count("data:image/png;base64,") == 2 * 3  # two views: original, ours, jpeg
    assert "BD-rate" in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert run_eval(*common) == 1
    assert "--force" in capsys.readouterr().err


def test_a_peer_this_machine_lacks_is_left_out_in_one_line(run_eval, capture: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("nerfstudio_mvc.benchmarking.video_peers.ffmpeg_encoders", lambda: frozenset({"libx265"}))
    assert run_eval("--data", capture, "--depth", "none", "--qualities", 4, "--peers", "vvc", "--json") == 0
    output = capsys.readouterr()
    assert output.err.startswith("vvc is left out: this ffmpeg has no libvvenc")
    assert json.loads(output.out)["settings"]["peers"] == {}


def test_command_refuses_what_makes_no_sense(run_eval, capture: Path, tmp_path: Path, capsys) -> None:
    assert run_eval("--data", capture, "--qualities", 9) == 2
    assert run_eval("--data", capture, capture, "--archive", tmp_path / "a.mvc") == 2
    assert run_eval("--data", capture, "--archive", tmp_path / "missing.mvc") == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
