"""Learning curves survive being written, read, continued and plotted."""

from __future__ import annotations

import importlib.util
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from nerfstudio_mvc.cli.training_view import numbers_of
from nerfstudio_mvc.training.learning_curve import CURVE_COLUMNS, CurveFile, Progress, read_curve

TOOL = Path(__file__).parent.parent.parent / "tools" / "plot_learning_curve.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("plot_learning_curve", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lines_are_appended_and_read(tmp_path: Path) -> None:
    path = tmp_path / "learning_curve.csv"
    for step in (100, 200):  # two runs: one header
        with CurveFile(path) as curve:
            curve.add(Progress(step, 1.5, 2.0, 1.0, 0.5, mse=65.025, learning_rate=4e-4))
    assert path.read_text().splitlines()[0] == ",".join(CURVE_COLUMNS)
    first, second = read_curve(path)
    assert (first.step, second.step) == (100, 200)
    assert first.psnr_db == pytest.approx(30)
    assert path.read_text().splitlines()[1].endswith(",65.025,0.0004,30")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no learning curve"):
        read_curve(path)


def test_unknown_values_stay_unknown(tmp_path: Path) -> None:
    path = tmp_path / "learning_curve.csv"
    with CurveFile(path) as curve:
        curve.add(Progress(1, 1.0, 2.0, 1.0, 0.5))
    (line,) = read_curve(path)
    assert math.isnan(line.mse)
    assert math.isnan(line.psnr_db)
    assert numbers_of(line) == "loss 2.0000, estimated bpp 1.000 alone, 0.500 predicted"
    assert numbers_of(replace(line, bpp_single=math.nan, bpp_predicted=math.nan, mse=1.0)) == "loss 2.0000, 48.13 dB"


def test_text_logs_become_one_curve(tool, tmp_path: Path, monkeypatch, capsys) -> None:
    line = "Progress(step={}, elapsed_s=9.5, loss={}, bpp_single=1.1, bpp_predicted=0.8) 98\n"
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.write_text("243 warped\n" + "".join(line.format(step, 2.0) for step in (100, 200, 300)))
    second.write_text("".join(line.format(step, 1.5) for step in (250, 350)))  # started from a checkpoint at 200
    curve, picture = tmp_path / "curve.csv", tmp_path / "curve.svg"
    words = ["tool", "--log", first, second, "--curve", curve, "--plot", picture]
    for _ in range(2):  # a second time changes nothing
        monkeypatch.setattr("sys.argv", [str(word) for word in words])
        tool.main()
        assert [(line.step, line.loss) for line in read_curve(curve)] == [(100, 2), (200, 2), (250, 1.5), (350, 1.5)]
    assert "4 lines, steps 100 to 350" in capsys.readouterr().out
    root = ElementTree.fromstring(picture.read_text())
    assert len([node for node in root.iter() if node.tag.endswith("polyline")]) == 3
