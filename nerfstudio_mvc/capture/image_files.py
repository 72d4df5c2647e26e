"""Photographs as files: 8-bit RGB in and out, and everything else they carry.

Owns the policy below and the only calls to Pillow's decoders and encoders of photographs. Storing what is carried is
the archive's business, which sees `ImageMetadata` as fields and bytes.

A codec takes 8-bit RGB. Nothing else is lost without a warning:

* **Orientation.** Pixels are coded as stored. The EXIF orientation tag is not applied, because the cameras of
  nerfstudio and COLMAP refer to stored pixels; it is kept and put back. (TIFF is the exception: Pillow turns its
  pixels when it opens the file, for nerfstudio as for us, and the tag is dropped with the turn.)
* **EXIF, ICC profile, XMP, JPEG comment, resolution** are carried byte for byte and put back.
* **Other JPEG segments and what follows the picture** (temperatures, captions, gain maps, films) are `jpeg_segments`'
  business: they are put back into a JPEG, and a warning names what cannot go into another format.
* **Grey** is coded as RGB with three equal channels and written back as grey.
* **Alpha** is carried losslessly beside the codec and put back; colours under it are coded as they are.
* **16 bit per channel** is reduced to its upper 8 bits, **CMYK** and **palettes** become RGB: with a warning each.
* **PNG text chunks** are not kept, with a warning.
* **Several pictures in one file**: the first is kept, with a warning (those of a phone's MPO follow the first one and
  are carried with what does).
* **Large pictures** are read up to `MAX_PIXELS` where the file has the bytes for them.
* 32-bit and floating-point pixels are refused: there is no right way to show them in 8 bits.

Written with their own ending, JPEG comes back as JPEG (quality 95, 4:4:4, or more like it was: `JpegLikeness`), PNG,
BMP, TIFF, PPM and TGA as the same without loss, WebP as WebP (quality 95), AVIF as AVIF (quality 90, 4:4:4), JPEG 2000
without loss; a format that Pillow reads and cannot write comes back with PNG content under its own name, which every
reader recognises.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from colmap_io.regular_files import open_regular, read_regular
from nerfstudio_mvc.capture.jpeg_segments import SOI, CarriedBytes, carried_bytes, with_carried_bytes
from nerfstudio_mvc.errors import ArchiveError, CaptureError, ShapeError

_FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm"), "PPM"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".tga": "TGA",
    ".jp2": "JPEG2000",
}
IMAGE_SUFFIXES = frozenset((*_FORMAT_OF_SUFFIX, ".gif", ".heic", ".heif"))
"""Endings by which a file in a capture folder counts as a photograph, in lower case."""

_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0, "optimize": True},
    "PNG": {"compress_level": 3},  # of 9; 6 takes three times as long for 2 % less
    "WEBP": {"quality": 95, "method": 4},
    "AVIF": {"quality": 90, "subsampling": "4:4:4", "speed": 6},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "PPM": {},
    "TGA": {},
    "JPEG2000": {"irreversible": False},
}
_LOSSY = frozenset(("JPEG", "WEBP", "AVIF"))
_SUBSAMPLINGS = {(2, 2): "4:2:0", (2, 1): "4:2:2"}
"""Of the colours, by how often brightness is sampled for each of their samples."""
_WITH_ALPHA = frozenset(("PNG", "WEBP", "AVIF", "TIFF", "TGA", "JPEG2000"))
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "BMP", "PPM", "TGA", "JPEG2000", "GIF")
"""What is opened, whatever a file is called: nothing that hands it to another program."""

_EXIF_IFD, _GPS_IFD, _MAKER_NOTE = 0x8769, 0x8825, 0x927C
_HEIF_SUFFIXES = frozenset((".heic", ".heif"))
MAX_PIXELS = 1 << 28
_BELIEVED_PIXELS = 1 << 26
_PIXELS_PER_BYTE = 1000
"""A picture of more than `_BELIEVED_PIXELS` is believed where its file has a byte for so many: no format takes less."""
REMEDY = "; replace it, convert it to JPEG or PNG, or remove it"


class _AnySize:
    """Lifts Pillow's own limit, one for all threads and below what phones make, for as long as anyone is within.

    Sizes are checked by whoever enters.
    """

    def __init__(self) -> None:
        self._lock, self._within = threading.Lock(), 0
        self._limit: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                Image.MAX_IMAGE_PIXELS = self._limit


_ANY_SIZE = _AnySize()

_JPEG_SEGMENT = 65533
"""Largest EXIF block a JPEG can hold, in bytes."""


@dataclass(frozen=True)
class ImageMetadata:
    """What a photograph's file holds besides 8-bit RGB, so that a file like it can be written.

    Attributes:
        mode: ``"RGB"``, ``"L"`` (grey), ``"RGBA"`` or ``"LA"``: the Pillow mode to write.
        format: Pillow's name of the file's format, from its content.
        suffix: ending of the file's name, as it was spelled.
        width, height: pixels.
        exif, icc_profile, xmp, comment: as in the file; empty where there is none.
        alpha: the alpha plane as a grey PNG; None without one, empty where it is opaque everywhere.
        dpi: resolution (x, y), or None.
        jpeg_tables: quantisation tables of a JPEG file's components, 64 bytes each, those at the end that repeat the
            one before left out; empty where it is to be written with quality 95.
        jpeg_subsampling: of its colours, ``"4:2:0"``, ``"4:2:2"``; empty for 4:4:4.
    """

    mode: str
    format: str
    suffix: str
    width: int
    height: int
    exif: bytes = b""
    icc_profile: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    alpha: bytes | None = None
    dpi: tuple[float, float] | None = None
    jpeg_tables: bytes = b""
    jpeg_subsampling: str = ""

    def __post_init__(self) -> None:
        if self.mode not in ("RGB", "L", "RGBA", "LA"):
            raise ValueError(f"image mode {self.mode!r} is none that is written")
        if not all(isinstance(text, str) for text in (self.format, self.suffix)):
            raise ValueError("format and suffix of an image are texts")
        if not all(isinstance(size, int) and size > 0 for size in (self.width, self.height)):
            raise ValueError("width and height of an image are positive whole numbers")
        blobs = (self.exif, self.icc_profile, self.xmp, self.comment, self.alpha or b"")
        if not all(isinstance(blob, bytes) for blob in blobs):
            raise ValueError("EXIF, profile, XMP, comment and alpha of an image are bytes")
        if self.dpi is not None and not (
            isinstance(self.dpi, tuple) and len(self.dpi) == 2 and all(0 < float(value) < 1e6 for value in self.dpi)
        ):
            raise ValueError("the resolution of an image is two positive numbers")
        if not isinstance(self.jpeg_tables, bytes) or len(self.jpeg_tables) not in (0, 64, 128, 192):
            raise ValueError("quantisation tables of a JPEG file are one to three times 64 bytes")
        if self.jpeg_subsampling not in ("", *_SUBSAMPLINGS.values()):
            raise ValueError(f"there is no subsampling {self.jpeg_subsampling!r}")


JpegLikeness = Literal["coding", "subsampling", "none"]
"""How much a restored JPEG file is written like the original: tables and subsampling, the latter alone, nothing."""


@dataclass(frozen=True)
class ImagePixels:
    """A photograph in memory.

    Attributes:
        pixels: RGB as stored in the file. uint8 [H, W, 3]
        metadata: the rest of the file.
        warnings: what is lost, one sentence each, naming the file.
    """

    pixels: np.ndarray
    metadata: ImageMetadata
    warnings: tuple[str, ...] = ()


def with_jpeg_likeness(metadata: ImageMetadata, jpeg: JpegLikeness) -> ImageMetadata:
    """`metadata` that has no more of the original's coding than that."""
    if jpeg == "coding":
        return metadata
    return replace(metadata, jpeg_tables=b"", jpeg_subsampling=metadata.jpeg_subsampling if jpeg != "none" else "")


