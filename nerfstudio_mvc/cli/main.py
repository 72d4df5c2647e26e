"""How every command starts and ends: parse, run, one line for an expected error, the exit code.

What a command does is its own module's business. Exit codes: 0 done, 1 failed or damaged, 2 wrong command line,
130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, Protocol, TextIO, TypeVar

import tyro

from nerfstudio_mvc.cli.console import printable
from nerfstudio_mvc.errors import MvcError, OptionError

EXIT_FAILED = 1
MOST_OF_A_MESSAGE = 4000
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Command(Protocol):
    """A frozen dataclass whose fields are the flags and whose `run` does the work and returns the exit code."""

    def run(self) -> int: ...


AnyCommand = TypeVar("AnyCommand", bound=Command)


class UsageError(Exception):
    """Flags that parse one by one but do not make sense: one line, exit code 2."""


def run_command(command_type: type[AnyCommand], prog: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Parse the command line into `command_type`, run it, and exit.

    Args:
        command_type: the dataclass; its docstring is the description, the string under each field its help.
        prog: name of the command.
        argv: the words after the name; those of this process when None.
    """
    _open_streams()
    # A name that the terminal's encoding lacks is shown escaped, not a reason to fail.
    sys.stdout.reconfigure(errors="backslashreplace")
    # Terminated like interrupted: partial files are removed on the way out. nohup has the last one ignored.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _raise_interrupt)
    command = tyro.cli(command_type, prog=prog, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    code = _exit_code(command, prog)
    try:
        sys.stderr.flush()
    except OSError:
        _give_up(sys.stderr)
    sys.exit(code)


def _exit_code(command: Command, prog: str) -> int:
    try:
        code = command.run()
        sys.stdout.flush()
        return code
    except OptionError as error:
        _say(f"{prog}: {', '.join(map(_flag, error.options))} {error.problem}")
        return EXIT_USAGE
    except MvcError as error:
        _say(f"{prog}: {error}")
        return EXIT_FAILED
    except UsageError as error:
        _say(f"{prog}: {error}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        _say(f"{prog}: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our answer (`| head`) has gone.
        _give_up(sys.stdout)
        return EXIT_FAILED
    except OSError as error:
        _say(f"{prog}: {error}")
        _give_up(sys.stdout)
        return EXIT_FAILED


def _flag(option: str) -> str:
    """``target_psnr_db`` -> ``--target-psnr``: units are said by the help, or come with the value."""
    return f"--{option.removesuffix('_db').removesuffix('_bytes').replace('_', '-')}"


def _open_streams() -> None:
    """Where stdin, stdout or stderr are closed, nothing else must take their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115


def _say(message: str) -> None:
    """Print an error to stderr, if that can be written."""
    message = printable(message)
    try:
        print(message if len(message) < MOST_OF_A_MESSAGE else f"{message[:MOST_OF_A_MESSAGE]} ..", file=sys.stderr)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """What was not printed yet goes nowhere; flushing it at exit must not fail again."""
    with suppress(OSError):  # a stream that is no file has nothing to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _raise_interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
