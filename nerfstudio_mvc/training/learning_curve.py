"""The learning curve of a run: its lines, the CSV file that every run writes, TensorBoard where it is installed.

Which lines there are is up to the loops; drawing a curve is `tools/plot_learning_curve.py`'s.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

CURVE_NAME = "learning_curve.csv"
PEAK_SQUARED = 255.0**2


@dataclass(frozen=True)
class Progress:
    """One line of a learning curve; averages since the line before.

    Attributes:
        step: of the model, all runs together.
        elapsed_s: seconds of this run.
        loss: what the optimiser sees.
        bpp_single, bpp_predicted: estimated, of views coded alone and of predicted ones; NaN where nothing is coded.
        mse: of the pictures, both kinds, on 0..255; NaN where it was not kept.
        learning_rate: peak over the parameters' groups; NaN where it was not kept.
    """

    step: int
    elapsed_s: float
    loss: float
    bpp_single: float
    bpp_predicted: float
    mse: float = math.nan
    learning_rate: float = math.nan

    @property
    def psnr_db(self) -> float:
        """That of the mean squared error, dB; over all qualities together."""
        return 10 * math.log10(PEAK_SQUARED / self.mse) if self.mse > 0 else math.nan


CURVE_COLUMNS = (*(field.name for field in dataclasses.fields(Progress)), "psnr_db")


class CurveFile:
    """Appends the lines of a run to a CSV file, and to TensorBoard's event files beside it where it is installed.

    Args:
        path: the CSV file; one that is there is continued.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events = _event_writer(path.parent)

    def __enter__(self) -> CurveFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()

    def add(self, progress: Progress) -> None:
        """Write a line at once: a run may be killed at any time."""
        row = curve_row(progress)
        is_new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, CURVE_COLUMNS, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        if self._events is not None:
            for name, text in row.items():
                if text and name != "step":
                    self._events.add_scalar(f"training/{name}", float(text), progress.step)


def curve_row(progress: Progress) -> dict[str, str]:
    """Column -> text of a line; empty where a value is unknown."""
    values = {**dataclasses.asdict(progress), "psnr_db": progress.psnr_db}
    return {name: "" if math.isnan(value) else f"{value:.7g}" for name, value in values.items()}


def read_curve(path: Path) -> list[Progress]:
    """The lines of a CSV file.

    Raises:
        OSError, ValueError: it cannot be read, or is no learning curve.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != CURVE_COLUMNS:
            raise ValueError(f"{path} is no learning curve: its columns are {reader.fieldnames}")
        return [_read_row(row) for row in reader]


def _read_row(row: dict[str, str]) -> Progress:
    numbers = {name: float(text) if text else math.nan for name, text in row.items() if name != "psnr_db"}
    return Progress(step=int(numbers.pop("step")), **numbers)


def _event_writer(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter  # optional: needs the package tensorboard
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
