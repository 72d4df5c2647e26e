"""What decoding together is worth to the photographs of a folder: by size of group, by coarse match, beside AVIF.

    python tools/parahydra_ablation.py --photographs FOLDER .. --qualities 3 5 7 --stills
    python tools/parahydra_ablation.py --photographs FOLDER .. --qualities 3 5 --views 6 --groups 1 2 3 4 6
    python tools/parahydra_ablation.py --photographs FOLDER .. --qualities 3 5 --views 6 --groups 4 --matches OPAM HPA

Every photograph is coded once a quality, as in an archive; strings do not say what they were grouped with, so the same
bytes are decoded in groups of any size. Prints Markdown. dB are means over the photographs, and so is what comes
beside: bytes at equal PSNR, along the line of log bytes over PSNR between the qualities that were asked for.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from nerfstudio_mvc.benchmarking.libaom_peer import LibaomPeer
from nerfstudio_mvc.benchmarking.rate_curve import RateCurve
from nerfstudio_mvc.capture.grouping import split_into_groups
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.codecs.parahydra.coarse_match import MATCHES
from nerfstudio_mvc.codecs.parahydra.joint_decoding import JointDecoder
from nerfstudio_mvc.codecs.parahydra.stills import Still, encode_still
from nerfstudio_mvc.pipeline.options import DEFAULT_GROUP_SIZE
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.video.speeds import SPEEDS

HEADER = ("folder", "quality", "coarse match", "views a group", "bpp", "apart", "together", "worst view", "bits")


def coded_alone(photographs: Sequence[np.ndarray], quality: float, effort: str) -> tuple[dict[int, Still], int]:
    """What is shown of each by itself, and the bytes of all."""
    stills, payload = {}, 0
    for position, pixels in enumerate(photographs):
        strings, stills[position] = encode_still(pixels, quality=quality, effort=effort)
        payload += sum(len(string.payload) for string in strings)
    return stills, payload


def decoded_together(joint: JointDecoder, size: int) -> list[np.ndarray]:
    """The views in groups of about `size`."""
    shown = []
    for group in split_into_groups(range(len(joint.stills)), size):
        # What is found about a pair hangs on nothing but the pair.
        decoder = replace(joint, stills={position: joint.stills[position] for position in group})
        shown.extend(decoder.shown(position).merged.pixels for position in group)
    return shown


def bytes_at(psnr: float, curve: Sequence[tuple[float, int]]) -> float:
    """Of points (dB, bytes), rising: on the line between the two nearest ones."""
    (low, few), (high, many) = next((pair for pair in pairwise(curve) if psnr < pair[1][0]), curve[-2:])
    return few * (many / few) ** ((psnr - low) / (high - low))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photographs", type=Path, nargs="+", required=True, help="folders, in the order of their names"
    )
    parser.add_argument("--qualities", type=float, nargs="+", required=True, help="two or more, rising")
    parser.add_argument("--effort", default="fast", choices=list(SPEEDS))
    parser.add_argument("--views", type=int, help="only the first")
    parser.add_argument("--groups", type=int, nargs="+", default=[DEFAULT_GROUP_SIZE])
    parser.add_argument("--matches", nargs="*", default=[], choices=list(MATCHES), help="beside the decoder's own")
    parser.add_argument("--stills", action="store_true", help="also AVIF stills, by the same libaom at the same speed")
    chosen = parser.parse_args()
    header = (*HEADER, "against AVIF") if chosen.stills else HEADER
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for folder in chosen.photographs:
        photographs = [read_image(path).pixels for path in sorted(folder.iterdir())[: chosen.views]]
        pixels = sum(photograph[..., 0].size for photograph in photographs)
        alone = [coded_alone(photographs, quality, chosen.effort) for quality in chosen.qualities]
        apart = [
            [psnr_db(*pair) for pair in zip(photographs, (one.pixels for one in stills.values()), strict=True)]
            for stills, _ in alone
        ]
        curve = [(float(np.mean(each)), payload) for each, (_, payload) in zip(apart, alone, strict=True)]
        peer = RateCurve(LibaomPeer("intra", SPEEDS[chosen.effort].still), photographs)
        for (stills, payload), each, quality in zip(alone, apart, chosen.qualities, strict=True):
            for name in ("best key", *chosen.matches):
                joint = JointDecoder(stills, MATCHES[name])
                for size in chosen.groups:
                    shown = decoded_together(joint, size)
                    gains = np.array([psnr_db(*pair) for pair in zip(photographs, shown, strict=True)]) - each
                    reached = float(np.mean(each) + gains.mean())
                    cells = [folder.parent.name, f"{quality:g}", name, str(size), f"{8 * payload / pixels:.3f}"]
                    cells += [f"{np.mean(each):.2f}", f"{gains.mean():+.3f}", f"{gains.min():+.3f}"]
                    cells.append(_percent(payload, bytes_at(reached, curve)))
                    if chosen.stills:
                        cells.append(_percent(payload, peer.at_psnr(reached).bytes))
                    print(f"| {' | '.join(cells)} |", flush=True)


def _percent(payload: int, other: float | None) -> str:
    return f"{100 * (payload / (other or math.nan) - 1):+.1f} %"


if __name__ == "__main__":
    main()
