"""What peers were measured at, kept in a file: it depends on the photographs and the peer, not on our archives.

Which settings are worth measuring is `rate_curve`'s business.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from nerfstudio_mvc.benchmarking.peers import Peer
from nerfstudio_mvc.benchmarking.rate_curve import PeerPoint
from nerfstudio_mvc.benchmarking.text_files import replace_file
from nerfstudio_mvc.errors import CaptureError, MvcError


class PeerPoints:
    """A JSON file of measured points; missing at first, written anew whenever points are added.

    Args:
        path: the file.

    Raises:
        MvcError: the file is there and is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._points: dict[str, list[PeerPoint]] = {}
        if not path.exists():
            return
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            self._points = {key: [_read_point(point) for point in points] for key, points in document.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise MvcError(
                f"{path} does not hold measured points of peers ({type(error).__name__}): remove it or name another"
            ) from error

    def get(self, key: str) -> Sequence[PeerPoint]:
        """The points kept under a key of `points_key`."""
        return self._points.get(key, [])

    def put(self, key: str, points: Iterable[PeerPoint]) -> None:
        """Keep these points instead, and write the file where that changes it.

        Raises:
            OutputError: the file cannot be written.
        """
        points = list(points)
        if points == self._points.get(key):
            return
        self._points[key] = points
        document = {name: [dataclasses.asdict(point) for point in kept] for name, kept in self._points.items()}
        replace_file(self._path, json.dumps(document, indent=1) + "\n")


def points_key(peer: Peer, paths: Iterable[Path]) -> str:
    """The same for the same peer and byte for byte the same photographs, wherever they lie.

    Raises:
        CaptureError: a photograph cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(_content_digest(path))
    return f"{digest.hexdigest()[:16]} {peer.description}"


def _content_digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror or error}): put it back") from error


def _read_point(point: dict) -> PeerPoint:
    read = PeerPoint(
        setting=int(point["setting"]),
        bytes=int(point["bytes"]),
        psnr_db=float(point["psnr_db"]),
        ms_ssim=None if point.get("ms_ssim") is None else float(point["ms_ssim"]),
        encode_s=float(point["encode_s"]),
        decode_s=float(point["decode_s"]),
    )
    if read.bytes < 1 or math.isnan(read.psnr_db):
        raise ValueError("a point without bytes or PSNR")
    return read
