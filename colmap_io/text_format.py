"""COLMAP's text files, to the same records as `binary_format`; numbers survive exactly, comments do not.

Works on strings: which files a folder holds is `model_folder`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from colmap_io.camera_models import named_params
from colmap_io.errors import ModelError
from colmap_io.records import Camera, Frame, FrameData, Image, Points3D, Rig, RigSensor

_SENSOR_NUMBERS = {"INVALID": -1, "CAMERA": 0, "IMU": 1}
_SENSOR_NAMES = {number: name for name, number in _SENSOR_NUMBERS.items()}


class _Words:
    """The words of one line, handed out in order; what does not fit names the file and the line."""

    def __init__(self, line: str, file_name: str, line_number: int) -> None:
        self.words, self.position = line.split(), 0
        self.place = f"{file_name}: line {line_number}"

    def text(self) -> str:
        if self.position >= len(self.words):
            raise ModelError(f"{self.place}: the line ends too early")
        self.position += 1
        return self.words[self.position - 1]

    def integer(self, low: int = 0, high: int = 2**63 - 1) -> int:
        word = self.text()
        try:
            value = int(word)
        except ValueError:
            raise ModelError(f"{self.place}: {word[:40]!r} is not a whole number") from None
        if not low <= value <= high:
            raise ModelError(f"{self.place}: {word[:40]} is out of range")
        return value

    def numbers(self, count: int) -> tuple[float, ...]:
        words = [self.text() for _ in range(count)]
        try:
            return tuple(float(word) for word in words)
        except ValueError:
            raise ModelError(f"{self.place}: expected {count} numbers, found {' '.join(words)[:80]!r}") from None

    def rest(self) -> list[str]:
        words = self.words[self.position :]
        self.position = len(self.words)
        return words

    def sensor_type(self) -> int:
        word = self.text()
        if word not in _SENSOR_NUMBERS:
            raise ModelError(f"{self.place}: unknown sensor type {word[:40]!r}")
        return _SENSOR_NUMBERS[word]

    def finish(self) -> None:
        if self.position < len(self.words):
            raise ModelError(f"{self.place}: unexpected {self.words[self.position][:40]!r}")


_ID_32, _ID_64 = 2**32 - 1, 2**63 - 1


def _records(text: str, file_name: str) -> Iterator[_Words]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield _Words(line, file_name, number)


def read_cameras(text: str) -> tuple[Camera, ...]:
    """Cameras of a `cameras.txt`.

    Raises:
        ModelError: naming file and line.
    """
    cameras = []
    for words in _records(text, "cameras.txt"):
        camera_id, model = words.integer(high=_ID_32), words.text()
        width, height = words.integer(), words.integer()
        camera = Camera(camera_id, model, width, height, words.numbers(len(words.words) - words.position))
        try:
            named_params(camera)
        except ModelError as error:
            raise ModelError(f"{words.place}: {error}") from None
        cameras.append(camera)
    return tuple(cameras)


def write_cameras(cameras: Sequence[Camera]) -> str:
    """Text of a `cameras.txt`."""
    lines = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"]
    lines += [f"{item.camera_id} {item.model} {item.width} {item.height} {_join(item.params)}" for item in cameras]
    return "\n".join(lines) + "\n"


def read_images(text: str) -> tuple[Image, ...]:
    """Images of an `images.txt`: two lines each, the second, of key points, may be empty.

    Raises:
        ModelError: naming file and line.
    """
    lines = text.split("\n")
    images = []
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = _Words(line, "images.txt", number)
        image_id = words.integer(high=_ID_32)
        pose = words.numbers(7)
        camera_id = words.integer(high=_ID_32)
        # A name may contain spaces, so it is the rest of the line and not a word.
        fields = line.split(maxsplit=9)
        if len(fields) < 10:
            raise ModelError(f"{words.place}: the image has no name")
        points2d, point3d_ids = _key_points(lines[number] if number < len(lines) else "", number + 1)
        number += 1
        images.append(
            Image(
                image_id=image_id,
                quaternion=np.array(pose[:4]),
                translation=np.array(pose[4:]),
                camera_id=camera_id,
                name=fields[9].rstrip("\r"),
                points2d=points2d,
                point3d_ids=point3d_ids,
            )
        )
    return tuple(images)


def _key_points(line: str, line_number: int) -> tuple[np.ndarray, np.ndarray]:
    words = line.split()
    place = f"images.txt: line {line_number}"
    if len(words) % 3:
        raise ModelError(f"{place}: expected triples X Y POINT3D_ID, found {len(words)} words")
    try:
        points2d = np.array([words[0::3], words[1::3]], dtype=np.float64).T
        point3d_ids = np.array([int(word) for word in words[2::3]], dtype=np.int64)
    except (ValueError, OverflowError):
        raise ModelError(f"{place}: a key point is not made of numbers") from None
    return np.ascontiguousarray(points2d), point3d_ids


def write_images(images: Sequence[Image]) -> str:
    """Text of an `images.txt`."""
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME", "# POINTS2D[] as X Y POINT3D_ID"]
    for image in images:
        pose = _join((*image.quaternion.tolist(), *image.translation.tolist()))
        lines.append(f"{image.image_id} {pose} {image.camera_id} {image.name}")
        triples = zip(image.points2d.tolist(), image.point3d_ids.tolist(), strict=True)
        lines.append(" ".join(f"{x!r} {y!r} {point3d_id}" for (x, y), point3d_id in triples))
    return "\n".join(lines) + "\n"


def read_points(text: str) -> Points3D:
    """Points of a `points3D.txt`.

    Raises:
        ModelError: naming file and line.
    """
    ids, heads, colors, tracks, lengths = [], [], [], [], []
    for words in _records(text, "points3D.txt"):
        ids.append(words.integer(high=_ID_64))
        xyz = words.numbers(3)
        colors.append([words.integer(high=255) for _ in range(3)])
        heads.append((*xyz, *words.numbers(1)))
        track = words.rest()
        if len(track) % 2:
            raise ModelError(f"{words.place}: expected pairs IMAGE_ID POINT2D_IDX, found {len(track)} words")
        lengths.append(len(track) // 2)
        tracks.extend(track)
    try:
        pairs = np.array([int(word) for word in tracks], dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError):
        raise ModelError("points3D.txt: a track is not made of whole numbers") from None
    if pairs.size and (pairs.min() < 0 or pairs.max() > _ID_32):
        raise ModelError("points3D.txt: a number in a track is out of range")
    values = np.array(heads, dtype=np.float64).reshape(-1, 4)
    return Points3D(
        ids=np.array(ids, dtype=np.uint64),
        xyz=np.ascontiguousarray(values[:, :3]),
        colors=np.array(colors, dtype=np.uint8).reshape(-1, 3),
        errors=np.ascontiguousarray(values[:, 3]),
        track_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        track_image_ids=pairs[:, 0].astype(np.uint32),
        track_point2d_idxs=pairs[:, 1].astype(np.uint32),
    )


def write_points(points: Points3D) -> str:
    """Text of a `points3D.txt`."""
    lines = ["# POINT3D_ID X Y Z R G B ERROR TRACK[] as IMAGE_ID POINT2D_IDX"]
    pairs = np.stack([points.track_image_ids, points.track_point2d_idxs], axis=1)
    starts = points.track_starts.tolist()
    rows = zip(points.ids.tolist(), points.xyz.tolist(), points.colors.tolist(), points.errors.tolist(), strict=True)
    for row, (point_id, xyz, color, error) in enumerate(rows):
        track = pairs[starts[row] : starts[row + 1]].reshape(-1).tolist()
        lines.append(" ".join(map(repr, (point_id, *xyz, *color, error, *track))))
    return "\n".join(lines) + "\n"


def read_rigs(text: str) -> tuple[Rig, ...]:
    """Rigs of a `rigs.txt`.

    Raises:
        ModelError: naming file and line.
    """
    rigs = []
    for words in _records(text, "rigs.txt"):
        rig_id, sensor_count = words.integer(high=_ID_32), words.integer(high=len(words.words))
        sensors = []
        for index in range(sensor_count):
            sensor_type, sensor_id = words.sensor_type(), words.integer(high=_ID_32)
            has_pose = index > 0 and words.integer(high=1) == 1
            sensors.append(RigSensor(sensor_type, sensor_id, words.numbers(7) if has_pose else None))
        words.finish()
        rigs.append(Rig(rig_id, tuple(sensors)))
    return tuple(rigs)


def write_rigs(rigs: Sequence[Rig]) -> str:
    """Text of a `rigs.txt`."""
    lines = ["# RIG_ID NUM_SENSORS REF_SENSOR_TYPE REF_SENSOR_ID SENSORS[] as TYPE ID HAS_POSE [QW QX QY QZ TX TY TZ]"]
    for rig in rigs:
        words = [f"{rig.rig_id} {len(rig.sensors)}"]
        for index, sensor in enumerate(rig.sensors):
            words.append(f"{_SENSOR_NAMES[sensor.sensor_type]} {sensor.sensor_id}")
            if index > 0:
                pose = sensor.sensor_from_rig
                words.append("0" if pose is None else f"1 {_join(pose)}")
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def read_frames(text: str) -> tuple[Frame, ...]:
    """Frames of a `frames.txt`.

    Raises:
        ModelError: naming file and line.
    """
    frames = []
    for words in _records(text, "frames.txt"):
        frame_id, rig_id = words.integer(high=_ID_32), words.integer(high=_ID_32)
        pose = words.numbers(7)
        recorded = [
            FrameData(words.sensor_type(), words.integer(high=_ID_32), words.integer())
            for _ in range(words.integer(high=len(words.words)))
        ]
        words.finish()
        frames.append(Frame(frame_id, rig_id, pose, tuple(recorded)))
    return tuple(frames)


def write_frames(frames: Sequence[Frame]) -> str:
    """Text of a `frames.txt`."""
    lines = ["# FRAME_ID RIG_ID RIG_FROM_WORLD[QW QX QY QZ TX TY TZ] NUM_DATA_IDS DATA_IDS[] as TYPE SENSOR_ID DATA_ID"]
    for frame in frames:
        words = [f"{frame.frame_id} {frame.rig_id} {_join(frame.rig_from_world)} {len(frame.data)}"]
        words += [f"{_SENSOR_NAMES[item.sensor_type]} {item.sensor_id} {item.data_id}" for item in frame.data]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def _join(numbers: Sequence[float]) -> str:
    return " ".join(repr(float(number)) for number in numbers)
