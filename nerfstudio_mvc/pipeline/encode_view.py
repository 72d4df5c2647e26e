"""One photograph to a `.mvcv` file, knowing nothing of others: an archive of a single view. Loads no torch.

What joins such files is `coded_views`.
"""

from __future__ import annotations

from pathlib import Path

from nerfstudio_mvc.archive.attachments import AttachmentPlan
from nerfstudio_mvc.archive.carried_strings import with_carried
from nerfstudio_mvc.archive.integrity import pixel_check
from nerfstudio_mvc.archive.layout import CODEC_PARAHYDRA
from nerfstudio_mvc.archive.writer import ArchiveWriter, CodingSettings
from nerfstudio_mvc.capture.checks import is_image_name
from nerfstudio_mvc.capture.image_files import carried_bytes_of, decode_image, read_file, with_jpeg_likeness
from nerfstudio_mvc.capture.photo_source import KIND
from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.parahydra.stills import PROFILE, encode_still
from nerfstudio_mvc.coded import CodedGroup, CodedView
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.pipeline.capture_files import refuse_source
from nerfstudio_mvc.pipeline.options import DEFAULT_QUALITY, check_quality
from nerfstudio_mvc.pipeline.reports import EncodeViewReport
from nerfstudio_mvc.quality.psnr import psnr_db


def encode_view(
    image: str | Path,
    output: str | Path,
    *,
    quality: float = DEFAULT_QUALITY,
    effort: Effort = "default",
    force: bool = False,
) -> EncodeViewReport:
    """Encode one photograph as codec parahydra does it.

    Args:
        image: the photograph.
        output: the file to make; it appears only when it is complete and verified.
        quality: 1 (smallest) to 8 (best).
        effort: how long it may take.
        force: replace `output` when it exists.

    Raises:
        CaptureError: the photograph cannot be read.
        OutputError: `output` exists, is a photograph in the folder of `image`, cannot be written, or the disk is full.
        OptionError: the quality is out of range.
        LibaomError: there is no libaom.
    """
    check_quality("quality", quality)
    image = Path(image)
    data = read_file(image)
    # Those beside it are of the same capture.
    photographs = [path for path in image.parent.iterdir() if is_image_name(path.name)]
    refuse_source(Path(output), files=[image, *photographs])
    photograph = decode_image(data, image)
    height, width = photograph.pixels.shape[:2]
    view = View(0, image.name, image, width, height, None, None)
    settings = CodingSettings(CODEC_PARAHYDRA, PROFILE, float(quality), {"effort": effort})
    with ArchiveWriter(Path(output), views=[view], kind=KIND, groups=[[0]], settings=settings, force=force) as writer:
        strings, still = encode_still(photograph.pixels, quality=quality, effort=effort)
        coded = with_carried(CodedGroup(0, (CodedView(0, strings),)), {0: carried_bytes_of(data)})
        writer.add_group(coded, pixel_checks={0: pixel_check(still.pixels)})
        plan = AttachmentPlan("all", image.parent, (), (), ())
        whole = writer.finish(plan, image_metadata={0: with_jpeg_likeness(photograph.metadata, "none")})
    return EncodeViewReport(
        output=Path(output),
        quality=float(quality),
        width=width,
        height=height,
        source_bytes=len(data),
        file_bytes=whole.file_bytes,
        psnr_db=psnr_db(photograph.pixels, still.pixels),
        warnings=photograph.warnings,
    )
