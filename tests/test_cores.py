"""Cores and memory of a container are those it may use, not the machine's."""

import psutil
import pytest

from nerfstudio_mvc import cores
from nerfstudio_mvc.pipeline import free_memory as memory


@pytest.mark.parametrize(("limit", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", None)])
def test_cores_of_a_container(tmp_path, monkeypatch, limit, expected):
    monkeypatch.setattr(cores, "CPU_LIMIT", tmp_path / "none")
    machine = cores.available_cores()
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(cores, "CPU_LIMIT", tmp_path / "cpu.max")
    assert cores.available_cores() == min(expected or machine, machine)


def test_memory_of_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    machine = memory.free_memory()
    assert 0 < machine <= psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("1000000")
    (tmp_path / "memory.current").write_text("700000")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 200000\n")
    assert memory.free_memory() == 500_000
    (tmp_path / "memory.max").write_text("max")
    assert memory.free_memory() > 500_000
