"""Archives written by earlier versions read as they did; `make_golden.py` adds one."""

import json

import pytest
from make_golden import GOLDEN, content_hash

from nerfstudio_mvc.archive.integrity import verify
from nerfstudio_mvc.archive.layout import FORMAT_VERSION
from nerfstudio_mvc.pipeline.decode_check import check_decoding

ARCHIVES = sorted(GOLDEN.glob("*.mvc"))


def test_there_is_one_of_this_version():
    assert [path for path in ARCHIVES if path.name.startswith(f"v{FORMAT_VERSION}_")]


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_reads_as_it_did(path):
    assert verify(path).ok
    assert content_hash(path) == json.loads(path.with_suffix(".json").read_text())["content"]


@pytest.mark.parametrize(
    "path", [path for path in ARCHIVES if "container" not in path.stem], ids=lambda path: path.stem
)
def test_decodes_to_what_its_encoder_saw(path):
    """But for a level where this machine rounds otherwise, which is no loss."""
    assert check_decoding(path, device="cpu").lost == ()
