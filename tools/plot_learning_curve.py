"""Learning curves as a picture: python tools/plot_learning_curve.py --log RUN.log --curve CURVE.csv --plot CURVE.svg

Text logs with lines `Progress(step=..., ...)` become rows of the CSV file (`--log`, one or more, in the order they were
trained; repeated and superseded steps are left out), and the CSV file becomes a plot (`--plot`).
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from pathlib import Path

from nerfstudio_mvc.benchmarking.report_style import COLOURS
from nerfstudio_mvc.benchmarking.svg_charts import Series, line_chart
from nerfstudio_mvc.training.learning_curve import CURVE_COLUMNS, Progress, curve_row, read_curve

LINE = re.compile(r"Progress\(([^)]*)\)")
SMOOTHED_OVER = 9  # lines; each is the mean of a hundred steps of any quality, and that is still restless


def lines_of_log(text: str) -> list[Progress]:
    """The lines of a text log, in its order."""
    found = []
    for match in LINE.finditer(text):
        values = dict(part.split("=") for part in match[1].split(", "))
        numbers = {name: float(value) for name, value in values.items()}
        found.append(Progress(step=int(numbers.pop("step")), **numbers))
    return found


def continued(lines: list[Progress], more: list[Progress]) -> list[Progress]:
    """`lines` up to where `more` begins, then `more`: a run that goes back supersedes what followed."""
    for line in more:
        while lines and lines[-1].step >= line.step:
            lines.pop()
        lines.append(line)
    return lines


def smoothed(values: list[float]) -> list[float]:
    """The mean over `SMOOTHED_OVER` neighbours, fewer at the ends."""
    half = SMOOTHED_OVER // 2
    windows = (values[max(0, index - half) : index + half + 1] for index in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def plot(lines: list[Progress]) -> str:
    """Loss and estimated rates over steps, as an SVG document."""
    series = []
    for index, (name, title) in enumerate(
        (("loss", "loss"), ("bpp_single", "estimated bpp alone"), ("bpp_predicted", "estimated bpp predicted"))
    ):
        known = [(line.step, getattr(line, name)) for line in lines if not math.isnan(getattr(line, name))]
        values = smoothed([value for _, value in known])
        points = zip((float(step) for step, _ in known), values, strict=True)
        series.append(Series(title, f"s{index}", tuple(points)))
    chart = line_chart(series, x_label="steps", y_label="mean over the qualities")
    style = "".join(f".s{index}{{--colour:{colour}}}" for index, colour in enumerate(COLOURS[: len(series)]))
    style += (
        "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.line{fill:none;stroke:var(--colour);stroke-width:2}"
        ".mark{display:none}.key{fill:var(--colour)}"
    )
    keys = "".join(
        f'<text class="key s{index}" x="390" y="{30 + 16 * index}">{line.name}</text>'
        for index, line in enumerate(series)
    )
    opening, rest = chart.split(">", 1)
    opening = opening.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    return f"{opening}><style>{style}</style>{background}{rest.removesuffix('</svg>')}{keys}</svg>\n"


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curve", type=Path, required=True, help="the CSV file; --log adds to it")
    parser.add_argument("--log", type=Path, nargs="*", default=[], help="text logs, in the order they were trained")
    parser.add_argument("--plot", type=Path, help="the SVG file to write")
    arguments = parser.parse_args()
    lines = read_curve(arguments.curve) if arguments.curve.exists() else []
    for log in arguments.log:
        lines = continued(lines, lines_of_log(log.read_text(encoding="utf-8", errors="replace")))
    if arguments.log:
        with arguments.curve.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, CURVE_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(curve_row(line) for line in lines)
    if arguments.plot:
        arguments.plot.write_text(plot(lines), encoding="utf-8", newline="\n")
    print(f"{len(lines)} lines" + (f", steps {lines[0].step} to {lines[-1].step}" if lines else ""))


if __name__ == "__main__":
    main()
