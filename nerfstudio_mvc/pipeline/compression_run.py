"""What one compression gathers on its way: what the photographs carry, PSNR of the views, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from nerfstudio_mvc.archive.layout import CODEC_PARAHYDRA
from nerfstudio_mvc.archive.writer import PhotographFile
from nerfstudio_mvc.capture.image_files import (
    ImageMetadata,
    carried_bytes_of,
    decode_image,
    essential_metadata,
    read_file,
    with_jpeg_likeness,
)
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.pipeline.coded_views import CodedView, read_coded_view
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, Warned, in_turn
from nerfstudio_mvc.pipeline.view_notes import ViewNote


class Run:
    """One compression under way; `report` may be called from several threads.

    Attributes:
        attachments: what of the photographs' files is carried.
        notes: by view_idx, of the views that are coded.
        whole_files: the codec keeps the photographs' files, so that nothing is lost or has to be carried.
        encoded_apart: every view may have been encoded elsewhere: the archive says nothing that only all photographs
            together with what is decoded tell.
        photographs: by view_idx, their files when the run began: from then on no other bytes are taken.
    """

    def __init__(self, on_event: OnEvent, options: CompressOptions) -> None:
        self.attachments = options.attachments
        self.whole_files = options.whole_files
        self.encoded_apart = options.codec_name == CODEC_PARAHYDRA
        self.report = in_turn(on_event)
        self.metadata: dict[int, ImageMetadata] = {}
        self.notes: dict[int, ViewNote] = {}
        self.warnings: list[str] = []
        self.photographs: Mapping[int, PhotographFile] = {}
        self._photographs_warned_of: dict[str, set[str]] = {}

    @property
    def view_psnr_db(self) -> list[float]:
        """Of the views that are coded."""
        return [note.psnr_db for note in self.notes.values()]

    def all_psnr_db(self, count: int) -> list[tuple[float, float]]:
        """Of each of `count` views as decoded, and of its restored file; none where they are not all known."""
        notes = [self.notes[idx] for idx in range(count) if idx in self.notes]
        return [(note.psnr_db, note.file_psnr_db) for note in notes] if len(notes) == count else []

    def noted_metadata(self) -> dict[int, ImageMetadata]:
        """`metadata`, with what was noted of how files are to be written."""
        return {
            idx: with_jpeg_likeness(metadata, self.notes[idx].jpeg if idx in self.notes else "none")
            for idx, metadata in self.metadata.items()
        }

    def step(self, step: str, done: int, total: int) -> None:
        self.report(StepProgress(step, done, total))

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.report(Warned(message))

    def read_file(self, view: View) -> bytes:
        """The bytes of a view's photograph.

        Raises:
            CaptureError: it cannot be read, or is another one than when the run began.
        """
        data = read_file(image_path(view))
        if self.photographs and sha256(data).hexdigest() != self.photographs[view.view_idx].sha256:
            raise CaptureError(
                f"{image_path(view)}: changed while it was being compressed; put it back as it was and go on with "
                "--resume, or start again"
            )
        return data

    def read_source(self, view: View) -> SourceView:
        """The view to encode, without depth."""
        data = self.read_file(view)
        if view.source_bytes is not None:
            return SourceView(view, np.empty((0, 0, 3), np.uint8), coded=self._coded(view).strings)
        if self.whole_files:
            return SourceView(view, self._pixels_of_kept_file(view, data), file=data)
        return SourceView(view, self._pixels(view, data))

    def read_metadata(self, view: View) -> None:
        """Gather what the photograph carries, for a view that is coded already."""
        if view.source_bytes is not None:
            self._coded(view)
        elif not self.whole_files:
            self._pixels(view, self.read_file(view))

    def carried_of(self, view: View) -> CarriedBytes:
        """Bytes of a view's photograph that are put back as they were."""
        data = self.read_file(view)
        return carried_bytes_of(data) if view.source_bytes is None else read_coded_view(image_path(view)).carried

    def _coded(self, view: View) -> CodedView:
        coded = read_coded_view(image_path(view))
        self._keep_metadata(view, coded.metadata)
        return coded

    def _pixels_of_kept_file(self, view: View, data: bytes) -> np.ndarray:
        try:
            return decode_image(data, image_path(view)).pixels
        except CaptureError as error:
            self.warn(f"{error}. It is kept as it is")
            return np.zeros((view.height, view.width, 3), np.uint8)

    def _pixels(self, view: View, data: bytes) -> np.ndarray:
        image = decode_image(data, image_path(view))
        if image.pixels.shape[:2] != (view.height, view.width):
            raise CaptureError(f"{image_path(view)}: changed while the capture was read; start again")
        self._keep_metadata(view, image.metadata)
        for warning in image.warnings:
            # At once for the first photograph it is true of, counted for the others; each may be read more than once.
            photographs = self._photographs_warned_of.setdefault(
                warning.removeprefix(f"{image_path(view).name}: "), set()
            )
            if not photographs:
                self.warn(warning)
            photographs.add(view.name)
        return image.pixels

    def _keep_metadata(self, view: View, metadata: ImageMetadata) -> None:
        if self.encoded_apart:
            metadata = with_jpeg_likeness(metadata, "none")
        if self.attachments != "none":
            essential = self.attachments == "points"
            self.metadata[view.view_idx] = essential_metadata(metadata) if essential else metadata

    def warn_of_others(self) -> None:
        """Say of how many more photographs a warning was true."""
        for warning, photographs in self._photographs_warned_of.items():
            if len(photographs) > 1:
                self.warn(f"{len(photographs)} photographs in all: {warning}")


def image_path(view: View) -> Path:
    """Where the photograph of a view is."""
    assert view.image_path is not None, "a capture to compress has its photographs on this machine"
    return view.image_path
