"""The events a pipeline reports while it works; printing them is the command line's business.

Every pipeline function takes `on_event`, a callable that receives these one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """What is about to happen, reported before the long part; again when all is coded anew with another quality.

    Attributes:
        codec, fingerprint, quality, device: how it is coded; `fingerprint` of the weights, "" without weights.
        views, groups: how many will be worked on.
        sizes: (width, height) of the views in pixels, without repetitions, in order of appearance.
    """

    codec: str
    fingerprint: str
    quality: float
    device: str
    views: int
    groups: int
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class StepProgress:
    """A step: `done` of `total` units; finished when they are equal. `of_views`: it is a part of coding the views."""

    step: str
    done: int
    total: int
    of_views: bool = False


@dataclass(frozen=True)
class ViewDone:
    """A view was coded or decoded.

    Attributes:
        view_idx, name: which.
        payload_bytes: its bytes in the archive; 0 when decoding.
        source_bytes: of its photograph on disk; 0 when unknown.
        group_idx: of its group.
    """

    view_idx: int
    name: str
    payload_bytes: int
    source_bytes: int
    group_idx: int = 0


@dataclass(frozen=True)
class GroupReused:
    """A group finished by the run that is being resumed: `views` of them, `payload_bytes` in all."""

    group_idx: int
    views: int
    payload_bytes: int
    source_bytes: int


@dataclass(frozen=True)
class Warned:
    """Something the user should know; the work goes on."""

    message: str


@dataclass(frozen=True)
class Noted:
    """How the work stands, in one line."""

    message: str


Event = Planned | StepProgress | ViewDone | GroupReused | Warned | Noted
OnEvent = Callable[[Event], None]


def in_turn(on_event: OnEvent) -> OnEvent:
    """`on_event` for several threads: it receives their events one after the other."""
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            on_event(event)

    return report


def ignore_event(event: Event) -> None:
    """The `on_event` of callers that do not want to know."""