def essential_metadata(metadata: ImageMetadata) -> ImageMetadata:
    """`metadata` with EXIF as short as it says the same to people: without maker notes and thumbnail."""
    if not metadata.exif:
        return metadata
    exif, plain = Image.Exif(), Image.Exif()
    try:
        exif.load(metadata.exif)
        plain.update({tag: value for tag, value in exif.items() if tag not in (_EXIF_IFD, _GPS_IFD)})
        for ifd in (_EXIF_IFD, _GPS_IFD):
            plain.get_ifd(ifd).update({tag: value for tag, value in exif.get_ifd(ifd).items() if tag != _MAKER_NOTE})
        short = plain.tobytes()
    except Exception:  # Pillow's parsers raise nearly anything on damaged bytes
        return metadata
    return replace(metadata, exif=short) if len(short) < len(metadata.exif) else metadata


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) of the array `read_image` would return, from the file's header.

    Raises:
        CaptureError: see `read_image`; damage beyond the header is not noticed.
    """
    with _open(path) as image:
        return image.size


def read_mode(path: Path) -> str:
    """Pillow's name for the pixels in the file (``"RGB"``, ``"L"``, ``"I;16"``), from its header; errors as there."""
    with _open(path) as image:
        return image.mode


def reduced_luma(data: bytes, path: Path, size: tuple[int, int]) -> np.ndarray:
    """The luma of a photograph's file reduced to `size` (width, height), fast: to compare pictures by. float32 [h, w]

    Raises:
        CaptureError: see `read_image`.
    """
    with _opened(io.BytesIO(data), len(data), path) as image:
        try:
            image.draft("RGB", (4 * size[0], 4 * size[1]))
            return np.asarray(image.convert("RGB").convert("L").resize(size, Image.Resampling.BOX), np.float32)
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
            raise _unreadable(path, error) from None


