"""`--help`, info and verify answer without torch: it alone takes seconds to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "numba", "scipy", "pycolmap", "compressai", "nerfstudio", "rich")
COMMANDS = sorted(
    path.stem for path in (ROOT / "nerfstudio_mvc" / "cli").glob("*.py") if "\ndef main()" in path.read_text()
)


def heavy_modules_after(module: str, arguments: list[str]) -> tuple[int, set[str]]:
    """Run a command's `main` in a fresh interpreter; its exit code, and which heavy modules it left in sys.modules."""
    program = (
        f"import sys; sys.argv = ['ns-mvc', *{arguments!r}]\n"
        f"from nerfstudio_mvc.cli.{module} import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n"
        f"    print('HEAVY', stop.code, *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    _, code, *modules = run.stdout.strip().splitlines()[-1].split()
    return int(code), set(modules)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    assert heavy_modules_after(command, ["--help"]) == (0, set())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nerfstudio_mvc import compress_capture

    folder = tmp_path_factory.mktemp("cold")
    compress_capture(write_nerfstudio_capture(folder / "capture"), folder / "a.mvc", codec=RawCodec(), depth="none")
    return folder / "a.mvc"


@pytest.mark.parametrize("command", ["info", "verify"])
def test_reading_an_archive_imports_nothing_heavy(archive: Path, command: str) -> None:
    assert heavy_modules_after(command, ["--archive", str(archive)]) == (0, set())


def test_encoding_a_view_imports_nothing_heavy(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "olive").save(tmp_path / "a.png")
    arguments = ["--image", str(tmp_path / "a.png"), "--output", str(tmp_path / "a.mvcv")]
    assert heavy_modules_after("encode_view", arguments) == (0, set())


@pytest.mark.parametrize("coding", [["--quality", "lossless"], ["--codec", "av1"]])
def test_codecs_without_networks_load_no_torch(tmp_path: Path, coding: list[str]) -> None:
    capture, archive = write_nerfstudio_capture(tmp_path / "capture"), tmp_path / "a.mvc"
    compress = ["--data", str(capture), "--output", str(archive), *coding]
    restore = ["--archive", str(archive), "--output-dir", str(tmp_path / "out")]
    for command, arguments in (("compress", compress), ("decompress", restore)):
        code, modules = heavy_modules_after(command, arguments)
        assert code == 0
        assert "torch" not in modules


def test_package_imports_nothing() -> None:
    program = "import sys, nerfstudio_mvc; print(len(nerfstudio_mvc.__version__) > 0, 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split() == ["True", "False"]
