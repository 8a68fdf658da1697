"""Each value that an artist of matplotlib's is drawn from is changed in turn, and drawn."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import pytest
from artist_kinds import KINDS, figure_of
from matplotlib.artist import Artist
from mutations import Mutation, mutations_of, setters_of
from sameness import unguarded

from rayanim.figure.canvas import IncrementalCanvas
from rayanim.figure.changes import Watch, _visit_of

SAMPLE = 3
"""Changes of each kind of artist that are tried where not all are asked for."""


FEW = list(KINDS)[::4]
"""Kinds of artists that are looked at where not all are asked for."""


class Comparing:
    """Draws one figure so that each frame is compared with a full draw."""

    def __init__(self, name: str) -> None:
        self.name = name
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


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Values that make no sense give many warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sampled(name: str, among: list[Any], every: bool) -> list[Any]:
    """A few of many, the same ones in each run."""
    chance = random.Random(name)
    return among if every or len(among) <= SAMPLE else chance.sample(among, SAMPLE)


def unseen_changes(name: str, *, every: bool) -> list[str]:
    """Changes past all setters that an incremental draw of this kind of artist misses."""
    comparing = Comparing(name)
    comparing.settle()
    mutations = list(mutations_of(comparing.artists))
    missed: list[str] = []
    for number in sampled(name, list(range(len(mutations))), every):
        if number >= len(mutations):
            break
        mutation = mutations[number]
        found, failed = unseen(comparing, mutation)
        missed += found
        if failed:
            # What drawing left half done is not to be put back: with a new figure, on.
            comparing = Comparing(name)
            comparing.settle()
            mutations = list(mutations_of(comparing.artists))
    return missed


def unseen(comparing: Comparing, mutation: Mutation) -> tuple[list[str], bool]:
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


ABSTRACT = frozenset(
    [
        "Artist", "_AxesBase", "Axis", "Tick", "Collection", "_CollectionWithSizes", "ContourSet",
        "ColorizingArtist", "FigureBase", "GeoAxes", "AitoffAxes", "LambertAxes", "MollweideAxes",
        "_ImageBase", "OffsetBox", "PackerBase", "Patch", "AnchoredLocatorBase",
        "AnchoredSizeLocator", "AnchoredZoomLocator", "BboxPatch", "SimpleAxisArtist",
        "Collection3D",
    ]
)  # fmt: skip
"""Classes that are only inherited from, never drawn, or alike but for their numbers."""


def test_every_class_of_artists_that_is_trusted_is_among_the_kinds() -> None:
    """A class that a new matplotlib brings is to be looked at here, too."""
    if mpl.__version_info__ < (3, 11):
        pytest.skip("the kinds are those of the newest matplotlib")
    found: set[type] = set()
    for name in KINDS:
        figure, made = figure_of(name)
        figure.canvas.draw_idle()
        made = list(made) if isinstance(made, list | tuple) else [made]
        found |= {type(each) for artist in [figure, *made] for each in artist.findobj()}
        found |= {type(part) for artist in found_parts(made) for part in [artist]}
    missing = {
        kind.__name__
        for kind in subclasses(Artist)
        if kind.__module__.startswith(("matplotlib.", "mpl_toolkits."))
        and _visit_of(kind) is not Watch._visit_unknown
        and kind not in found
    }
    assert missing - ABSTRACT == set()


def found_parts(things: list[Any]) -> Iterator[Any]:
    """The artists that stand among the attributes of others, not among their children."""
    for thing in things:
        yield from (each for each in vars(thing).values() if isinstance(each, Artist))


def subclasses(kind: type) -> Iterator[type]:
    """All classes below one."""
    for below in kind.__subclasses__():
        yield below
        yield from subclasses(below)


@pytest.mark.parametrize("name", FEW)
def test_a_few_changes_of_values_are_seen(name: str) -> None:
    assert unseen_changes(name, every=False) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", KINDS)
def test_every_change_of_a_value_is_seen(name: str) -> None:
    assert unseen_changes(name, every=True) == []


def unseen_settings(name: str, *, every: bool) -> list[str]:
    """Setters whose effect an incremental draw of this kind of artist misses."""
    comparing = Comparing(name)
    calls = [(n, *call) for n, each in enumerate(comparing.artists) for call in setters_of(each)]
    missed = []
    for number, setter, values in sampled(name, calls, every):
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


@pytest.mark.parametrize("name", FEW)
def test_what_a_few_setters_set_is_seen(name: str) -> None:
    assert unseen_settings(name, every=False) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", KINDS)
def test_what_every_setter_sets_is_seen(name: str) -> None:
    assert unseen_settings(name, every=True) == []
