"""What is installed: the commands are on PATH, and the wheel's data is where the code looks for it."""

from __future__ import annotations

import subprocess
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest

import nerfstudio_mvc

COMMANDS = (
    "ns-mvc-archive",
    "ns-mvc-compress",
    "ns-mvc-decompress",
    "ns-mvc-depth",
    "ns-mvc-encode-view",
    "ns-mvc-eval",
    "ns-mvc-info",
    "ns-mvc-process-data",
    "ns-mvc-train",
    "ns-mvc-verify",
)


def installed():
    """The installed distribution; not the metadata that a build may have left in the project's root."""
    found = list(distributions(name="nerfstudio_mvc", path=[sysconfig.get_path("purelib")]))
    if not found:
        pytest.skip("nerfstudio_mvc is not installed here (make env)")
    return found[0]


def test_entry_points_load() -> None:
    scripts = {script.name: script for script in installed().entry_points if script.group == "console_scripts"}
    assert set(scripts) == set(COMMANDS)
    for script in scripts.values():
        assert callable(script.load())


def test_metadata_has_the_version_of_the_code() -> None:
    assert installed().version == nerfstudio_mvc.__version__


@pytest.mark.parametrize("command", COMMANDS)
def test_command_refuses_an_unknown_flag_with_exit_code_2(command: str) -> None:
    installed()
    executable = Path(sysconfig.get_path("scripts")) / command
    run = subprocess.run([executable, "--no-such-flag"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stdout == ""


def test_every_public_name_resolves() -> None:
    for name in nerfstudio_mvc.__all__:
        assert getattr(nerfstudio_mvc, name)


def test_package_data_is_beside_the_code() -> None:
    package = Path(nerfstudio_mvc.__file__).parent
    assert (package / "archive" / "FORMAT.md").is_file()
    assert list((package / "weights").glob("*.safetensors")), "no trained weights in nerfstudio_mvc/weights"