def check_picture(path: Path) -> None:
    """Read a photograph to its end, in as little time as that can be done.

    Raises:
        CaptureError: see `read_image`.
    """
    with _open(path) as image:
        try:
            image.draft(image.mode, (1, 1))  # JPEG is decoded to an eighth of its size then
            image.load()
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
            raise _unreadable(path, error) from None
        _refuse_wide(image, path)


def read_file(path: Path) -> bytes:
    """The bytes of a photograph's file.

    Raises:
        CaptureError: it is missing, no regular file, or too large for a photograph.
    """
    with _read_errors(path):
        return read_regular(path)


def carried_bytes_of(data: bytes) -> CarriedBytes:
    """What the file of a photograph holds that is neither picture nor `ImageMetadata`."""
    return carried_bytes(data) if data.startswith(SOI) else CarriedBytes()


def read_image(path: Path) -> ImagePixels:
    """Decode a photograph as the module's policy says.

    Raises:
        CaptureError: the file is missing, truncated, not an image Pillow reads, or has 32-bit pixels.
    """
    return decode_image(read_file(path), path)


def decode_image(data: bytes, path: Path) -> ImagePixels:
    """`read_image` of a file whose bytes are at hand; `path` is where they came from."""
    file = io.BytesIO(data)
    with _opened(file, len(data), path) as image:
        try:
            image.load()
            return _split(image, path, had_16_bits=_had_16_bits(image, data))
        except CaptureError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
            raise _unreadable(path, error) from None


