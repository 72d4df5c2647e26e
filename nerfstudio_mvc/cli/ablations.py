"""python -m nerfstudio_mvc.cli.ablations: what each part of LMVIC is worth, one switch at a time."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.cli.console import print_json, print_table
from nerfstudio_mvc.cli.main import UsageError, run_command
from nerfstudio_mvc.effort import Effort

MODULE = "python -m nerfstudio_mvc.cli.ablations"


@dataclass(frozen=True)
class Ablations:
    """Code the first views of captures with one switch of LMVIC moved at a time; bits at equal PSNR.

    Depth is that of the sparse points. A variant at one quality, three views of .6 to .8 megapixels, takes a core about
    half a minute.
    """

    data: tuple[Path, ...]
    """Captures to measure."""
    views: int = 4
    """Views of each that are coded, one group."""
    qualities: tuple[float, ...] = (3.0, 5.0)
    """Two or more."""
    variants: tuple[str, ...] = ()
    """Only these, by name; all when none is given."""
    effort: Effort = "fast"
    """How long AV1 may think about each of the many codings."""
    workers: int = 2
    """Processes of one thread each."""
    weights: Path | None = None
    """A weights file instead of the one that ships."""
    by_network: bool = False
    """Let the network code all pictures, of every variant."""
    retrained: tuple[str, ...] = ()
    """VARIANT=FILE: that variant once more, with weights that ns-mvc-train --ablation has trained to do without."""
    output: Path | None = None
    """A Markdown file whose measured part is replaced."""
    json: bool = False
    """Print the points as JSON."""

    def run(self) -> int:
        """Do it."""
        if not self.data:
            raise UsageError("--data names no capture: give one folder or more")
        if self.views < 2:
            raise UsageError(f"--views {self.views}: give 2 or more")
        if len(set(self.qualities)) < 2 or not all(1 <= quality <= 8 for quality in self.qualities):
            raise UsageError("--qualities takes two or more different ones between 1 and 8")
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: give 1 or more")
        # torch arrives only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.ablation_files import change_table, point_table, write_ablations
        from nerfstudio_mvc.benchmarking.ablations import (
            BASELINE,
            VARIANTS,
            AblationSettings,
            measure_ablations,
            weights_fingerprint,
        )

        retrained = tuple(_pair(word) for word in self.retrained)
        unknown = {*self.variants, *(variant for variant, _ in retrained)} - set(VARIANTS)
        if unknown:
            raise UsageError(f"there is no variant {sorted(unknown)[0]!r}; there are {', '.join(VARIANTS)}")
        variants = tuple(dict.fromkeys((BASELINE, *self.variants))) if self.variants else tuple(VARIANTS)
        settings = AblationSettings(
            qualities=self.qualities,
            views=self.views,
            weights=self.weights,
            retrained=retrained,
            by_network=self.by_network,
            effort=self.effort,
        )
        points = []
        for point in measure_ablations(self.data, variants, settings, workers=self.workers):
            points.append(point)
            print(
                f"{point.capture}, {point.variant}, quality {point.quality:g}: {point.bpp:.4f} bpp, "
                f"{point.psnr_db:.2f} dB",
                file=sys.stderr,
                flush=True,
            )
        if self.output is not None:
            write_ablations(self.output, points, command=_command(), fingerprint=weights_fingerprint(settings))
        if self.json:
            print_json(points)
        else:
            for header, rows in (point_table(points), change_table(points)):
                print_table(rows, header=header, right=range(1, len(header)))
                print()
        return 0


def _pair(word: str) -> tuple[str, Path]:
    variant, equals, weights = word.partition("=")
    if not equals or not weights:
        raise UsageError(f"--retrained {word}: give VARIANT=FILE")
    return variant, Path(weights)


def _command() -> str:
    """What was asked for, with names of captures instead of where they lie."""
    words = [f"DIR/{Path(word).name}" if Path(word).is_dir() else word for word in sys.argv[1:]]
    return " ".join([MODULE, *words])


def main() -> None:
    """Run as a module: a developers' measurement, not a command that is installed."""
    run_command(Ablations, MODULE)


if __name__ == "__main__":
    main()
