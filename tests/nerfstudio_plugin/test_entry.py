"""nerfstudio loads what the plugin's entry points name at every start: a failure of ours must not be one of its own."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from nerfstudio_mvc import nerfstudio_plugin

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


@pytest.mark.parametrize("part", ["dataparser", "method"])
def test_a_part_that_fails_is_left_out_in_a_line(monkeypatch, capsys, part: str) -> None:
    monkeypatch.setitem(sys.modules, f"nerfstudio_mvc.nerfstudio_plugin.{part}_entry", None)  # import fails
    assert getattr(nerfstudio_plugin, f"{part}_specification") is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nerfstudio_mvc" in said


def test_entry_points_name_what_is_guarded() -> None:
    tomllib = pytest.importorskip("tomllib")
    points = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]
    for named in (
        points["nerfstudio.dataparser_configs"]["nerfstudio-mvc-data"],
        points["nerfstudio.method_configs"]["mvc-splatfacto"],
    ):
        module, attribute = named.split(":")
        assert module == nerfstudio_plugin.__name__
        # Not the name of a submodule, which would take its place once imported.
        assert find_spec(f"{module}.{attribute}") is None
    with pytest.raises(AttributeError):
        nerfstudio_plugin.nothing  # noqa: B018


@pytest.mark.skipif(find_spec("nerfstudio") is None, reason="nerfstudio is not installed")
def test_numpy_scalars_are_allowed(tmp_path: Path) -> None:
    import numpy as np
    import torch

    assert nerfstudio_plugin.dataparser_specification is not None
    torch.save({"lr": np.float64(0.5), "step": np.int64(3)}, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt") == {"lr": 0.5, "step": 3}
