"""Encoder side: which of AV1's eight reference slots a view names, and which one it is written into.

What a slot shows is put in from outside before each view (`view_prediction`), so that a slot counts for two things:
it has a buffer of its own, and it gives the view that names it first its probabilities. A view names only slots that
were refreshed by views it hangs on anyway, the ones it is predicted from and theirs: it then decodes without any other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nerfstudio_mvc.video.libaom import SLOTS

MOST_NAMED = 6
TINY = -1
"""Stands for the copy of the key frame that follows it, so that there are two buffers from the start."""
TINY_SLOT = 7


@dataclass(frozen=True)
class NamedSlots:
    """Of one view: slots it refers to, the first one giving its probabilities; the one it is written into, or None."""

    named: tuple[int, ...]
    refresh: int | None


class SlotPlan:
    """The slots of one stream; `key` is the position of its first view."""

    def __init__(self, key: int) -> None:
        self._key = key
        self._owner = [key] * SLOTS
        self._owner[TINY_SLOT] = TINY

    def name(
        self, position: int, *, nearest: int | None, ancestors: Collection[int], wanted: int, needed: Collection[int]
    ) -> NamedSlots:
        """Slots of the view at `position`, and note that it is coded.

        Args:
            nearest: the view whose probabilities suit it best, where that has been coded in this stream.
            ancestors: all views it hangs on.
            wanted: how many pictures there are to refer to.
            needed: views that the ones to come want the probabilities of, perhaps this one among them.
        """
        always = (self._key, TINY)
        own = {owner: slot for slot, owner in enumerate(self._owner) if owner in always or owner in ancestors}
        latest_first = sorted(own, key=lambda owner: (owner == nearest, owner not in always), reverse=True)
        named = tuple(own[owner] for owner in latest_first)[: min(wanted, MOST_NAMED)]
        refresh = self._to_refresh(own, named, position in needed, needed)
        if refresh is not None:
            self._owner[refresh] = position
        return NamedSlots(named, refresh)

    def _to_refresh(
        self, own: dict[int, int], named: tuple[int, ...], wanted_later: bool, needed: Collection[int]
    ) -> int | None:
        keys = [slot for slot, owner in enumerate(self._owner) if owner == self._key]
        if len(keys) > 1:
            # A buffer of its own, for the views that hang on this one.
            return keys[0] if keys[0] not in named else keys[1]
        if not wanted_later:
            return None
        free = [slot for owner, slot in own.items() if owner not in needed and owner != self._key]
        return free[0] if free else None
