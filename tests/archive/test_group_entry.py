"""A group's bytes: what went in comes out, and damage is found where it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_archive import make_group, pixel_checks

from nerfstudio_mvc.archive.byte_fields import varint
from nerfstudio_mvc.archive.group_entry import PREFIX, cut_strings, decode_header, encode_group
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError

substreams = st.lists(st.builds(Substream, st.text(max_size=6), st.binary(max_size=20)), max_size=4).map(tuple)
view_lists = st.lists(st.integers(0, 1000), unique=True, max_size=4).flatmap(
    lambda idxs: st.tuples(*(st.builds(CodedView, st.just(idx), substreams) for idx in idxs))
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), view_lists)
def test_round_trip(group_idx, views):
    group = CodedGroup(group_idx, views)
    checks = {view.view_idx: (view.view_idx * 7919) & 0xFFFFFFFF for view in views}
    data = encode_group(group, pixel_checks=checks)
    header = decode_header(data, what="t")
    assert cut_strings(data, header) == (group, ())
    assert {view.view_idx: view.pixel_check for view in header.views} == checks
    assert header.header_bytes + header.payload_bytes == len(data)


def test_damaged_string_costs_its_view_and_no_other():
    group = make_group(0, (4, 2, 9))
    data = bytearray(encode_group(group, pixel_checks=pixel_checks(group)))
    header = decode_header(bytes(data), what="t")
    data[header.header_bytes + group.views[0].payload_bytes + 6] ^= 1
    intact, (damage,) = cut_strings(bytes(data), header)
    assert intact.views == (group.views[0], CodedView(2, ()), group.views[2])
    assert (damage.view_position, damage.name) == (1, "image/y/step0")


def test_every_cut_and_flip_of_the_header_is_refused():
    group = make_group(0, (1, 0))
    data = encode_group(group, pixel_checks=pixel_checks(group))
    length = decode_header(data, what="t").header_bytes
    for cut in range(length):
        with pytest.raises(ArchiveError):
            decode_header(data[:cut], what="t")
    for position in range(length):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            with pytest.raises(ArchiveError):
                decode_header(bytes(damaged), what="t")


@pytest.mark.parametrize("fields", [varint(0) + varint(2**40), varint(0) + varint(0) + varint(2**40), b"\xff" * 30])
def test_claims_without_bytes_are_refused(fields):
    from zlib import crc32

    with pytest.raises(ArchiveError):
        decode_header(PREFIX.pack(b"MVCG\x01", len(fields), crc32(fields)) + fields, what="t")
