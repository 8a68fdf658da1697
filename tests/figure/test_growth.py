"""Artists that pile up are noticed and traced to the line that makes them; others are not."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from videos import X, wave

from rayanim.figure.draw_stats import Births, Ledger, Note, place_of
from rayanim.figure.figure import FigurePixels

Update = Callable[[Figure, int], None]


class Undrawn:
    """Draws nothing: what is looked at is the number of artists."""

    why_full = difference = None

    def __init__(self, figure: Figure) -> None:
        pixels = FigurePixels(figure)
        self.figure, self.growth = figure, pixels.growth

    def draw_now(self, *, compare: bool = False) -> None:
        pass


def notes_of(update: Update, n_frames: int = 120, figure: Figure | None = None) -> list[Note]:
    """What is told of a video that is updated so."""
    ledger, drawer = Ledger(), Undrawn(figure or wave())
    with ledger.open():
        for number in range(n_frames):
            with ledger.frame(number):
                update(drawer.figure, number)
                ledger.draw(drawer)
    return list(ledger.take().notes)


def add_lines(figure: Figure, number: int) -> None:
    figure.axes[0].plot(X, X + number)


def add_texts(figure: Figure, number: int) -> None:
    figure.text(0.5, 0.5, f"frame {number}")


def add_colour_bars(figure: Figure, number: int) -> None:
    figure.add_axes((0.8, 0.1, 0.1, 0.8))


def line_of(function: Update) -> str:
    """Where the one statement of `function` is."""
    return f"test_growth.py:{inspect.getsourcelines(function)[1] + 1}"


@pytest.mark.parametrize(
    ("update", "what"),
    [
        (add_lines, "Line2D in axes 'A wave'"),
        (add_texts, "Text in the figure"),
        (add_colour_bars, "Axes in the figure"),
    ],
)
def test_artists_that_pile_up_are_told_of_once(update: Update, what: str) -> None:
    """With their kind, where they are, how many, after how many frames, and who makes them."""
    (note,) = notes_of(update)
    assert note.key == "pile-up"
    assert f"{what} (made at " in note.text
    assert f"{line_of(update)})" in note.text
    assert "after 44 frames" in note.text


def test_the_count_is_that_of_the_figure() -> None:
    """44 frames made 44 lines beside the one of the setup."""
    (note,) = notes_of(add_lines)
    assert "frame to frame: 45 Line2D" in note.text


def add_and_replace(figure: Figure, number: int) -> None:
    figure.axes[0].texts[-1].remove() if figure.axes[0].texts else None
    figure.axes[0].text(1, 0, "replaced")
    add_lines(figure, number)


def test_what_is_replaced_is_not_blamed() -> None:
    """Of two kinds that are made in each frame, the one is told that stays."""
    (note,) = notes_of(add_and_replace)
    assert "Line2D" in note.text
    assert "Text" not in note.text


def replace_line(figure: Figure, number: int) -> None:
    figure.axes[0].lines[0].remove()
    add_lines(figure, number)


def add_a_few(figure: Figure, number: int) -> None:
    if 10 <= number < 30:
        add_lines(figure, number)


def up_and_down(figure: Figure, number: int) -> None:
    if number % 50 == 49:
        for line in list(figure.axes[0].lines[1:]):
            line.remove()
    add_lines(figure, number)


def up_and_down_slowly(figure: Figure, number: int) -> None:
    wanted = 20 + 15 * ((number // 15) % 2) + (number % 15) * (1 - 2 * ((number // 15) % 2))
    lines = figure.axes[0].lines
    while len(lines) < wanted:
        add_lines(figure, number)
    while len(lines) > wanted:
        lines[-1].remove()


def now_and_then(figure: Figure, number: int) -> None:
    if number % 10 == 0:
        add_lines(figure, number)


def cleared(figure: Figure, number: int) -> None:
    figure.axes[0].clear()
    add_lines(figure, number)


@pytest.mark.parametrize(
    "update", [replace_line, add_a_few, up_and_down_slowly, now_and_then, cleared]
)
def test_no_false_alarm(update: Update) -> None:
    """Artists that are replaced, added once, added rarely, or go up and down."""
    assert notes_of(update, 400) == []


def test_after_a_fall_a_longer_way_up_is_needed() -> None:
    """A trail that is wiped is told of at most once, before its first fall."""
    assert len(notes_of(up_and_down, 1000)) == 1
    assert notes_of(lambda figure, number: up_and_down(figure, number + 20), 1000) == []


def test_a_line_made_elsewhere_is_told_of_without_a_place() -> None:
    """Artists that were made beforehand and are only added pile up all the same."""
    figure = wave()
    spare = wave().axes[0]
    ready = [spare.plot(X, X)[0] for _ in range(120)]
    for line in ready:
        line.remove()
    (note,) = notes_of(lambda figure, number: figure.axes[0].add_line(ready[number]), figure=figure)
    assert "in all after 44 frames" in note.text


def run_as(name: str, path: str, code: str, **names: object) -> dict[str, object]:
    """The names that `code` leaves, run as a module of this name in this file."""
    module: dict[str, object] = {"__name__": name, **names}
    exec(compile(code, path, "exec"), module)
    return module


def test_the_place_is_the_user_s_own_line() -> None:
    """Neither matplotlib's, nor that of a package through which the user calls it."""
    own = {"place_of": place_of, "currentframe": inspect.currentframe}
    code = "def draw():\n    return place_of(currentframe())\n"
    matplotlib_s = run_as("matplotlib.axes", "/mpl/axes.py", code, **own)
    assert (
        run_as("__main__", "/me/script.py", "\n\nplace = draw()", draw=matplotlib_s["draw"])[
            "place"
        ]
        == "/me/script.py:3"
    )
    package = run_as("plots", "/x/site-packages/plots.py", code, **own)
    assert run_as("__main__", "/me/script.py", "place = draw()", draw=package["draw"])["place"] == (
        "/me/script.py:1"
    )


def test_a_package_that_is_the_video_is_the_place() -> None:
    """Where rayanim calls installed code, there is no other line to name."""
    own = {"place_of": place_of, "currentframe": inspect.currentframe}
    package = run_as(
        "plots",
        "/x/site-packages/plots.py",
        "def draw():\n    return place_of(currentframe())",
        **own,
    )
    ours = run_as("rayanim.sources", "/r/source.py", "place = draw()", draw=package["draw"])
    assert ours["place"] == "/x/site-packages/plots.py:2"


def test_births_remember_artists_and_not_their_ids() -> None:
    """An artist that took a dead one's place in memory was not born where that one was."""
    births, figure = Births(), wave()
    line = figure.axes[0].lines[0]
    births.note(line, inspect.currentframe())
    assert (births.place(line) or "").partition(":")[0].endswith("test_growth.py")
    assert births.place(figure) is None


def test_nobody_listens_after_all_was_told() -> None:
    """The classes of matplotlib are their own again."""
    before = Artist.__init__
    notes_of(add_lines, 41)
    assert Artist.__init__ is before