def write_image(
    path: Path, pixels: np.ndarray, metadata: ImageMetadata | None = None, carried: CarriedBytes | None = None
) -> tuple[str, ...]:
    """Write a photograph, with what `metadata` carries.

    The format is the original's where `path` ends as the original's name did, otherwise the one its ending stands for.

    Args:
        path: its folder must exist.
        pixels: uint8 [H, W, 3]
        metadata: None for a plain RGB file.
        carried: what else the original file held.

    Returns:
        What could not be put back into this format, one sentence each.

    Raises:
        ShapeError: `pixels` is not uint8 [H, W, 3].
        ArchiveError: the carried alpha plane is damaged or of another size.
        OSError: the file cannot be written.
    """
    image, file_format, warnings = _image_to_write(path, pixels, metadata)
    data = _encoded(image, file_format, path, metadata, warnings)
    if carried and file_format == "JPEG":
        data = with_carried_bytes(data, carried)
    elif carried:
        warnings.append(f"{path.name}: {carried.size} bytes of the JPEG file that are no picture are not put back")
    path.write_bytes(data)
    return tuple(warnings)


def shown_pixels(path: Path, pixels: np.ndarray, metadata: ImageMetadata | None) -> np.ndarray:
    """What `read_image` will find in the file that `write_image` writes; nothing is written. uint8 [H, W, 3]"""
    image, file_format, warnings = _image_to_write(path, pixels, metadata)
    if file_format not in _LOSSY:
        return np.asarray(image.convert("RGB"))
    data = _encoded(image, file_format, path, metadata, warnings)
    with _opened(io.BytesIO(data), len(data), path) as shown:
        return np.asarray(shown.convert("RGB"))


