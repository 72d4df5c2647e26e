"""Tables and JSON on stdout: aligned, escaped where a terminal would obey, readable by programs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.cli.console import format_fingerprint, print_json, print_table


@dataclass(frozen=True)
class Numbers:
    path: Path
    psnr_db: float


def test_columns_line_up(capsys) -> None:
    print_table([("a", "1.5", "x"), ("写真.jpg", "12.25", "y")], header=("name", "dB", ""), right=(1,))
    assert capsys.readouterr().out == "name         dB\na           1.5  x\n写真.jpg  12.25  y\n"


def test_names_cannot_command_the_terminal(capsys) -> None:
    print_table([("left out", "evil\x1b[2J\nname"), ("lost", "caf\udce9.jpg")])
    assert capsys.readouterr().out == "left out  evil\\x1b[2J\\nname\nlost      caf\\udce9.jpg\n"


def test_json_has_no_infinity(capsys) -> None:
    print_json({"first": Numbers(Path("ü/a.mvc"), float("inf")), "all": (1, float("nan"))})
    assert json.loads(capsys.readouterr().out) == {"first": {"path": "ü/a.mvc", "psnr_db": None}, "all": [1, None]}


def test_a_terminal_without_the_letters_shows_them_escaped(tmp_path: Path) -> None:
    program = (
        "from nerfstudio_mvc.cli import main, console\n"
        "class Say:\n    def run(self):\n"
        "        console.print_table([('写真 caf\\udce9',)]); console.print_json('写真'); return 0\n"
        "import tyro; tyro.cli = lambda *a, **k: Say()\n"
        "main.run_command(Say, 'say')\n"
    )
    run = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONIOENCODING": "latin-1"},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.decode("latin-1").splitlines() == ["\\u5199\\u771f caf\\udce9", '"\\u5199\\u771f"']


def test_codecs_without_weights_name_their_profile() -> None:
    assert format_fingerprint("5b1e0777") == "weights 5b1e07"
    assert format_fingerprint("") == "weights -"
    assert format_fingerprint("av1-444-10bit-1") == "profile av1-444-10bit-1"
