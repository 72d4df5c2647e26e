"""A sparse model as a folder: where it usually lies, whether it is binary or text, all its files at once.

The bytes of a single file are the business of `binary_format` and `text_format`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from colmap_io import binary_format, text_format
from colmap_io.errors import ModelError
from colmap_io.records import Model
from colmap_io.regular_files import open_regular, read_regular

USUAL_PLACES = ("colmap/sparse/*", "sparse/*", "colmap/sparse", "sparse", "colmap", ".")
"""Where models lie below a capture folder; the first place that holds some is taken."""

_FIELDS = {"cameras": "cameras", "images": "images", "points3D": "points", "rigs": "rigs", "frames": "frames"}
"""File name -> field of `Model`, which both format modules read and write with `read_<field>` and `write_<field>`."""

_OPTIONAL = ("points3D", "rigs", "frames")


def find_models(root: Path) -> list[Path]:
    """The folders at or below `root` that hold a sparse model each, the one with most images first."""
    for place in USUAL_PLACES:
        folders = sorted(root.glob(place), key=_number) if "*" in place else [root / place]
        models = [
            folder for folder in folders if any((folder / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt"))
        ]
        if models:
            return sorted(models, key=lambda folder: -image_count(folder))
    return []


def image_count(folder: Path) -> int:
    """How many images the model in `folder` says it has; 0 where it does not."""
    try:
        if (folder / "images.bin").is_file():
            with open_regular(folder / "images.bin") as file:
                return int.from_bytes(file.read(8), "little")
        with open_regular(folder / "images.txt") as file:
            # Two lines an image, of which the second may be empty.
            return sum(not line.startswith(b"#") for line in file) // 2
    except OSError:
        return 0


def _number(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdigit() else 1 << 30), folder.name


def read_model(folder: Path) -> Model:
    """The model in `folder`; binary files are preferred where both kinds are there.

    Raises:
        ModelError: a file is missing, cannot be read or is damaged, or an image names a camera that is not there.
            The message names the file.
    """
    suffix = ".bin" if (folder / "cameras.bin").is_file() else ".txt"
    parts: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        path = folder / f"{name}{suffix}"
        if name in _OPTIONAL and not path.is_file():
            continue
        try:
            data = read_regular(path)
            if suffix == ".bin":
                parts[field] = getattr(binary_format, f"read_{field}")(data)
            else:
                parts[field] = getattr(text_format, f"read_{field}")(data.decode("utf-8", "surrogateescape"))
        except FileNotFoundError:
            raise ModelError(f"{folder} has cameras{suffix} but no {path.name}") from None
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror}") from None
        except ModelError as error:
            raise ModelError(f"{folder}/{error}") from None
    model = Model(**parts)
    _check_references(model, folder)
    return model


def write_model(model: Model, folder: Path, *, kind: Literal["binary", "text"] = "binary") -> None:
    """Write the files of `model` into `folder`, which is made if need be.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, field in _FIELDS.items():
        part = getattr(model, field)
        if part is None:
            continue
        if kind == "binary":
            (folder / f"{name}.bin").write_bytes(getattr(binary_format, f"write_{field}")(part))
        else:
            text = getattr(text_format, f"write_{field}")(part)
            (folder / f"{name}.txt").write_bytes(text.encode("utf-8", "surrogateescape"))


def _check_references(model: Model, folder: Path) -> None:
    camera_ids = {camera.camera_id for camera in model.cameras}
    for image in model.images:
        if image.camera_id not in camera_ids:
            raise ModelError(f"{folder}: image {image.name!r} has camera {image.camera_id}, which is not in the model")
