"""Bytes of photographs' files beside the strings of their pictures: they come back, and damage is an error."""

import random

import pytest
from small_archive import make_group

from nerfstudio_mvc.archive.carried_strings import packed_size, with_carried, without_carried
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError

NOISE = random.Random(1).randbytes(2000)
CARRIED = {2: CarriedBytes(b"temperatures " * 400, NOISE), 0: CarriedBytes(b"", NOISE), 5: CarriedBytes()}


def test_they_come_back_and_codecs_do_not_see_them():
    group = make_group(0, (2, 0, 5, 1))
    stored = with_carried(group, CARRIED)
    assert stored.payload_bytes == group.payload_bytes + sum(map(packed_size, CARRIED.values()))
    assert without_carried(stored) == (group, {view_idx: CARRIED[view_idx] for view_idx in (2, 0)})
    assert with_carried(group, {}) == group


def test_they_are_packed_where_that_is_smaller():
    assert packed_size(CarriedBytes(b"temperatures " * 400)) < 300
    assert packed_size(CarriedBytes(NOISE)) == 2000 + 4
    assert packed_size(CarriedBytes()) == 0


def test_damage_is_an_archive_error():
    stored = with_carried(make_group(0, (2,)), CARRIED)
    payload = stored.views[0].substreams[-1].payload
    for damaged in (b"", b"\7" + payload[1:], payload[:-200], payload[:1] + b"\xff" * 9, payload[:40] + bytes(9)):
        group = CodedGroup(0, (CodedView(2, (Substream("file", damaged),)),))
        with pytest.raises(ArchiveError):
            without_carried(group)
