"""The tasks as a cluster sees them: functions that load what they need where they run, and fail with one line.

A scheduler reads what is sent through it, functions by name; it should not load torch for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from nerfstudio_mvc.errors import MvcError

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.capture_plan import GroupTask, PreparedCapture
    from nerfstudio_mvc.pipeline.options import CompressOptions
    from nerfstudio_mvc.pipeline.reports import CompressReport

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _fails_with_a_line(task: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    @wraps(task)
    def run(*arguments: Arguments.args, **settings: Arguments.kwargs) -> Result:
        try:
            return task(*arguments, **settings)
        except (MvcError, OSError) as error:
            raise MvcError(str(error)) from None  # not every error can be sent as it is
        except Exception as error:
            raise MvcError(f"{type(error).__name__}: {error}") from None

    return run


@_fails_with_a_line
def prepare(data: Path, archive: Path, options: CompressOptions) -> PreparedCapture | None:
    """`prepare_capture`, on a worker."""
    from nerfstudio_mvc.pipeline.capture_tasks import prepare_capture

    return prepare_capture(data, archive, options)


@_fails_with_a_line
def code(task: GroupTask) -> None:
    """`code_group`, on a worker."""
    from nerfstudio_mvc.pipeline.capture_tasks import code_group

    code_group(task)


@_fails_with_a_line
def finish(
    data: Path, archive: Path, options: CompressOptions, prepared: PreparedCapture, groups: Sequence[None]
) -> CompressReport:
    """`finish_capture`, on a worker, when `groups` are coded."""
    from nerfstudio_mvc.pipeline.capture_tasks import finish_capture

    return finish_capture(data, archive, options, prepared)


@_fails_with_a_line
def check(archive: Path, how: dict[str, Any]) -> tuple[str, ...]:
    """What `check_archive` finds wrong with an archive, a line each; `how`: what it takes besides."""
    from nerfstudio_mvc.pipeline.archive_check import check_archive

    found = check_archive(archive, **how, jobs=1)
    if found.decoding is None:
        return found.bytes.problems
    return (
        *found.bytes.problems,
        *(f"not decoded: {name}" for name in found.decoding.lost),
    )
