"""A finished archive with more parameters in its manifest: what is only known once the file is there.

Every other entry is copied as it is; what the parameters mean is the caller's business.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.container import CHUNK_BYTES, new_entry
from nerfstudio_mvc.archive.manifest import decode_manifest, encode_manifest
from nerfstudio_mvc.archive.work_folder import writing


def copy_with_parameters(source: Path, target: Path, parameters: Mapping[str, Any]) -> None:
    """Write the archive `source` to `target`, `parameters` (JSON values) joined to those of its manifest.

    Raises:
        OutputError: `target` cannot be written, or the disk is full.
    """
    with (
        zipfile.ZipFile(source) as old,
        writing(target, needed_bytes=source.stat().st_size),
        zipfile.ZipFile(target, "w") as new,
    ):
        manifest = decode_manifest(old.read(layout.MANIFEST_ENTRY), what=str(source))
        manifest = replace(manifest, parameters={**manifest.parameters, **parameters})
        entry = new_entry(layout.MANIFEST_ENTRY, packed=True)
        new.writestr(entry, encode_manifest(manifest), compresslevel=9)
        for info in old.infolist():
            if info.filename != layout.MANIFEST_ENTRY:
                entry = new_entry(info.filename, packed=info.compress_type != zipfile.ZIP_STORED)
                entry.file_size = info.file_size  # zipfile then knows whether it needs Zip64
                with old.open(info) as content, new.open(entry, "w") as copy:
                    shutil.copyfileobj(content, copy, CHUNK_BYTES)
