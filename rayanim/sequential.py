"""A source whose frames depend on those before them, made exact in any process."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from rayanim.drawing.ledger import aside
from rayanim.randomness import SETUP, seed_for
from rayanim.source import Geometry, Pixels, Source

DEPTH_SHARED = 3
"""Attributes of attributes in which what cannot be copied is looked for: a source's user's own."""


class SequentialSource:
    """Another source's frames, each drawn in the state that a serial run would have.

    Before a frame is drawn, the updates of the frames that were skipped are
    run without drawing them. A frame that comes before the last one drawn
    takes a fresh start.

    Parameters
    ----------
    source
        What draws.
    seed
        The job's seed: each skipped frame gets its own random numbers too.
    params
        Every frame's parameters by its number, in order; None where the source
        needs none, and numbers are 0 and up.
    """

    def __init__(self, source: Source, seed: int | None, params: Mapping[int, Any] | None) -> None:
        self._source = source
        self._seed = seed
        self._params = params
        self._numbers = None if params is None else list(params)
        self._geometry: Geometry | None = None
        self._pristine: Source = source
        # All frames before this one have had their update.
        self._done = 0

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def n_frames(self) -> int | None:
        return self._source.n_frames

    def open(self, geometry: Geometry | None) -> None:
        self._geometry = geometry
        self._pristine = _copied(self._source)
        self._source.open(geometry)

    def measure(self, index: int, params: Any) -> Geometry:
        self._advance_to(index)
        self._geometry = self._source.measure(index, params)
        return self._geometry

    def draw(self, index: int, params: Any) -> Pixels:
        if index < self._done:
            self._start_afresh()
        self._advance_to(index)
        frame = self._source.draw(index, params)
        self._done = index + 1
        return frame

    def advance(self, index: int, params: Any) -> None:
        self._source.advance(index, params)
        self._done = index + 1

    def close(self) -> None:
        self._source.close()

    def _start_afresh(self) -> None:
        self._source.close()
        # What update() appends to may have been made before setup().
        self._source = _copied(self._pristine)
        seed_for(self._seed, SETUP)
        self._source.open(self._geometry)
        self._done = 0

    def _advance_to(self, index: int) -> None:
        if self._done >= index:
            return
        with aside():
            for number in self._skipped(index):
                seed_for(self._seed, number)
                params = None if self._params is None else self._params[number]
                self._source.advance(number, params)
        self._done = index
        seed_for(self._seed, index)

    def _skipped(self, index: int) -> Sequence[int]:
        """Numbers of the frames whose update has not run, up to frame `index`."""
        if self._numbers is None:
            return range(self._done, index)
        first, stop = (bisect_left(self._numbers, each) for each in (self._done, index))
        return self._numbers[first:stop]


def _copied(source: Source) -> Source:
    """A copy of `source` as it is before it is opened.

    What cannot be copied, a module or a lock for example, is shared: no film
    shows it.
    """
    try:
        return copy.deepcopy(source)
    except Exception:  # whatever the user's attributes raise
        return copy.deepcopy(source, _shared(source, DEPTH_SHARED))


def _shared(value: Any, depth: int) -> dict[int, Any]:
    """A memo that has `copy.deepcopy` keep what it cannot copy, so many attributes deep."""
    memo: dict[int, Any] = {}
    for each in list(getattr(value, "__dict__", {}).values()):
        try:
            copy.deepcopy(each)
        except Exception:
            inner = _shared(each, depth - 1) if depth and not isinstance(each, ModuleType) else {}
            memo |= inner or {id(each): each}
    return memo
