"""The one family of errors this package raises on purpose; everything else is a bug of ours.

Each message says what is wrong, where, and what to do about it, in one line where that is possible:
the command line prints it as it is and exits with code 1.
"""


class MvcError(Exception):
    """Anything a user can put right; base of the family."""


class OptionError(MvcError):
    """An option is out of range, or several exclude each other: `options` are their names in Python.

    The command line names its flags instead, and exits with code 2.
    """

    def __init__(self, *options: str, problem: str) -> None:
        self.options, self.problem = options, problem
        super().__init__(f"{', '.join(options)} {problem}")


class CaptureError(MvcError):
    """The input capture is incomplete, unreadable or contradicts itself."""


class ArchiveError(MvcError):
    """The `.mvc` file is damaged, truncated, of another version, or does not hold what was asked for."""


class WeightsError(MvcError):
    """The model weights needed are missing, damaged, or not the ones the archive was written with."""


class OutputError(MvcError):
    """The result cannot be written: it exists already, or the disk is full."""


class ShapeError(MvcError, ValueError):
    """Arrays handed to a function do not fit together; a caller's mistake, not a user's."""
