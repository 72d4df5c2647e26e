"""What decoding together is worth to the views of archives of codec parahydra: by size of group, and by coarse match.

    ns-mvc-compress --data CAPTURE --output A.mvc --codec parahydra --effort fast --quality 5
    python tools/parahydra_ablation.py --capture CAPTURE --archive A.mvc --matches OPAM HPA

Strings do not say what they were grouped with: the same bytes are decoded in groups of any size. Where a size does not
divide the views, the last group begins earlier and counts with its last ones. Prints Markdown: dB over separate
decoding.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import no_cameras
from nerfstudio_mvc.codecs.parahydra.coarse_match import MATCHES
from nerfstudio_mvc.codecs.parahydra.joint_decoding import JointDecoder
from nerfstudio_mvc.codecs.parahydra.stills import Still, decode_still
from nerfstudio_mvc.quality.psnr import psnr_db


def read_stills(
    archive: Path, photographs: dict[str, Path], views: int
) -> tuple[dict[int, Still], list[np.ndarray], float]:
    """The first views in coding order decoded apart, their photographs, and bits per pixel."""
    stills, originals, payload = {}, [], 0
    with ArchiveReader(archive) as reader:
        known = {view.view_idx: view for view in reader.views()}
        coded = [view for group in range(len(reader.manifest.groups)) for view in reader.read_group(group).views][
            :views
        ]
        for position, one in enumerate(coded):
            view = known[one.view_idx]
            stills[position] = decode_still(one.substreams, (view.height, view.width))
            originals.append(read_image(photographs[view.name]).pixels)
            payload += one.payload_bytes
    return stills, originals, 8 * payload / sum(still.pixels[..., 0].size for still in stills.values())


def gains(joint: JointDecoder, originals: list[np.ndarray], size: int) -> np.ndarray:
    """dB that each view gains in groups of `size`."""
    count, found = len(originals), []
    for start in range(0, count, size):
        first = max(min(start, count - size), 0)
        # What is found about a pair hangs on nothing but the pair.
        group = replace(joint, stills={k: joint.stills[k] for k in range(first, min(first + size, count))})
        for k in range(start, min(start + size, count)):
            alone, together = joint.stills[k].pixels, group.shown(k).merged.pixels
            found.append(psnr_db(originals[k], together) - psnr_db(originals[k], alone))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capture", type=Path, required=True)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--views", type=int, default=6, help="the first in coding order")
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 2, 3, 4, 6])
    parser.add_argument("--matches", nargs="*", default=[], choices=list(MATCHES), help="beside the decoder's own")
    parser.add_argument("--match-group", type=int, default=4, help="size of the groups that --matches are tried on")
    chosen = parser.parse_args()
    photographs = {
        view.name: view.image_path for view in load_capture(chosen.capture, estimate_cameras=no_cameras).views
    }
    stills, originals, bpp = read_stills(chosen.archive, photographs, chosen.views)
    alone = np.mean([psnr_db(original, stills[k].pixels) for k, original in enumerate(originals)])
    print(f"{chosen.archive.name}: {len(stills)} views, {bpp:.3f} bpp, {alone:.2f} dB apart\n")
    print("| coarse match | views a group | mean | worst view | each |\n|---|---|---|---|---|")
    runs = {"best key": chosen.groups, **{name: [chosen.match_group] for name in chosen.matches}}
    for name, sizes in runs.items():
        joint = JointDecoder(stills, MATCHES[name])
        for size in sizes:
            each = gains(joint, originals, size)
            listed = " ".join(f"{gain:+.2f}" for gain in each)
            print(f"| {name} | {size} | {each.mean():+.3f} | {each.min():+.3f} | {listed} |", flush=True)


if __name__ == "__main__":
    main()
