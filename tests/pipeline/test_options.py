"""Options: checked once, told to the codec, kept in the manifest."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from raw_codec import RawCodec
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.errors import OptionError
from nerfstudio_mvc.pipeline.options import (
    DEFAULT_QUALITY,
    LOSSLESS,
    NAMED_QUALITIES,
    CompressOptions,
    QualityName,
)

NOT_IN_THE_STRINGS = {"colmap_model", "device", "jobs", "resume", "force"}
ELSEWHERE_IN_THE_MANIFEST = {"codec", "quality", "weights"}


def test_every_option_that_shapes_the_strings_is_kept_in_the_manifest() -> None:
    targets = {"target_bpp": 1.0, "target_psnr_db": 30.0, "target_size_bytes": 1e6}
    kept = [CompressOptions(**{name: value}).parameters() for name, value in targets.items()]
    assert [own["target_" + kind] for own, kind in zip(kept, ("bpp", "psnr", "size"), strict=True)] == [1.0, 30.0, 1e6]
    named = {field.name for field in fields(CompressOptions)}
    assert named - NOT_IN_THE_STRINGS - ELSEWHERE_IN_THE_MANIFEST - set(targets) <= set(kept[0])


def test_fields_by_name_replace_those_of_the_options(tmp_path: Path) -> None:
    capture, archive = write_nerfstudio_capture(tmp_path / "capture", views=4), tmp_path / "a.mvc"
    options = CompressOptions(codec=RawCodec(), quality=2, depth="none", order="file")
    compress_capture(capture, archive, options, quality=7, group_size=2)
    with ArchiveReader(archive) as reader:
        assert reader.manifest.quality == 7
        assert [len(group) for group in reader.manifest.groups] == [2, 2]
        assert reader.manifest.parameters["order"] == "file"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quality": 8.5}, r"quality 8.5 is out of range"),
        ({"quality": float("nan")}, r"quality nan is out of range"),
        ({"target_psnr_db": 0}, r"target_psnr_db 0 is out of range"),
        ({"effort": "slow"}, r'effort "slow" is unknown: give one of fast, default, high'),
        ({"codec": "av1", "pictures": "learned"}, r"pictures learned goes with codec lmvic"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read(wrong: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        compress_capture("nowhere", "nowhere.mvc", **wrong)


def test_a_quality_may_say_what_for() -> None:
    assert 1 < CompressOptions(quality="train").given_quality < DEFAULT_QUALITY
    assert DEFAULT_QUALITY < CompressOptions(codec="av1", quality="keep").given_quality < 8
    assert {*NAMED_QUALITIES, LOSSLESS} == set(get_args(QualityName))
    with pytest.raises(OptionError, match="give a number from 1 to 8, or train, keep, lossless"):
        CompressOptions(quality="best")


def test_a_quality_is_assumed_only_without_a_target() -> None:
    assert CompressOptions().given_quality == DEFAULT_QUALITY
    assert CompressOptions(target_bpp=1.0).given_quality is None
    assert CompressOptions(codec="auto").codec_name == "lmvic"
