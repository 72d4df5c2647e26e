"""libaom, called directly: encoder and decoder as objects into which references can be put from outside.

    planes --Encoder.encode--> bytes --Decoder.decode--> planes        put_reference(slot, planes) on both sides

Planes are of 10 bits, 4:4:4: uint16 [3, height, width]. The library is the one that the wheel imagecodecs carries, the
system's, or the one that NERFSTUDIO_MVC_LIBAOM names. `AV1_SET_REFERENCE` writes a picture into one of the eight
slots of the reference buffer; what the slot holds besides (probabilities, motion vectors) stays that of the frame that
refreshed it. What planes stand for is `colour`'s business, which frames there are that of `group_stream`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import weakref
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_long, c_size_t, c_uint, c_ulong, c_void_p
from functools import cache
from pathlib import Path

import numpy as np

from nerfstudio_mvc.errors import ArchiveError, MvcError

VARIABLE = "NERFSTUDIO_MVC_LIBAOM"
SLOTS = 8
MOST_QUANTIZER = 63
INSTALL_HINT = (
    f"pip install imagecodecs, or install libaom (Debian: libaom3; Homebrew, conda-forge: aom) or name it in {VARIABLE}"
)

_ENCODER_ABI, _DECODER_ABI = 29, 22
_I44416 = 0x100 | 6 | 0x800
_HIGH_BIT_DEPTH, _GOOD_QUALITY, _CONSTANT_QUALITY = 0x40000, 0, 3
_SIDE, _BORDER = 8, 32  # libaom compares padded sides with those of its own frames
_FRAME_PACKET = 0
_CPU_USED, _CDF_UPDATE, _SVC_REFERENCES, _SET_REFERENCE = 13, 44, 133, 231
_REFERENCE_NAMES = (0, 6, 1, 4, 2, 5)
"""LAST, ALTREF, LAST2, BWDREF, LAST3, ALTREF2: in order of use, the first two give all ways to combine two."""
_GOLDEN, _NAMES = 3, 7


class LibaomError(MvcError):
    """There is no libaom, or it refuses what it is asked for."""


class _Config(Structure):
    """The head of aom_codec_enc_cfg_t, and room for the rest of it in any version."""

    _fields_ = [
        *((name, c_uint) for name in ("usage", "threads", "profile", "width", "height", "limit", "most_w", "most_h")),
        ("bit_depth", c_uint),
        ("input_bit_depth", c_uint),
        ("timebase", c_int * 2),
        ("error_resilient", c_uint),
        ("which_pass", c_uint),
        ("lag_in_frames", c_uint),
        *((name, c_uint) for name in ("drop", "resize", "resize_denominator", "resize_kf_denominator", "superres")),
        *((name, c_uint) for name in ("superres_1", "superres_2", "superres_3", "superres_4")),
        ("rate_control", c_uint),
        ("twopass_stats", c_void_p * 2),
        ("firstpass_stats", c_void_p * 2),
        ("bitrate", c_uint),
        ("min_quantizer", c_uint),
        ("max_quantizer", c_uint),
        *((name, c_uint) for name in ("undershoot", "overshoot", "buffer", "initial", "optimal")),
        *((name, c_uint) for name in ("bias", "least_section", "most_section")),
        ("forward_key_frames", c_int),
        ("key_frame_mode", c_uint),
        ("key_frame_min_dist", c_uint),
        ("key_frame_max_dist", c_uint),
        ("rest", ctypes.c_ubyte * 4096),
    ]


class _DecoderConfig(Structure):
    _fields_ = [("threads", c_uint), ("width", c_uint), ("height", c_uint), ("allow_low_bit_depth", c_uint)]


class _Context(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("interface", c_void_p),
        ("error", c_int),
        ("detail", c_char_p),
        ("flags", c_long),
        ("config", c_void_p),
        ("private", c_void_p),
        ("rest", c_void_p * 8),
    ]


class _Image(Structure):
    _fields_ = [
        *((name, c_int) for name in ("format", "primaries", "transfer", "matrix", "monochrome", "position", "range")),
        *((name, c_uint) for name in ("w", "h", "bit_depth", "d_w", "d_h", "r_w", "r_h", "x_shift", "y_shift")),
        ("planes", c_void_p * 3),
        ("stride", c_int * 3),
        ("size", c_size_t),
        ("bits_per_sample", c_int),
        ("temporal", c_int),
        ("spatial", c_int),
        ("user", c_void_p),
        ("data", c_void_p),
        ("data_owner", c_int),
        ("allocated", c_int),
        ("metadata", c_void_p),
        ("frame_buffer", c_void_p),
        ("rest", c_void_p * 4),
    ]


class _SetReference(Structure):
    _fields_ = [("slot", c_int), ("external", c_int), ("image", _Image)]


class _SvcReferences(Structure):
    _fields_ = [("reference", c_int * _NAMES), ("slot", c_int * _NAMES), ("refresh", c_int * SLOTS)]


class _Packet(Structure):
    _fields_ = [
        ("kind", c_int),
        ("buffer", c_void_p),
        ("size", c_size_t),
        ("time", ctypes.c_int64),
        ("duration", c_ulong),
        ("rest", c_void_p * 32),
    ]


def library_path() -> str | None:
    """Where libaom is; None where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    spec = importlib.util.find_spec("imagecodecs")  # not imported: that loads forty codecs
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        patterns = ((package.parent / "imagecodecs.libs", "libaom*.so*"), (package / ".dylibs", "libaom*.dylib"))
        for folder, pattern in patterns:
            if found := sorted(folder.glob(pattern)):
                return str(found[0])
    return ctypes.util.find_library("aom")


