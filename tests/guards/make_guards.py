"""Makes the golden archives, their decoded pixels and the figures of `test_guards.py` anew, all or some of them:

    python tests/guards/make_guards.py [WAY ..]

To be run when the bitstream, the weights or the encoder's decisions have changed on purpose, and only then: it prints
what every figure was before, so that a change for the worse is seen and defended.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from PIL import Image  # noqa: E402
from ways_of_coding import (  # noqa: E402
    FIGURES,
    GOLDEN,
    WAYS,
    coded_bytes,
    compress_views,
    decoded_views,
    write_views,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"all when not given: {', '.join(WAYS)}")
    chosen = parser.parse_args().ways or list(WAYS)
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for way in chosen:
            capture = write_views(Path(folder) / way, way)
            archive = Path(folder) / f"{way}.mvc"
            report = compress_views(capture, archive, way)
            Image.fromarray(decoded_views(archive)).save(GOLDEN / f"{way}.png", optimize=True)
            (GOLDEN / f"{way}.mvc").write_bytes(archive.read_bytes())
            before = figures.get(way, "new")
            figures[way] = {"bytes": coded_bytes(report), "psnr_db": round(report.psnr_db, 3)}
            print(f"{way}: {figures[way]}, before: {before}")
    lines = [f"  {json.dumps(way)}: {json.dumps(figures[way])}" for way in WAYS if way in figures]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
