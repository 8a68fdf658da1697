"""Each value that an artist of matplotlib's is drawn from is changed in turn, and drawn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import pytest
from artist_kinds import KINDS, figure_of
from every_change import unseen_changes, unseen_settings
from matplotlib.artist import Artist
from samples import sampled

from rayanim.figure.changes import Watch, _visit_of

SAMPLE = 3
"""Changes of values, and setters, of each kind that the tests try; the command tries all."""

FEW = list(KINDS)[::8]
"""Kinds of artists that are looked at by default."""


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Values that make no sense give many warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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


@pytest.mark.slow
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


@pytest.mark.parametrize("name", sampled(KINDS, FEW))
def test_changes_are_seen(name: str) -> None:
    assert unseen_changes(name, sample=SAMPLE) + unseen_settings(name, sample=SAMPLE) == []