def has_libaom() -> bool:
    """Whether pictures can be coded and decoded on this machine."""
    try:
        _library()
    except LibaomError:
        return False
    return True


def version() -> str:
    """Of libaom, e.g. "3.13.1".

    Raises:
        LibaomError: there is none.
    """
    return _library().aom_codec_version_str().decode()


@cache
def _library() -> ctypes.CDLL:
    path = library_path()
    if path is None:
        raise LibaomError(f"AV1 needs the library libaom, and finds none: {INSTALL_HINT}")
    try:
        library = ctypes.CDLL(path)
        context, image = POINTER(_Context), POINTER(_Image)
        for name, result, arguments in (
            ("aom_codec_version_str", c_char_p, []),
            ("aom_codec_av1_cx", c_void_p, []),
            ("aom_codec_av1_dx", c_void_p, []),
            ("aom_codec_enc_config_default", c_int, [c_void_p, POINTER(_Config), c_uint]),
            ("aom_codec_enc_init_ver", c_int, [context, c_void_p, POINTER(_Config), c_long, c_int]),
            ("aom_codec_enc_config_set", c_int, [context, POINTER(_Config)]),
            ("aom_codec_dec_init_ver", c_int, [context, c_void_p, POINTER(_DecoderConfig), c_long, c_int]),
            # The last argument of this one is variadic, which ctypes passes rightly where it is not declared.
            ("aom_codec_control", c_int, [context, c_int]),
            ("aom_codec_set_option", c_int, [context, c_char_p, c_char_p]),
            ("aom_codec_encode", c_int, [context, image, ctypes.c_int64, c_ulong, c_long]),
            ("aom_codec_get_cx_data", POINTER(_Packet), [context, POINTER(c_void_p)]),
            ("aom_codec_decode", c_int, [context, c_char_p, c_size_t, c_void_p]),
            ("aom_codec_get_frame", image, [context, POINTER(c_void_p)]),
            ("aom_codec_err_to_string", c_char_p, [c_int]),
            ("aom_codec_error_detail", c_char_p, [context]),
            ("aom_codec_destroy", c_int, [context]),
            ("aom_img_alloc_with_border", image, [image, c_int, c_uint, c_uint, c_uint, c_uint, c_uint]),
            ("aom_img_free", None, [image]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise LibaomError(f"{path} is no libaom that can be used here ({error}): {INSTALL_HINT}") from error
    return library


class _Frame:
    """A picture in libaom's memory; sides padded by repeating the last row and column, alike on both sides."""

    def __init__(self, width: int, height: int) -> None:
        library = _library()
        pointer = library.aom_img_alloc_with_border(None, _I44416, width, height, _BORDER, _SIDE, 0)
        if not pointer:
            raise LibaomError(f"there is no memory for a picture of {width}x{height}")
        self.image = pointer.contents
        self.image.bit_depth = 10
        self.pointer = pointer
        rows, columns = (-(-side // _SIDE) * _SIDE for side in (height, width))
        self._planes = [_plane(self.image, idx, rows, columns) for idx in range(3)]
        self._size = (height, width)
        weakref.finalize(self, library.aom_img_free, pointer)

    def fill(self, planes: np.ndarray) -> None:
        """uint16 [3, height, width]"""
        height, width = self._size
        assert planes.shape == (3, height, width)
        assert planes.dtype == np.uint16
        for own, given in zip(self._planes, planes, strict=True):
            own[:height, :width] = given
            own[:height, width:] = given[:, -1:]
            own[height:] = own[height - 1]


class _Codec:
    """What encoder and decoder have in common: a context that is destroyed with the object."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._library, self._context = _library(), _Context()
        self._frame = _Frame(width, height)

    def put_reference(self, slot: int, planes: np.ndarray) -> None:
        """Write planes, uint16 [3, height, width], into a slot that a frame has refreshed. Slots that the same frame
        refreshed share what they hold."""
        self._frame.fill(planes)
        reference = _SetReference(slot, 0, self._frame.image)
        self._control(_SET_REFERENCE, byref(reference))

    def _control(self, control: int, value: object) -> None:
        self._check(self._library.aom_codec_control(byref(self._context), control, value))

    def _close_at_end(self) -> None:
        weakref.finalize(self, self._library.aom_codec_destroy, byref(self._context))

    def _check(self, result: int) -> None:
        if result:
            said = self._library.aom_codec_err_to_string(result).decode()
            detail = self._library.aom_codec_error_detail(byref(self._context)) or b""
            raise LibaomError(f"libaom: {said} {detail.decode(errors='replace')}".rstrip())


class Encoder(_Codec):
    """Codes the frames of one stream.

    Args:
        width, height: of all frames.
        speed: libaom's cpu-used, 0 (slowest) to 9.
        quantizer: of frames for which `encode` says nothing else, 0 (finest) to 63.
        threads: that it may use, two at least: the bytes are the same for any number of them, and others for one.
        lag: frames it may look ahead; 0 where references are put in.
        options: libaom's own, by name.

    Raises:
        LibaomError: there is no libaom, or an option is refused.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        speed: int,
        quantizer: int,
        threads: int = 1,
        lag: int = 0,
        options: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(width, height)
        interface = self._library.aom_codec_av1_cx()
        self._config = config = _Config()
        self._check(self._library.aom_codec_enc_config_default(interface, byref(config), _GOOD_QUALITY))
        config.width, config.height, config.profile, config.threads = width, height, 1, max(2, threads)
        config.bit_depth = config.input_bit_depth = 10
        config.timebase[0], config.timebase[1] = 1, 25
        config.lag_in_frames, config.rate_control = lag, _CONSTANT_QUALITY
        config.key_frame_mode, config.key_frame_max_dist = 0, 9999  # the first frame alone
        result = self._library.aom_codec_enc_init_ver(
            byref(self._context), interface, byref(config), _HIGH_BIT_DEPTH, _ENCODER_ABI
        )
        self._check(result)
        self._close_at_end()
        usual = {"cpu-used": speed, "cq-level": quantizer, "tune": "psnr", "row-mt": 1}
        for name, value in {**usual, **(options or {})}.items():
            self.set_option(name, value)
        self._quantizer: int | None = None
        self._time = 0

    def set_option(self, name: str, value: str | int) -> None:
        """Set one of libaom's own options, from the next frame on."""
        result = self._library.aom_codec_set_option(byref(self._context), name.encode(), str(value).encode())
        self._check(result)

    def encode(
        self,
        planes: np.ndarray,
        *,
        quantizer: int | None = None,
        references: Sequence[int] = (),
        refresh: Sequence[int] | None = None,
    ) -> bytes:
        """Code one frame of a stream without lag.

        Args:
            planes: uint16 [3, height, width]
            quantizer: of this frame.
            references: slots it may refer to, at most six; the first one gives its probabilities too.
            refresh: slots that it is written into, at most one after the first frame; None: libaom decides all.

        Raises:
            LibaomError: it failed.
        """
        if quantizer is not None and quantizer != self._quantizer:
            self._config.min_quantizer = self._config.max_quantizer = self._quantizer = quantizer
            self._check(self._library.aom_codec_enc_config_set(byref(self._context), byref(self._config)))
        if refresh is not None:
            self._control(_SVC_REFERENCES, byref(_svc_references(references, refresh)))
        units = self._encoded(planes)
        assert len(units) == 1, "a frame without lag gives one unit"
        return units[0]

    def push(self, planes: np.ndarray | None) -> list[bytes]:
        """Code frames of a stream with lag: temporal units that are ready; None flushes."""
        return self._encoded(planes)

    def _encoded(self, planes: np.ndarray | None) -> list[bytes]:
        image = None
        if planes is not None:
            self._frame.fill(planes)
            image = self._frame.pointer
        self._check(self._library.aom_codec_encode(byref(self._context), image, self._time, 1, 0))
        self._time += 1
        units, iterator = [], c_void_p()
        while packet := self._library.aom_codec_get_cx_data(byref(self._context), byref(iterator)):
            if packet.contents.kind == _FRAME_PACKET:
                units.append(ctypes.string_at(packet.contents.buffer, packet.contents.size))
        return units


class Decoder(_Codec):
    """Decodes the frames of one stream; what it is given has passed `obu.check_unit`.

    Raises:
        LibaomError: there is no libaom.
    """

    def __init__(self, width: int, height: int, *, threads: int = 1) -> None:
        super().__init__(width, height)
        config = _DecoderConfig(threads, width, height, 0)
        result = self._library.aom_codec_dec_init_ver(
            byref(self._context), self._library.aom_codec_av1_dx(), byref(config), 0, _DECODER_ABI
        )
        self._check(result)
        self._close_at_end()

    def decode(self, unit: bytes) -> np.ndarray:
        """The frame of a temporal unit. uint16 [3, height, width]

        Raises:
            ArchiveError: it shows no frame of this size.
        """
        if self._library.aom_codec_decode(byref(self._context), unit, len(unit), None):
            raise ArchiveError("an AV1 frame does not decode: the archive is damaged")
        frame, iterator = None, c_void_p()
        while image := self._library.aom_codec_get_frame(byref(self._context), byref(iterator)):
            frame = image
        if frame is None:
            raise ArchiveError("an AV1 frame shows nothing: the archive is damaged")
        return _planes(frame, self.width, self.height)


def _svc_references(references: Sequence[int], refresh: Sequence[int]) -> _SvcReferences:
    wanted = _SvcReferences()
    names = _REFERENCE_NAMES[: len(references)]
    for name in range(_NAMES):
        wanted.slot[name] = references[0] if references else 0
    for name, slot in zip(names, references, strict=True):
        wanted.reference[name], wanted.slot[name] = 1, slot
    for slot in refresh:
        wanted.refresh[slot] = 1
    if len(refresh) == 1:
        # What is refreshed must have a name; that of the golden frame lets it be coded as one others refer to.
        wanted.slot[_GOLDEN] = refresh[0]
    return wanted


def _plane(image: _Image, idx: int, height: int, width: int) -> np.ndarray:
    stride = image.stride[idx]
    buffer = (ctypes.c_ubyte * (stride * height)).from_address(image.planes[idx])
    return np.frombuffer(buffer, np.uint16).reshape(height, stride // 2)[:, :width]


def _planes(pointer, width: int, height: int) -> np.ndarray:
    image = pointer.contents
    if (image.d_w, image.d_h, image.format, image.bit_depth) != (width, height, _I44416, 10):
        raise ArchiveError(f"an AV1 frame is not of {width}x{height}, 10 bits, 4:4:4: the archive is damaged")
    return np.stack([_plane(image, idx, height, width) for idx in range(3)])
