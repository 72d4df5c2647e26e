"""What the verbs of the pipeline report when they are done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.archive.attachments import LeftOut


@dataclass(frozen=True)
class CompressReport:
    """What became of a capture.

    Attributes:
        archive: the file.
        codec, fingerprint, quality, device: how it was coded.
        views, groups, groups_reused: in all; `groups_reused` were finished by the run this one resumed.
        pixels: of all views together.
        source_bytes: the photographs on disk.
        file_bytes: the archive; the next four are its parts.
        image_bytes, depth_bytes, attachment_bytes, overhead_bytes: strings of the photographs, strings of their depth,
            attached files, and the rest (cameras, manifest, ZIP records).
        bpp: 8 x (all bytes but the attachments) / pixels.
        psnr_db: mean over the views of PSNR against the photographs, dB; None where it is not known.
        file_psnr_db: the same of the files that the views are restored to under their names.
        target: what was wanted and what was reached, in one line; None where the quality was given.
        depth: how depth was found, in one line.
        left_out: what the archive does not carry, with reasons.
        warnings: what `on_event` was warned of.
        elapsed_s: seconds.
    """

    archive: Path
    codec: str
    fingerprint: str
    quality: float
    device: str
    views: int
    groups: int
    groups_reused: int
    pixels: int
    source_bytes: int
    file_bytes: int
    image_bytes: int
    depth_bytes: int
    attachment_bytes: int
    overhead_bytes: int
    bpp: float
    psnr_db: float | None
    file_psnr_db: float | None
    target: str | None
    depth: str
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True)
class EncodeViewReport:
    """What became of one photograph.

    Attributes:
        output: the file.
        quality: 1 to 8.
        width, height: pixels.
        source_bytes, file_bytes: of the photograph and of the file.
        psnr_db: of the view by itself, dB.
        warnings: what of the photograph's file is lost.
    """

    output: Path
    quality: float
    width: int
    height: int
    source_bytes: int
    file_bytes: int
    psnr_db: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class DecompressReport:
    """What was restored.

    Attributes:
        archive, output_dir: from where to where.
        views: names of the restored photographs, as they are called in `output_dir`.
        lost_views: names of views that are damaged (with `skip_damaged`).
        differing_views: names of views whose pixels are not exactly those the encoder saw; they are restored.
        attachments: files restored byte for byte.
        remade: files made again: smaller copies of photographs, a transforms.json from the stored cameras.
        warnings: what `on_event` was warned of.
        elapsed_s: seconds.
    """

    archive: Path
    output_dir: Path
    views: tuple[str, ...]
    lost_views: tuple[str, ...]
    differing_views: tuple[str, ...]
    attachments: int
    remade: int
    warnings: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True)
class DecodeCheck:
    """Names of the views that decode exactly, but for single grey levels, and not or to another picture."""

    exact: tuple[str, ...]
    differing: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class ViewQuality:
    """One view against its photograph: PSNR in dB (inf when equal), MS-SSIM (None for a view too small for it)."""

    name: str
    width: int
    height: int
    psnr_db: float
    ms_ssim: float | None


@dataclass(frozen=True)
class EvaluateReport:
    """A finished archive against its capture.

    Attributes:
        archive: the file.
        source_bytes: the photographs on disk.
        file_bytes: the archive with everything in it; `attachment_bytes` of them are attached files.
        bpp: 8 x (all bytes but the attachments) / pixels.
        views: in capture order.
        psnr_db: mean over the views, dB.
        ms_ssim: mean over the views; None when one of them is too small for it.
        decode_s: seconds to decode all views, files not written.
    """

    archive: Path
    source_bytes: int
    file_bytes: int
    attachment_bytes: int
    bpp: float
    views: tuple[ViewQuality, ...]
    psnr_db: float
    ms_ssim: float | None
    decode_s: float


@dataclass(frozen=True)
class DepthReport:
    """What `export_depth` wrote.

    Attributes:
        output_dir: the folder.
        views: depth maps written.
        method, note: how depth was found.
        unit: world units per step of the files; nerfstudio's ``depth_unit_scale_factor``.
        transforms: the transforms.json that names the depth maps; None where nerfstudio cannot express the cameras.
        elapsed_s: seconds.
    """

    output_dir: Path
    views: int
    method: str
    note: str
    unit: float
    transforms: Path | None
    elapsed_s: float
