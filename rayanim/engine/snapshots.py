"""Snapshots of an open source: to go back, the updates since the nearest one run, and not all.

A snapshot is what an actor would be sent of the source, with its figure, before the update of a
frame. They are taken where the cache could fingerprint the state: then all of it is of known
kinds. The source goes on from a snapshot only if that draws its frame with the same pixels; else
all updates run, as without snapshots.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from rayanim.engine.audit import pixel_digest
from rayanim.engine.packing import PackedSource, pack, restore_variables, unpickled
from rayanim.engine.state import check_parameters, pickles_itself, state_digest
from rayanim.errors import NotPicklableError
from rayanim.sources import Pixels, Source, figure_given_back
from rayanim.storage.fingerprint import NoDigestError

_logger = logging.getLogger("rayanim")

EVERY_S = 0.25
"""Between two snapshots updates take so long, or longer."""

LARGEST_SHARE = 0.1
"""Snapshots may take this share of the time of the updates between them."""

MOST, MOST_BYTES = 64, 256 * 2**20
"""So many are kept; beyond, every second one goes, and they are taken half as often."""


@dataclass(slots=True)
class KeptState:
    """The state before a frame, and what the frame looked like."""

    packed: PackedSource
    pixels: bytes | None = None


class Snapshots:
    """Those of one source, by the number of the frame that comes next."""

    def __init__(self, params: Any) -> None:
        self._kept: dict[int, KeptState] = {}
        self._every_s = EVERY_S
        self._since_s = self._began_s = self._last_took_s = 0.0
        self._is_over = False
        try:
            # An update could tell its own class from that of a parameter.
            check_parameters(params)
        except NoDigestError as error:
            self.give_up(str(error))

    def give_up(self, why: str) -> None:
        """Keep none any more."""
        _logger.info("Going back runs all updates: %s.", why)
        self._is_over = True
        self._kept.clear()

    def latest(self, number: int) -> int | None:
        """The last frame before frame `number` that there is a snapshot of."""
        # One without pixels: its frame could not be drawn.
        there = (at for at, kept in self._kept.items() if at < number and kept.pixels)
        return max(there, default=None)

    def spend(self, update_s: float) -> None:
        """An update took so long."""
        self._since_s += update_s

    def takes(self, source: Source, number: int) -> bool:
        """Keep the state before frame `number`, if it is time; whether it was."""
        if number in self._kept:
            self._since_s = 0.0
        if self._is_over or self._since_s <= max(self._every_s, self._last_took_s / LARGEST_SHARE):
            return False
        self._began_s = time.perf_counter()
        try:
            # It refuses what is unknown, or too large.
            state_digest(source)
            with figure_given_back(source):
                self._kept[number] = KeptState(pack(source, _pickled))
        except (NoDigestError, NotPicklableError) as error:
            self.give_up(str(error))
            return False
        self._thin_out()
        self._since_s = 0.0
        return number in self._kept

    def _thin_out(self) -> None:
        while (
            len(self._kept) > MOST
            or sum(len(each.packed.pickled) for each in self._kept.values()) > MOST_BYTES
        ):
            for number in sorted(self._kept)[::2]:
                del self._kept[number]
            self._every_s *= 2

    def remember(self, number: int, frame: Pixels) -> None:
        """What frame `number` looks like, whose snapshot was taken."""
        self._kept[number].pixels = _digest_of(frame)
        self._last_took_s = time.perf_counter() - self._began_s

    def is_same(self, number: int, frame: Pixels) -> bool:
        """Whether frame `number` looks as it did when its snapshot was taken."""
        return self._kept[number].pixels == _digest_of(frame)

    def restored(self, number: int) -> Source:
        """The source as it was before frame `number`, open."""
        packed = self._kept[number].packed
        self._since_s = 0.0
        restore_variables(packed)
        return unpickled(packed)


def _digest_of(frame: Pixels) -> bytes:
    return pixel_digest(np.ascontiguousarray(frame))


def _pickled(thing: Any) -> bytes:
    registries = getattr(sys.modules.get("matplotlib.cbook"), "CallbackRegistry", ())

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Keeps what figures call, which matplotlib drops: colour bars follow so."""

        def reducer_override(self, each: Any) -> Any:
            if isinstance(each, registries):
                return object.__new__, (type(each),), _with_callbacks(each)
            if not isinstance(each, type) and pickles_itself(type(each)):
                raise NotPicklableError(f"{type(each).__qualname__} may leave something out")
            return super().reducer_override(each)

    memory = io.BytesIO()
    Pickler(memory).dump(thing)
    return memory.getvalue()


def _with_callbacks(registry: Any) -> dict[str, Any]:
    """The state of a registry; of a canvas's events only a draw comes."""
    called = {
        signal: {number: each() for number, each in connected.items() if each() is not None}
        for signal, connected in registry.callbacks.items()
        if not signal.endswith("event") or signal == "draw_event"
    }
    return {**registry.__getstate__(), "callbacks": called}
