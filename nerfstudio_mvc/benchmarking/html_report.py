"""The results as one page that needs nothing beside it: curves, tables, bars per view, crops side by side.

What the numbers mean is said by `capture_benchmark`; charts and pictures are made by `svg_charts` and `side_by_side`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from nerfstudio_mvc.benchmarking.capture_benchmark import ArchiveResult, CaptureResult
from nerfstudio_mvc.benchmarking.curves import CurvePoint, ms_ssim_db
from nerfstudio_mvc.benchmarking.report_style import SCRIPT, SERIES_CLASSES, STYLE
from nerfstudio_mvc.benchmarking.side_by_side import Rendition, ViewCrops
from nerfstudio_mvc.benchmarking.splat_table import HEADER, splat_rows
from nerfstudio_mvc.benchmarking.svg_charts import Series, bar_chart, line_chart
from nerfstudio_mvc.benchmarking.text_files import replace_file
from nerfstudio_mvc.errors import OutputError


@dataclass(frozen=True)
class ReportedCapture:
    """A capture on the page; `crops` None where no pictures were kept."""

    result: CaptureResult
    crops: ViewCrops | None


def check_report(path: Path, *, force: bool) -> None:
    """Raise OutputError where `write_report` would replace a page, unless `force`; before the hours of measuring."""
    if path.exists() and not force:
        raise OutputError(f"{path} exists already: name another --report, or replace it with --force")


def write_report(path: Path, captures: Sequence[ReportedCapture], peers: Mapping[str, str]) -> None:
    """Write the page.

    Args:
        path: of the HTML file; replaced.
        captures: what was measured.
        peers: name -> description.

    Raises:
        OutputError: it cannot be written.
    """
    classes = _series_classes(captures)
    sections = "".join(_capture_section(capture, classes) for capture in captures)
    contents = "".join(
        f'<a href="#{_anchor(capture.result.capture)}">{escape(capture.result.capture)}</a>' for capture in captures
    )
    names = "".join(f"<dt>{_swatch(name, classes)}</dt><dd>{escape(text)}</dd>" for name, text in peers.items())
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Rate and quality of multi-view archives</title><style>{STYLE}</style></head><body>"
        "<header><h1>Rate and quality</h1><p>Real bytes of whole archives without their attached files; PSNR and "
        "MS-SSIM on 8-bit RGB after decoding, means over the views.</p>"
        f"<nav>{contents}</nav></header><main>{sections}"
        f'<section><h2>The others</h2><dl class="peers">{names}</dl></section></main>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )
    replace_file(path, page)


def _capture_section(capture: ReportedCapture, classes: Mapping[str, str]) -> str:
    result = capture.result
    curves = {**result.own_curves(), **result.peer_curves}
    first = result.archives[0]
    parts = [
        f'<section id="{_anchor(result.capture)}"><h2>{escape(result.capture)}</h2>',
        f"<p>{first.views} views, {first.pixels / 1e6:.1f} million pixels.</p>",
        f'<p class="legend">{"".join(_swatch(name, classes) for name in curves)}</p>',
        '<div class="charts">',
        _figure("PSNR over rate", _psnr_chart(curves, classes)),
        _figure("MS-SSIM over rate", _ms_ssim_chart(curves, classes)),
        "</div>",
        _bd_table(result, classes),
        _archive_table(result.archives, classes),
        _splat_table(result),
    ]
    if capture.crops is not None:
        parts += [_crops(capture.crops, classes), _view_bars(result, capture.crops, classes)]
    return "".join(parts) + "</section>"


def _psnr_chart(curves: Mapping[str, Sequence[CurvePoint]], classes: Mapping[str, str]) -> str:
    lines = [
        Series(name, classes[name], tuple((p.bpp, p.psnr_db) for p in points if np.isfinite(p.psnr_db)))
        for name, points in curves.items()
    ]
    return line_chart(lines, x_label="bits per pixel", y_label="PSNR, dB")


def _ms_ssim_chart(curves: Mapping[str, Sequence[CurvePoint]], classes: Mapping[str, str]) -> str:
    lines = [
        Series(
            name,
            classes[name],
            tuple((p.bpp, ms_ssim_db(p.ms_ssim)) for p in points if p.ms_ssim is not None and p.ms_ssim < 1),
        )
        for name, points in curves.items()
    ]
    return line_chart(lines, x_label="bits per pixel", y_label="MS-SSIM, dB: -10 log10(1 - MS-SSIM)")


def _bd_table(result: CaptureResult, classes: Mapping[str, str]) -> str:
    if not result.bd_rates:
        return '<p class="note">BD-rates need three archives of a codec or more.</p>'
    rows = "".join(
        f"<tr><td>{_swatch(rate.tested, classes)}</td><td>{_swatch(rate.baseline, classes)}</td>"
        f"{_percent_cell(rate.psnr_percent)}{_percent_cell(rate.ms_ssim_percent)}</tr>"
        for rate in result.bd_rates
    )
    return (
        "<h3>BD-rate</h3><p>How many more (+) or fewer (−) bytes at equal quality, on average over the quality that "
        "both reach.</p><table><thead><tr><th>codec</th><th>against</th><th>at equal PSNR</th>"
        f"<th>at equal MS-SSIM</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _archive_table(archives: Sequence[ArchiveResult], classes: Mapping[str, str]) -> str:
    peers = list(dict.fromkeys(name for archive in archives for name in archive.peers))
    head = "".join(f"<th>to {escape(name)}</th>" for name in peers)
    rows = []
    for archive in archives:
        cells = [
            f"<td>{_swatch(archive.codec, classes)}</td>",
            f'<td class="number">{archive.quality:g}</td>',
            f'<td class="number">{archive.coded_bytes / 1e3:,.0f}</td>',
            f'<td class="number">{archive.bpp:.4f}</td>',
            f'<td class="number">{archive.psnr_db:.2f}</td>',
            f'<td class="number">{"-" if archive.ms_ssim is None else f"{archive.ms_ssim:.4f}"}</td>',
        ]
        for name in peers:
            saving = archive.peers[name].saving_percent if name in archive.peers else None
            cells.append(_percent_cell(None if saving is None else -saving))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        "<h3>Archives</h3><p>And how many more (+) or fewer (−) bytes they take than the others at their PSNR.</p>"
        '<div class="wide"><table><thead><tr><th>codec</th><th>quality</th><th>kB</th><th>bpp</th><th>PSNR, dB</th>'
        f"<th>MS-SSIM</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _splat_table(result: CaptureResult) -> str:
    rows = splat_rows(result)
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
    lines = []
    for name, *numbers in rows:
        cells = "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return (
        "<h3>Splats</h3><p>3D Gaussians trained on seven of eight photographs, as taken and as restored, against the "
        "originals of the eighth. Means of several trainings; spread: the largest less the smallest. A loss is told "
        "where it is larger than the spread.</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _crops(crops: ViewCrops, classes: Mapping[str, str]) -> str:
    rows = []
    for spec, original in zip(crops.specs, crops.originals, strict=True):
        figures = [_crop_figure("original", f"at {spec.left}, {spec.top}", original)]
        for rendition in crops.renditions:
            told = f"{rendition.bytes / 1e3:,.0f} kB in all, view {rendition.view_psnr_db[spec.view]:.2f} dB"
            figures.append(_crop_figure(_swatch(rendition.codec, classes), told, rendition.crops[spec.view]))
        rows.append(f'<h4>{escape(spec.view)}</h4><div class="crops">{"".join(figures)}</div>')
    return (
        "<h3>Side by side</h3><p>The same piece at nearly equal bytes, as near as the encoders' settings allow. Move "
        "the mouse over a picture to look around, scroll with Ctrl held or use the slider to zoom; hold the button "
        'down on a picture to see the original in its place.</p><label class="zoom">zoom <input type="range" min="1" '
        f'max="8" step="0.25" value="1"> <output>1</output>×</label>{"".join(rows)}'
    )


def _data_uri(pixels: np.ndarray) -> str:
    """uint8 [H, W, 3] as ``data:image/png;base64,...``: nothing is lost, and the page stands alone."""
    png = BytesIO()
    Image.fromarray(pixels).save(png, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii")


def _crop_figure(title: str, told: str, pixels: np.ndarray) -> str:
    height, width = pixels.shape[:2]
    picture = f'<img src="{_data_uri(pixels)}" width="{width}" height="{height}" alt="" draggable="false">'
    caption = f"<figcaption>{title}<br>{escape(told)}</figcaption>"
    return f'<figure class="crop"><div class="window">{picture}</div>{caption}</figure>'


def _view_bars(result: CaptureResult, crops: ViewCrops, classes: Mapping[str, str]) -> str:
    names = [view.name for view in result.archives[0].view_results]
    psnr = [
        Series(each.codec, classes[each.codec], tuple(enumerate(_in_order(each, names)))) for each in crops.renditions
    ]
    shown = crops.renditions[0]
    archive = next(each for each in result.archives if each.codec == shown.codec and each.coded_bytes == shown.bytes)
    sizes = tuple((float(index), view.bytes / 1e3) for index, view in enumerate(archive.view_results))
    listed = "".join(f"<li>{escape(name)}</li>" for name in names)
    return (
        '<h3>View by view</h3><div class="charts">'
        + _figure("PSNR at nearly equal bytes", bar_chart(psnr, names, y_label="PSNR, dB"))
        + _figure(
            f"bytes of {escape(shown.codec)}, {escape(shown.setting)}",
            bar_chart([Series(shown.codec, classes[shown.codec], sizes)], names, y_label="kB"),
        )
        + f'</div><details><summary>names of the views</summary><ol start="0">{listed}</ol></details>'
    )


def _in_order(rendition: Rendition, names: Sequence[str]) -> list[float]:
    return [min(rendition.view_psnr_db[name], 99.0) for name in names]


def _series_classes(captures: Sequence[ReportedCapture]) -> dict[str, str]:
    """Name -> class: the same colour everywhere, ours first."""
    results = [capture.result for capture in captures]
    ours = [name for result in results for name in result.own_curves()]
    names = dict.fromkeys([*ours, *(name for result in results for name in result.peer_curves)])
    return {name: f"s{index % SERIES_CLASSES}" for index, name in enumerate(names)}


def _figure(title: str, chart: str) -> str:
    return f'<figure class="chart"><figcaption>{title}</figcaption><div class="wide">{chart}</div></figure>'


def _swatch(name: str, classes: Mapping[str, str]) -> str:
    return f'<span class="name"><i class="swatch {classes.get(name, "")}"></i>{escape(name)}</span>'


def _percent_cell(percent: float | None) -> str:
    if percent is None:
        return '<td class="number">-</td>'
    kind = "better" if percent < 0 else "worse"
    return f'<td class="number {kind}">{percent:+.1f} %</td>'.replace("-", "−")


def _anchor(name: str) -> str:
    return "capture-" + "".join(letter if letter.isalnum() else "-" for letter in name)