def _image_to_write(
    path: Path, pixels: np.ndarray, metadata: ImageMetadata | None
) -> tuple[Image.Image, str, list[str]]:
    """The picture in the mode of its file, the format of that, and what gets lost."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ShapeError(f"{path}: pixels must be uint8 [H, W, 3], found {pixels.dtype} {list(pixels.shape)}")
    file_format = _FORMAT_OF_SUFFIX.get(path.suffix.lower(), "PNG")
    warnings: list[str] = []
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if metadata is not None:
        if path.suffix == metadata.suffix:
            file_format = _writable(metadata.format)
        image = _with_mode(image, metadata, file_format, path, warnings)
    return image, file_format, warnings


def _encoded(
    image: Image.Image, file_format: str, path: Path, metadata: ImageMetadata | None, warnings: list[str]
) -> bytes:
    options = {} if metadata is None else _metadata_options(metadata, file_format, path, warnings)
    encoded = io.BytesIO()
    image.save(encoded, format=file_format, **{**_SAVE_OPTIONS[file_format], **options})
    return encoded.getvalue()


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CaptureError(f"{path}: there is no such file") from None
    except PermissionError:
        raise CaptureError(f"{path}: no permission to read it") from None
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror}); put the photograph there") from None


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    with _read_errors(path):
        file = open_regular(path)
    with file, _opened(file, os.fstat(file.fileno()).st_size, path) as image:
        yield image


@contextmanager
def _opened(file: BinaryIO, size: int, path: Path) -> Iterator[Image.Image]:
    formats = _FORMATS
    if path.suffix.lower() in _HEIF_SUFFIXES:
        formats = (*formats, *_heif_format(path))
    with _ANY_SIZE:
        try:
            image = Image.open(file, formats=formats)
            pixels = image.width * image.height
            if pixels > _BELIEVED_PIXELS and pixels > min(MAX_PIXELS, _PIXELS_PER_BYTE * size):
                raise ValueError(f"{image.width} x {image.height} pixels are too many for it")
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
            raise _unreadable(path, error) from None
        with image:
            yield image


def _heif_format(path: Path) -> tuple[str, ...]:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise CaptureError(
            f"{path}: reading HEIC photographs needs pillow-heif: pip install 'nerfstudio-mvc[heic]'"
        ) from None
    register_heif_opener()
    return ("HEIF",)


def _unreadable(path: Path, error: Exception) -> CaptureError:
    reason = "not an image Pillow can read" if isinstance(error, Image.UnidentifiedImageError) else str(error)
    reason = " ".join(reason.split())[:200] or type(error).__name__
    return CaptureError(f"{path}: unreadable image ({reason}){REMEDY}")


def _split(image: Image.Image, path: Path, *, had_16_bits: bool) -> ImagePixels:
    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(f"{path.name}: {text}")

    stored_mode, file_format = image.mode, image.format or "PNG"
    info = dict(image.info)
    if getattr(image, "n_frames", 1) > 1:
        if file_format != "MPO":
            warn("holds several pictures; only the first is kept")
        image.seek(0)
    if had_16_bits:
        warn("16 bits per channel are reduced to the upper 8")
    picture, alpha = _rgb_and_alpha(image, path, warn)
    if file_format not in _SAVE_OPTIONS and file_format != "MPO":
        warn(f"{file_format} cannot be written; the photograph comes back with PNG content under its own name")

    texts = sorted(set(getattr(image, "text", {})) - {"XML:com.adobe.xmp"})
    if file_format == "PNG" and texts:
        warn(f"PNG texts are not kept: {', '.join(texts)[:80]!r}")
    exif, profile = info.get("exif", b""), info.get("icc_profile") or b""
    if file_format == "TIFF":
        # Its tags say how the file is laid out; they would be wrong in another one.
        exif = b""
        warn("TIFF tags other than resolution and colour profile are not kept")
    if stored_mode == "CMYK" and profile:
        profile = b""
        warn("its CMYK colour profile is not kept")
    grey = picture.mode == "L"
    metadata = ImageMetadata(
        mode=("L" if grey else "RGB") + ("" if alpha is None else "A"),
        format=file_format,
        suffix=path.suffix,
        width=picture.width,
        height=picture.height,
        exif=exif if isinstance(exif, bytes) else b"",
        icc_profile=profile if isinstance(profile, bytes) else b"",
        xmp=_as_bytes(info.get("xmp")),
        comment=_as_bytes(info.get("comment")),
        alpha=None if alpha is None else _alpha_blob(alpha),
        dpi=_resolution(info.get("dpi")),
        **_jpeg_coding(image),
    )
    return ImagePixels(np.array(picture.convert("RGB")), metadata, tuple(warnings))


def _rgb_and_alpha(image: Image.Image, path: Path, warn) -> tuple[Image.Image, Image.Image | None]:
    """The picture in mode RGB or L, and its alpha plane in mode L."""
    mode = image.mode
    _refuse_wide(image, path)
    if mode.startswith("I;16"):
        warn("16 bits per pixel are reduced to the upper 8")
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)), None
    if mode == "CMYK" or mode in ("YCbCr", "LAB", "HSV"):
        warn(f"{mode} pixels are converted to RGB")
        return image.convert("RGB"), None
    if mode == "P":
        warn("its palette is not kept; it comes back with true colours")
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif mode in ("PA", "RGBa"):
        image = image.convert("RGBA")
    elif mode == "La":
        image = image.convert("LA")
    elif mode == "1":
        warn("black-and-white pixels come back as grey")
        image = image.convert("L")
    elif "transparency" in image.info and mode in ("RGB", "L"):
        image = image.convert(mode + "A")
    if image.mode in ("RGBA", "LA"):
        return _without_alpha(image), image.getchannel("A")
    return image if image.mode in ("RGB", "L") else image.convert("RGB"), None


def _refuse_wide(image: Image.Image, path: Path) -> None:
    if image.mode in ("I", "F"):
        raise CaptureError(
            f"{path}: 32-bit pixels have no agreed brightness in 8 bits; convert it to 8-bit PNG or JPEG"
        )


def _without_alpha(image: Image.Image) -> Image.Image:
    channels = image.split()[:-1]
    return channels[0] if len(channels) == 1 else Image.merge("RGB", channels)


def _had_16_bits(image: Image.Image, data: bytes) -> bool:
    """Whether a file stores 16 bits per channel of a picture Pillow has opened in an 8-bit mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return False
    if image.format == "PNG":
        # Signature, chunk length and name, width, height, then the bit depth.
        return data[24:25] == b"\x10"
    bits = getattr(image, "tag_v2", {}).get(258, (8,)) if image.format == "TIFF" else (8,)
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8


