"""Training straight from a file: nerfstudio's commands find the dataparser, and it gives them what the folder gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from small_captures import write_sample_corner

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.video.libaom import has_libaom

PARSER_PACKAGES = Path(sys.prefix) / "nerfstudio-parser"  # tools/make_env.sh puts them there
ENTRY = "nerfstudio-mvc-data=nerfstudio_mvc.nerfstudio_plugin.dataparser_entry:specification"

pytestmark = [
    pytest.mark.nerfstudio,
    pytest.mark.skipif(
        find_spec("nerfstudio") is None and not PARSER_PACKAGES.is_dir(), reason="nerfstudio is not installed"
    ),
    pytest.mark.skipif(not has_libaom(), reason="there is no libaom"),
]

PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.plugins.registry_dataparser import discover_dataparsers

configs, descriptions = discover_dataparsers()
ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("nerfstudio_mvc", "colmap_io"))
archive, folder, cache = (Path(word) for word in sys.argv[1:])
own = replace(configs["nerfstudio-mvc-data"], data=archive, mvc_cache=cache, eval_mode="all", load_3D_points=False)
parser = own.setup()
plain = NerfstudioDataParserConfig(data=folder, eval_mode="all").setup()
outputs, expected = (found.get_dataparser_outputs("train") for found in (parser, plain))
print(json.dumps({
    "ours": ours,
    "description": descriptions["nerfstudio-mvc-data"],
    "data": str(parser.config.data),
    "images": [path.name for path in outputs.image_filenames],
    "expected": [path.name for path in expected.image_filenames],
    "missing": [path.name for path in outputs.image_filenames if not path.is_file()],
    "same": outputs.cameras.camera_to_worlds.equal(expected.cameras.camera_to_worlds)
    and outputs.cameras.fx.equal(expected.cameras.fx)
    and outputs.dataparser_scale == expected.dataparser_scale,
}))
"""


def test_nerfstudio_reads_a_file_as_it_reads_the_restored_folder(tmp_path: Path) -> None:
    capture = write_sample_corner(tmp_path / "capture", width=96, height=64)
    archive, folder = tmp_path / "a.mvc", tmp_path / "folder"
    compress_capture(capture, archive, codec="av1", effort="fast", quality=3)
    decompress_archive(archive, folder, image_format="png")
    environment = {**os.environ, "NERFSTUDIO_DATAPARSER_CONFIGS": ENTRY}
    if find_spec("nerfstudio") is None:
        environment["PYTHONPATH"] = str(PARSER_PACKAGES)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, archive, folder, tmp_path / "cache"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.strip().splitlines()[-1])
    assert found["images"] == found["expected"]
    assert len(found["images"]) == 8
    assert not found["missing"]
    assert found["same"]
    assert found["data"] == str(archive)  # what config.yml will say
    # Every ns-train loads the entry, whatever it trains from.
    plugin = "nerfstudio_mvc.nerfstudio_plugin"
    assert set(found["ours"]) <= {
        "nerfstudio_mvc",
        "nerfstudio_mvc.errors",
        plugin,
        f"{plugin}.dataparser",
        f"{plugin}.dataparser_entry",
    }
