"""What has been released stays for ever: files may come to the list of `released.sha256`, none may change or go."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import nerfstudio_mvc
from nerfstudio_mvc.archive.layout import FORMAT_VERSION

ROOT = Path(__file__).parent.parent
LINES = [line.split() for line in (ROOT / "tests/released.sha256").read_text().splitlines()]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_every_weights_file_and_golden_archive_is_what_was_released():
    there = [
        *(ROOT / "nerfstudio_mvc/weights").glob("*.safetensors"),
        *(ROOT / "nerfstudio_mvc/codecs").rglob("*weights.json"),
        *(ROOT / "nerfstudio_mvc/codecs").rglob("*.safetensors"),
        *(ROOT / "tests/archive/golden").glob("*.mvc"),
    ]
    assert {path.relative_to(ROOT).as_posix() for path in there} == {name for _, name in LINES}
    for digest, name in LINES:
        assert sha256((ROOT / name).read_bytes()).hexdigest() == digest, (
            f"{name} is another file than archives were written with: give the new one its own name. Only while the "
            "changelog calls its version unreleased may its line in tests/released.sha256 change"
        )


def test_versions_agree():
    version, newest = re.search(r"^## (\S+)(.*?)(?=^## |\Z)", CHANGELOG, re.MULTILINE | re.DOTALL).groups()
    assert version == nerfstudio_mvc.__version__
    assert f"ormat version {FORMAT_VERSION}" in newest
