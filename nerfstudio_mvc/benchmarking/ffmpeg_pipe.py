"""Pictures through the encoders of a real ffmpeg, in memory: planes in, an elementary stream out, planes back.

Which encoder with which options is the caller's business; so is colour (`ycbcr`). The program comes with the package
imageio-ffmpeg, or is the one that the environment variable IMAGEIO_FFMPEG_EXE names.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nerfstudio_mvc.errors import MvcError

PIXEL_FORMAT = "yuv444p10le"
BYTES_PER_SAMPLE = 2
INSTALL_HINT = 'install it with: pip install "imageio-ffmpeg>=0.6"'
ADDRESS = re.compile(r" @ 0x[0-9a-f]+")  # ffmpeg names its parts by where they lie in memory


class NoFfmpegError(MvcError):
    """There is no ffmpeg that can be started; the message says how to get one."""


def ffmpeg_path() -> str:
    """The program.

    Raises:
        NoFfmpegError: there is none.
    """
    try:
        import imageio_ffmpeg  # optional, and only here

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise NoFfmpegError(f"there is no ffmpeg to code video with: {INSTALL_HINT}") from error


@functools.lru_cache(maxsize=1)
def ffmpeg_encoders() -> frozenset[str]:
    """Names of the encoders the program was built with, e.g. ``"libaom-av1"``; empty without a program."""
    try:
        listed = subprocess.run(
            [ffmpeg_path(), "-hide_banner", "-encoders"], capture_output=True, check=True, text=True
        )
    except (MvcError, OSError, subprocess.CalledProcessError):
        return frozenset()
    words = (line.split() for line in listed.stdout.splitlines())
    return frozenset(parts[1] for parts in words if len(parts) > 1 and parts[0][0] in "VAS")


def encode_frames(
    frames: Iterable[np.ndarray],
    *,
    width: int,
    height: int,
    encoder: Sequence[str],
    stream_format: str,
    on_bytes: Callable[[bytes], None] | None = None,
) -> bytes:
    """Code frames of one size as one stream.

    Args:
        frames: planes Y, Cb, Cr at full resolution, 10 bit in uint16 [3, height, width]; taken one at a time.
        width, height: of every frame.
        encoder: ffmpeg's output options, from ``-c:v`` on; a ``-pix_fmt`` among them may reduce the chroma planes.
        stream_format: of the bytes, an ffmpeg muxer: ``"obu"``, ``"hevc"``, ``"vvc"``, ``"ivf"``.
        on_bytes: called with each part of the stream as it comes, and with none at the end, in a thread of its own.

    Raises:
        MvcError: there is no ffmpeg, or it failed.
        ShapeError, OSError: whatever `frames` or `on_bytes` raises.
    """
    # The rate only decides how fast a player would show the frames.
    arguments = [*_raw_format(width, height), "-r", "25", "-i", "pipe:0", *encoder, "-f", stream_format, "pipe:1"]
    with tempfile.TemporaryFile() as messages:
        process = _start(arguments, stdin=subprocess.PIPE, stderr=messages)
        output = _Output(process.stdout, on_bytes or (lambda part: None))
        # Reads while frames are written: both pipes are short.
        reader = threading.Thread(target=output.read)
        reader.start()
        try:
            _feed(process, frames, (3, height, width))
        except BaseException:
            process.kill()
            raise
        finally:
            reader.join()
            process.stdout.close()
            process.wait()
        if output.failure is not None:
            raise output.failure
        _check(process, messages)
    return b"".join(output.parts)


def decode_frames(
    stream: bytes,
    *,
    width: int,
    height: int,
    stream_format: str,
    decoder: Sequence[str] = (),
    limit_s: float | None = None,
) -> Iterator[np.ndarray]:
    """The frames of a stream, in the order they are shown; uint16 [3, height, width], chroma at full resolution.

    Args:
        stream: what `encode_frames` returned.
        width, height: of every frame.
        stream_format: as when coding.
        decoder: ffmpeg's input options, e.g. ``("-c:v", "libdav1d")``.
        limit_s: seconds after which the program is stopped, which is an error.

    Raises:
        MvcError: there is no ffmpeg, or it cannot decode the stream.
    """
    with tempfile.TemporaryDirectory(prefix="ns-mvc-video-") as folder, tempfile.TemporaryFile() as messages:
        path = Path(folder) / f"stream.{stream_format}"
        path.write_bytes(stream)
        arguments = ["-f", stream_format, *decoder, "-i", str(path), "-fps_mode", "passthrough"]
        arguments += ["-sws_flags", "lanczos+accurate_rnd", "-f", "rawvideo", "-pix_fmt", PIXEL_FORMAT, "pipe:1"]
        process = _start(arguments, stdin=subprocess.DEVNULL, stderr=messages)
        frame_bytes = 3 * height * width * BYTES_PER_SAMPLE
        stopper = threading.Timer(limit_s or 0, process.kill)
        if limit_s is not None:
            stopper.daemon = True
            stopper.start()
        try:
            while len(content := process.stdout.read(frame_bytes)) == frame_bytes:
                yield np.frombuffer(content, "<u2").reshape(3, height, width)
        finally:
            # A caller that wants no more frames leaves early; that is no failure.
            finished = process.stdout.read(1) == b"" if not process.stdout.closed else True
            if not finished:
                process.kill()
            stopper.cancel()
            process.stdout.close()
            process.wait()
        _check(process, messages)
        if content:
            raise MvcError(f"ffmpeg decoded frames of another size than {width}x{height}: the stream is damaged")


class _Output:
    """What a program writes, read to its end; if telling fails, all is read nevertheless, or the program would wait."""

    def __init__(self, pipe: io.BufferedReader, on_bytes: Callable[[bytes], None]) -> None:
        self._pipe, self._on_bytes = pipe, on_bytes
        self.parts: list[bytes] = []
        self.failure: BaseException | None = None

    def read(self) -> None:
        while part := self._pipe.read1():
            self.parts.append(part)
            self._tell(part)
        self._tell(b"")

    def _tell(self, part: bytes) -> None:
        if self.failure is None:
            try:
                self._on_bytes(part)
            except BaseException as error:  # raised again by the thread that waits for this one
                self.failure = error


def _raw_format(width: int, height: int) -> list[str]:
    return ["-f", "rawvideo", "-pix_fmt", PIXEL_FORMAT, "-s", f"{width}x{height}"]


def _start(arguments: Sequence[str], *, stdin: int, stderr) -> subprocess.Popen:
    command = [ffmpeg_path(), "-hide_banner", "-loglevel", "error", "-nostdin", *arguments]
    try:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
    except OSError as error:
        raise NoFfmpegError(f"ffmpeg cannot be started ({error.strerror or error}): {INSTALL_HINT}") from error
    return process


def _feed(process: subprocess.Popen, frames: Iterable[np.ndarray], shape: tuple[int, int, int]) -> None:
    try:
        for frame in frames:
            assert frame.shape == shape, f"a frame of shape {frame.shape} among frames of {shape}"
            process.stdin.write(np.ascontiguousarray(frame, "<u2").data)
            process.stdin.flush()  # the next one may wait for what comes of this one
    except BrokenPipeError:
        pass  # it stopped reading; its exit code and messages say why
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _check(process: subprocess.Popen, messages) -> None:
    if process.returncode < 0:
        raise MvcError(f"ffmpeg was stopped (signal {-process.returncode})")
    if process.returncode > 0:
        messages.seek(0)
        lines = messages.read().decode("utf-8", "replace").strip().splitlines()
        said = ADDRESS.sub("", lines[0]) if lines else f"exit code {process.returncode}"
        raise MvcError(f"ffmpeg failed: {said}")