def _jpeg_coding(image: Image.Image) -> dict[str, Any]:
    """Fields of `ImageMetadata` that say how a JPEG file was coded; none for what could not be written so."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in ("RGB", "L"):
        return {}
    (_, *sampling, _), *others = image.layer
    tables = [image.quantization.get(layer[3], ()) for layer in image.layer]
    if any(len(table) != 64 or max(table) > 255 for table in tables) or any(layer[1:3] != (1, 1) for layer in others):
        return {}
    if others and tuple(sampling) not in ((1, 1), *_SUBSAMPLINGS):
        return {}
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()
    subsampling = _SUBSAMPLINGS.get(tuple(sampling), "") if others else ""
    return {"jpeg_tables": b"".join(map(bytes, tables)), "jpeg_subsampling": subsampling}


def _alpha_blob(alpha: Image.Image) -> bytes:
    if alpha.getextrema() == (255, 255):
        return b""
    encoded = io.BytesIO()
    alpha.save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return value if isinstance(value, bytes) else b""


def _resolution(value: object) -> tuple[float, float] | None:
    try:
        x, y = (float(number) for number in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _writable(file_format: str) -> str:
    if file_format == "MPO":
        return "JPEG"
    return file_format if file_format in _SAVE_OPTIONS else "PNG"


def _metadata_options(metadata: ImageMetadata, file_format: str, path: Path, warnings: list[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    if metadata.icc_profile and file_format not in ("BMP", "PPM", "TGA"):
        options["icc_profile"] = metadata.icc_profile
    if metadata.exif and file_format in ("JPEG", "PNG", "WEBP", "AVIF"):
        if file_format == "JPEG" and len(metadata.exif) > _JPEG_SEGMENT:
            warnings.append(f"{path.name}: its EXIF data does not fit into a JPEG and is left out")
        else:
            options["exif"] = metadata.exif
    if metadata.xmp and file_format in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = metadata.xmp
    elif metadata.xmp and file_format == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = texts
    if metadata.comment and file_format == "JPEG":
        options["comment"] = metadata.comment
    if metadata.jpeg_subsampling and file_format == "JPEG":
        options["subsampling"] = metadata.jpeg_subsampling
    if metadata.jpeg_tables and file_format == "JPEG":
        tables = metadata.jpeg_tables
        options["quality"] = -1  # the tables would be scaled by one
        options["qtables"] = [list(tables[at : at + 64]) for at in range(0, len(tables), 64)]
    if metadata.dpi and file_format in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = metadata.dpi
    return options


def _with_mode(
    image: Image.Image, metadata: ImageMetadata, file_format: str, path: Path, warnings: list[str]
) -> Image.Image:
    if metadata.mode.startswith("L"):
        image = image.convert("L")
    if not metadata.mode.endswith("A"):
        return image
    if file_format not in _WITH_ALPHA:
        warnings.append(f"{path.name}: {file_format} has no alpha plane; it is left out")
        return image
    image.putalpha(read_alpha(metadata, image.size))
    return image


def read_alpha(metadata: ImageMetadata, size: tuple[int, int]) -> Image.Image:
    """The carried alpha plane of a photograph of `size` (width, height), mode L.

    Raises:
        ArchiveError: it is damaged or of another size.
    """
    if not metadata.alpha:
        return Image.new("L", size, 255)
    try:
        with _ANY_SIZE, Image.open(io.BytesIO(metadata.alpha), formats=("PNG",)) as alpha:
            if alpha.size != size or alpha.mode != "L":
                raise ValueError(f"it is {alpha.mode} {alpha.size}, the photograph {size}")
            alpha.load()
            return alpha.copy()
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise ArchiveError(
            f"the stored alpha plane of a photograph is damaged ({error}); fetch the archive again"
        ) from None
