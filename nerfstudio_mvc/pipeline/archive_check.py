"""One archive checked: its bytes and, where asked for, what they decode to. Loads torch for decoding alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.archive.integrity import VerifyReport, verify
from nerfstudio_mvc.pipeline.progress import OnEvent
from nerfstudio_mvc.pipeline.reports import DecodeCheck


@dataclass(frozen=True)
class ArchiveCheck:
    """What was found in the bytes of an archive, and in its views where they were decoded."""

    bytes: VerifyReport
    decoding: DecodeCheck | None

    @property
    def ok(self) -> bool:
        decoding = self.decoding
        return self.bytes.ok and (decoding is None or not decoding.lost)


def check_archive(
    archive: Path,
    *,
    decode: bool = False,
    device: str = "auto",
    weights: Path | None = None,
    jobs: int | None = None,
    on_event: OnEvent | None = None,
) -> ArchiveCheck:
    """Check `archive` as `integrity.verify` does and, with `decode`, as `decode_check.check_decoding` too; errors as
    there.
    """
    report = verify(archive, unpack=decode)
    if not decode:
        return ArchiveCheck(report, None)
    # torch arrives only where decoding was asked for.
    from nerfstudio_mvc.pipeline.decode_check import check_decoding

    return ArchiveCheck(report, check_decoding(archive, device=device, weights=weights, jobs=jobs, on_event=on_event))
