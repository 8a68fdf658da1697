"""Changes each value that an artist of matplotlib's is drawn from, and compares with a full draw.

Run it as a command: ``python tests/figure/every_change.py --kind axis --kind legend``. All kinds
with all of their changes take about an hour of one core.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import time
import warnings
from typing import Any

from artist_kinds import KINDS, figure_of
from mutations import Mutation, mutations_of, setters_of
from sameness import unguarded

from rayanim.figure.canvas import IncrementalCanvas


def main() -> int:
    """Change and compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--kind", action="append", choices=KINDS, metavar="NAME", help="a kind of artist; else all")
    add("--sample", type=int, metavar="N", help="only N changes of values, and N setters, of each")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n_missed = 0
    for name in options.kind or KINDS:
        started_s = time.monotonic()
        missed = unseen_changes(name, options.sample) + unseen_settings(name, options.sample)
        print(f"{name}: {len(missed)} missed ({time.monotonic() - started_s:.0f} s)", flush=True)
        for each in missed:
            print(f"  {each}", flush=True)
        n_missed += len(missed)
    return 1 if n_missed else 0


class Comparing:
    """Draws one figure so that each frame is compared with a full draw."""

    def __init__(self, name: str) -> None:
        self.figure, made = figure_of(name)
        self.artists: list[Any] = list(made) if isinstance(made, list | tuple) else [made]
        self.canvas = self._new_canvas()

    def _new_canvas(self) -> IncrementalCanvas:
        canvas = unguarded(self.figure)
        canvas._has_time = lambda: True
        return canvas

    def settle(self) -> None:
        """Draw until nothing is drawn any more but what always is."""
        for _ in range(6):
            self.canvas.draw_frame()
            nodes = self.canvas.nodes
            if len(nodes) and not any(n.drawn_for for n in nodes if n.watch and not n.is_unknown):
                break

    def difference(self) -> str | None:
        """Draw a frame; what a full draw shows otherwise."""
        self.canvas.draw_frame(compare=True)
        found = self.canvas.difference
        if found is None:
            return None
        self.canvas = self._new_canvas()
        return ", ".join(found.artists)


def _sampled(name: str, among: list[Any], sample: int | None) -> list[Any]:
    """A few of many, the same ones in each run; all without `sample`."""
    if sample is None or len(among) <= sample:
        return among
    return random.Random(name).sample(among, sample)


def unseen_changes(name: str, sample: int | None = None) -> list[str]:
    """Changes past all setters that an incremental draw of this kind of artist misses."""
    comparing = Comparing(name)
    comparing.settle()
    mutations = list(mutations_of(comparing.artists))
    missed: list[str] = []
    for number in _sampled(name, list(range(len(mutations))), sample):
        if number >= len(mutations):
            continue
        found, failed = _unseen(comparing, mutations[number])
        missed += found
        if failed:
            # What drawing left half done is not to be put back: with a new figure, on.
            comparing = Comparing(name)
            comparing.settle()
            mutations = list(mutations_of(comparing.artists))
    return missed


def _unseen(comparing: Comparing, mutation: Mutation) -> tuple[list[str], bool]:
    """The change or the way back, where an incremental draw misses it; whether drawing failed."""
    missed = []
    for step in (mutation.do, mutation.undo):
        try:
            comparing.settle()
            step()
            found = comparing.difference()
        except Exception:
            mutation.undo()
            return missed, True
        if found:
            missed.append(f"{mutation.path}: {found}")
    return missed, False


def unseen_settings(name: str, sample: int | None = None) -> list[str]:
    """Setters whose effect an incremental draw of this kind of artist misses."""
    comparing = Comparing(name)
    calls = [(n, *call) for n, each in enumerate(comparing.artists) for call in setters_of(each)]
    missed = []
    for number, setter, values in _sampled(name, calls, sample):
        for value in values:
            if comparing is None:
                comparing = Comparing(name)
            try:
                comparing.settle()
                getattr(comparing.artists[number], setter)(copy.copy(value))
                found = comparing.difference()
            except Exception:
                comparing = None
                continue
            if found:
                missed.append(f"{setter}({value!r}): {found}")
            break
        if setter in ("set_visible", "set_alpha", "set_animated", "set_axis_off"):
            comparing = None
    return missed


if __name__ == "__main__":
    sys.exit(main())
