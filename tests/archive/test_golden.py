"""Archives written by earlier versions read as they did; `make_golden.py` adds one."""

import json

import pytest
from make_golden import GOLDEN, content_hash

from nerfstudio_mvc.archive.integrity import verify
from nerfstudio_mvc.archive.layout import FORMAT_VERSION

ARCHIVES = sorted(GOLDEN.glob("*.mvc"))


def test_there_is_one_of_this_version():
    assert [path for path in ARCHIVES if path.name.startswith(f"v{FORMAT_VERSION}_")]


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_reads_as_it_did(path):
    assert verify(path).ok
    assert content_hash(path) == json.loads(path.with_suffix(".json").read_text())["content"]
