"""FORMAT.md and the code say the same names, numbers and limits."""

import re
from pathlib import Path

from nerfstudio_mvc.archive import colmap_packing, layout, packing, planes, ply_packing
from nerfstudio_mvc.archive import manifest as manifest_module
from nerfstudio_mvc.archive.manifest import encode_manifest

DOCUMENT = (Path(layout.__file__).parent / "FORMAT.md").read_text()


def test_entries_and_magic_numbers():
    for name in (layout.MANIFEST_ENTRY, layout.CAMERAS_ENTRY, layout.ATTACHMENTS_ENTRY, layout.group_entry(0)):
        assert f"`{name}`" in DOCUMENT
    assert f"`{layout.large_file_entry(0)}`" in DOCUMENT
    for magic in (layout.CAMERAS_MAGIC, layout.GROUP_MAGIC, layout.PACK_MAGIC):
        assert f"`{magic.hex(' ').upper()}`" in DOCUMENT
    assert f"format version {layout.FORMAT_VERSION}" in DOCUMENT


def test_manifest_fields():
    manifest = manifest_module.Manifest(1, "w", "c", "f", 1.0, {}, "k", (), (), (), "lean", 0, 0, (), ())
    for field in re.findall(r'"(\w+)":', encode_manifest(manifest).decode()):
        assert f"`{field}`" in DOCUMENT


def test_limits():
    assert f"at most {layout.MAX_MANIFEST_BYTES >> 20} MiB" in DOCUMENT
    assert f"at most {layout.MAX_PLANE_BYTES >> 20} MiB" in DOCUMENT
    assert f"files in them to {layout.MAX_PACK_BYTES >> 20} MiB" in DOCUMENT
    assert f"of {layout.LARGE_FILE_BYTES >> 20} MiB or more" in DOCUMENT
    assert f"{layout.MAX_VIEWS:_} views".replace("_", " ") in DOCUMENT
    assert f"{layout.MAX_ATTACHMENT_FILES:_} attached files".replace("_", " ") in DOCUMENT
    assert f"{layout.MAX_SUBSTREAMS_PER_VIEW})" in DOCUMENT
    assert f"{layout.MAX_NAME_BYTES} bytes at most" in DOCUMENT


def test_methods_recipes_and_planes():
    assert f"| {planes.LZMA2} + 5 lc + pb |" in DOCUMENT
    for module, prefix in ((packing, "RECIPE_"), (packing, "KIND_")):
        for name, number in vars(module).items():
            if name.startswith(prefix):
                assert re.search(rf"^\| {number} ", DOCUMENT, re.MULTILINE), name
    for module in (packing, colmap_packing, ply_packing):
        for name, number in vars(module).items():
            if name.startswith("PLANE_"):
                assert re.search(rf"\b{number}\b", DOCUMENT), name
