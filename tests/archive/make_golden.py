"""Adds a golden archive: one of the present format, kept for ever. It never overwrites one.

    python tests/archive/make_golden.py v2_container
    python tests/archive/make_golden.py v2_lmvic_q3 --archive small.mvc

Without --archive a made-up capture with random strings is written: it pins the container, the cameras and the packing
of attachments. With --archive a finished archive is taken over, such as `ns-mvc-compress` makes of a tiny capture. What
is read back is kept beside it as a hash; `test_golden.py` reads both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from small_archive import colmap_model, make_views, write_archive

from nerfstudio_mvc.archive.reader import ArchiveReader

GOLDEN = Path(__file__).parent / "golden"


def content_hash(path: Path) -> str:
    """SHA-256 over everything an archive gives back but decoded pixels."""
    digest = sha256()
    with ArchiveReader(path) as reader:
        for view in reader.views():
            camera = view.camera
            digest.update(repr((view.name, view.width, view.height, camera.model, camera.params)).encode())
            digest.update(view.cam_from_world.astype("<f8").tobytes())
        for group_idx in range(len(reader.manifest.groups)):
            digest.update(repr((reader.read_group(group_idx), reader.pixel_checks(group_idx))).encode())
        for name, data in reader.read_attachments():
            digest.update(name.encode() + sha256(data).digest())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--archive", type=Path)
    arguments = parser.parse_args()
    target, hashes = GOLDEN / f"{arguments.name}.mvc", GOLDEN / f"{arguments.name}.json"
    if target.exists() or hashes.exists():
        sys.exit(f"{target} exists: a golden archive is never replaced, choose another name")
    GOLDEN.mkdir(exist_ok=True)
    if arguments.archive is not None:
        shutil.copyfile(arguments.archive, target)
    else:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            views = make_views(root, 5)
            colmap_model(root / "colmap/sparse/0", points=30)
            (root / "transforms.json").write_text('{"frames": []}')
            write_archive(target, root, views, [[2, 0, 4], [1, 3]])
    hashes.write_text(json.dumps({"content": content_hash(target)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
