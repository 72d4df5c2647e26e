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
from typing import NoReturn, Protocol, TypeVar

import tyro

from nerfstudio_mvc.errors import MvcError, OptionError

EXIT_FAILED = 1
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
    # Threads that wait let others compute: two commands at once on two cores otherwise take three times as long as they
    # need. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A name that the terminal's encoding lacks is shown escaped, not a reason to fail.
    sys.stdout.reconfigure(errors="backslashreplace")
    # Terminated like interrupted: partial files are removed on the way out.
    signal.signal(signal.SIGTERM, _raise_interrupt)
    command = tyro.cli(command_type, prog=prog, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    sys.exit(_exit_code(command, prog))


def _exit_code(command: Command, prog: str) -> int:
    try:
        code = command.run()
        sys.stdout.flush()
        return code
    except OptionError as error:
        print(f"{prog}: {', '.join(map(_flag, error.options))} {error.problem}", file=sys.stderr)
        return EXIT_USAGE
    except MvcError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except UsageError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our answer (`| head`) has gone.
        _close_stdout()
        return EXIT_FAILED
    except OSError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        _close_stdout()
        return EXIT_FAILED


def _flag(option: str) -> str:
    """``target_psnr_db`` -> ``--target-psnr``: units are said by the help, or come with the value."""
    return f"--{option.removesuffix('_db').removesuffix('_bytes').replace('_', '-')}"


def _close_stdout() -> None:
    """What was not printed yet goes nowhere; flushing it at exit must not fail again."""
    with suppress(OSError):  # a stdout that is no file has nothing to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raise_interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
