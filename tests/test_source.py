"""The adapters: one protocol over every form, matplotlib's own pixels, nothing left behind."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numbered import FPS, NumberedAnimator, numbered_frame, read_numbers
from PIL import Image
from samples import sampled

from rayanim import Animator, Report, produce
from rayanim.engine.draw import draw_frame, measure_source, open_source
from rayanim.errors import FrameError, ParametersError, SettingsError, SetupError
from rayanim.frame_gen import FluentFG, FrameGenerator
from rayanim.overrides import Overrides, overriding
from rayanim.randomness import seed_for
from rayanim.settings import RenderSettings
from rayanim.sources import FunctionSource, GeneratorSource, ScaledSource, Source, as_source

RATE = Fraction(10)
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def no_figure_left() -> Iterator[None]:
    """Each test leaves pyplot as empty as it found it."""
    plt.close("all")
    yield
    left = plt.get_fignums()
    plt.close("all")
    assert left == []


def source_of(thing: Any, **options: Any) -> Source:
    """Of settings by the names of `RenderSettings`; `savefig` for short."""
    if "savefig" in options:
        options["savefig_params"] = options.pop("savefig")
    return as_source(thing, RenderSettings(**{"fps": RATE, "dpi": None, **options}))


def frame_of(source: Source, at: int, params: Any, size: tuple[int, int]) -> Pixels:
    """One frame as the render step draws it, copied."""
    seed_for(0, at)
    return draw_frame(source, at, params, size).copy()


def drawn(source: Source, params: list[Any]) -> list[Pixels]:
    """All frames as the engine draws them, copied."""
    open_source(source, 0, None)
    try:
        size = measure_source(source, 0, 0, params[0]).size
        return [frame_of(source, at, each, size) for at, each in enumerate(params)]
    finally:
        source.close()


def saved(figure: Figure, **options: Any) -> Pixels:
    """The pixels that matplotlib's own ``savefig`` gives."""
    memory = io.BytesIO()
    figure.savefig(memory, format="png", **options)
    return np.asarray(Image.open(memory).convert("RGBA"))


class Line(Animator):
    """A line, a title outside the axes and a legend.

    Parameters
    ----------
    make_figure
        Makes the empty figure; pyplot's by default.
    """

    def __init__(self, make_figure: Callable[[], Figure] | None = None, **look: Any) -> None:
        self.make_figure = make_figure
        self.look = {"figsize": (3.2, 2.4), **look}
        self.setups = 0

    def setup(self) -> Figure:
        self.setups += 1
        fig = plt.figure(**self.look) if self.make_figure is None else self.make_figure()
        ax = fig.add_subplot()
        (self.line,) = ax.plot(np.linspace(0, 1, 50), label="wave")
        ax.legend(loc="upper right")
        self.title = ax.set_title("start")
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata(np.sin(np.linspace(0, 6, 50) + params))
        self.title.set_text(f"phase {params:.2f}")


def reference(params: list[float], animator: Line, **options: Any) -> list[Pixels]:
    """The frames drawn one by one with ``savefig``."""
    figure = animator.setup()
    frames = []
    for at, each in enumerate(params):
        animator.update(at, each)
        frames.append(saved(figure, **options))
    plt.close(figure)
    return frames


def drawn_by_several(make: Callable[[], Source], params: list[Any]) -> list[Pixels]:
    """Each frame by an actor of its own, from what the first frame settled."""
    first = make()
    open_source(first, 0, None)
    geometry = measure_source(first, 0, 0, params[0])
    first.close()
    frames = []
    for at, each in enumerate(params):
        actor = make()
        open_source(actor, 0, geometry)
        frames.append(frame_of(actor, at, each, geometry.size))
        actor.close()
    return frames


PHASES = [0.0, 1.0, 2.5]


@pytest.mark.parametrize(
    "savefig",
    [
        {},
        {"dpi": 50},
        {"dpi": 137.3},
        {"facecolor": "red", "dpi": 133.37},
        {"transparent": True},
        {"facecolor": "#00ff0080", "edgecolor": "blue"},
    ],
)
def test_an_animator_s_frames_are_savefig_s(savefig: dict[str, Any]) -> None:
    """Pixel for pixel, at any dpi and with any of its options."""
    frames = drawn(source_of(Line(), savefig=savefig), PHASES)
    for frame, expected in zip(frames, reference(PHASES, Line(), **savefig), strict=True):
        assert np.array_equal(frame, expected)


@pytest.mark.parametrize("dpi", [None, 60])
def test_dpi_beside_savefig_params(dpi: float | None) -> None:
    """`dpi` sets the size, and ``savefig_params`` have the last word."""
    expected = reference(PHASES, Line(), dpi=dpi or 100)
    assert np.array_equal(drawn(source_of(Line(), dpi=dpi), PHASES), expected)
    over = drawn(source_of(Line(), dpi=30, savefig={"dpi": dpi or 100}), PHASES)
    assert np.array_equal(over, expected)


def test_an_animator_is_set_up_once_per_opening() -> None:
    """`setup` builds the figure, frames only update it."""
    animator = Line()
    drawn(source_of(animator), PHASES)
    assert animator.setups == 1


@pytest.mark.parametrize("savefig", [{}, {"bbox_inches": "tight"}])
def test_a_figure_that_is_not_reused_gives_the_same_frames(savefig: dict[str, Any]) -> None:
    """The way of comparison sets up anew for each frame, and draws the same."""
    animator = Line()
    frames = drawn(source_of(animator, reuse_figure_object=False, savefig=savefig), PHASES)
    assert animator.setups > len(PHASES)
    assert np.array_equal(frames, drawn(source_of(Line(), savefig=savefig), PHASES))


class RandomSetup(Line):
    """A look that is drawn by lot in `setup`, and again in `update`."""

    def setup(self) -> Figure:
        fig = super().setup()
        fig.set_facecolor((random.random(), np.random.random(), 0.5))
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, random.random())


@pytest.mark.parametrize("reuse", [True, False])
def test_chance_does_not_depend_on_who_draws(reuse: bool) -> None:
    """An actor that begins at any frame draws it as the process that began at the first."""

    def make() -> Source:
        return source_of(RandomSetup(), reuse_figure_object=reuse)

    assert np.array_equal(drawn_by_several(make, PHASES), drawn(make(), PHASES))


def test_a_function_s_layout_does_not_depend_on_the_frames_before() -> None:
    """A figure that a function keeps is laid out from the same start each time."""

    def make() -> Source:
        animator = Line(layout="constrained")
        figure = animator.setup()

        def plot(number: int) -> Figure:
            animator.update(number, PHASES[number])
            return figure

        return source_of(plot, n_frames=3)

    frames = drawn(make(), [None] * 3)
    assert np.array_equal(drawn_by_several(make, [None] * 3), frames)
    plt.close("all")  # they were made before the source was opened


LAYOUTS: list[tuple[str, dict[str, Any]]] = [
    (layout, savefig)
    for layout in ("constrained", "tight")
    for savefig in ({}, {"dpi": 50}, {"facecolor": "red"})
]


@pytest.mark.parametrize(("layout", "savefig"), sampled(LAYOUTS, (LAYOUTS[1], LAYOUTS[3])))
def test_a_layout_is_savefig_s(layout: str, savefig: dict[str, Any]) -> None:
    """From the first frame on: the engine runs once for each, from where it left off."""
    source = source_of(Line(layout=layout), savefig=savefig, drawing="full")
    frames = drawn(source, PHASES)
    expected = reference(PHASES, Line(layout=layout), **savefig)
    assert np.array_equal(frames, expected)


@pytest.mark.parametrize("savefig", [{}, {"dpi": 163.0}, {"pad_inches": 0.0}, {"dpi": 55.5}])
def test_a_tight_box_is_one_box_for_all(savefig: dict[str, Any]) -> None:
    """Every frame is cut by the box of the first, as ``savefig`` cuts by that box."""
    options = {**savefig, "bbox_inches": "tight"}
    source = source_of(Line(), savefig=options)
    open_source(source, 0, None)
    geometry = measure_source(source, 0, 0, PHASES[0])
    source.close()
    frames = drawn(source_of(Line(), savefig=options), PHASES)
    assert {frame.shape for frame in frames} == {(*geometry.size[::-1], 4)}
    assert geometry.box is not None
    box = Bbox.from_extents(*geometry.box)
    expected = reference(PHASES, Line(), **{**options, "bbox_inches": box})
    assert np.array_equal(frames, expected)


def test_a_tight_box_is_the_one_that_savefig_measures() -> None:
    """At another dpi than the figure's own too, up to the pixels it is widened to."""
    for dpi in (50, 100, 222):
        options = {"bbox_inches": "tight", "dpi": dpi}
        source = source_of(Line(), savefig=options)
        open_source(source, 0, None)
        size = measure_source(source, 0, 0, 0.0).size
        source.close()
        expected = reference([0.0], Line(), **options)[0]
        assert np.abs(np.subtract(size, expected.shape[1::-1])).max() <= 2


def test_a_box_of_the_caller_s_own_is_kept() -> None:
    """``bbox_inches`` may be a Bbox, as for ``savefig``."""
    savefig = {"bbox_inches": Bbox.from_extents(0.5, 0.5, 2.5, 2.0)}
    frames = drawn(source_of(Line(), savefig=savefig), PHASES)
    assert np.array_equal(frames, reference(PHASES, Line(), **savefig))


@pytest.mark.parametrize("box", ["thight", (0, 0, 1, 1), 3])
def test_a_box_that_savefig_would_not_take_is_an_error(box: Any) -> None:
    """It is not silently left out."""
    with pytest.raises(SettingsError, match="bbox_inches must be"):
        source_of(Line(), savefig={"bbox_inches": box})


@pytest.mark.parametrize("savefig", [{}, {"facecolor": "red"}])
def test_a_style_that_saves_tight_does_not_break_the_video(savefig: dict[str, Any]) -> None:
    """``rcParams["savefig.bbox"]`` would give every frame another size; videos leave it out."""
    with mpl.rc_context({"savefig.bbox": "tight"}):
        frames = drawn(source_of(Line(), savefig=savefig), PHASES)
    assert np.array_equal(frames, reference(PHASES, Line(), **savefig))


class Wrong(Animator):
    """Returns something else than a figure.

    Parameters
    ----------
    result
        What `setup` returns.
    """

    def __init__(self, result: Any) -> None:
        self.result = result

    def setup(self) -> Any:
        return self.result

    def update(self, frame_idx: int, params: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("result", "named"),
    [
        (None, "None"),
        ("fig", "str 'fig'"),
        ((Figure(), None), "tuple"),
        (Figure().subfigures(), "SubFigure"),
    ],
)
def test_a_setup_without_a_figure_is_an_error_with_the_remedy(result: Any, named: str) -> None:
    """A missing return, a pair of figure and axes, a part of a figure."""
    message = rf"Wrong\.setup\(\) returned {named}.*: end it with `return fig`"
    with pytest.raises(SetupError, match=message):
        open_source(source_of(Wrong(result)), 0, None)


@pytest.mark.parametrize("result", [None, Figure().subplots(), [Figure().text(0, 0, "a")]])
def test_a_function_that_returns_what_a_figure_holds_is_an_error_with_the_remedy(
    result: Any,
) -> None:
    """Nothing, the axes, and a list of artists, as FuncAnimation takes it."""
    named = "None" if result is None else type(result).__name__

    def draw(number: int) -> Any:
        return result

    with pytest.raises(FrameError, match=f"draw gave {named}.*`return fig`"):
        drawn(source_of(draw, n_frames=1), [None])


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda a, b: None, {"n_frames": 2}, r"\(a, b\) has .* called as <lambda>\(frame_idx\)"),
        (lambda: None, {"duration": 9}, r"\(\) has .* called as <lambda>\(time_ms\)"),
    ],
)
def test_a_function_of_other_arguments_is_an_error(
    function: Any, options: dict[str, Any], message: str
) -> None:
    """It says which arguments it has, and which it is called with."""
    with pytest.raises(SetupError, match=message):
        source_of(function, **options)


@pytest.mark.parametrize("method", ["setup", "update"])
def test_a_forgotten_method_is_named(method: str) -> None:
    """A subclass without it cannot be made, and Python says which one is missing."""
    members = {"setup": lambda self: plt.figure(), "update": lambda self, index, params: None}
    del members[method]
    with pytest.raises(TypeError, match=rf"Half .*{method}"):
        type("Half", (Animator,), members)()


class Growing(Line):
    """Changes the figure's size in its second frame."""

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.line.figure.set_size_inches(3.2 + frame_idx, 2.4)  # type: ignore[union-attr]


@pytest.mark.parametrize("savefig", [{}, {"facecolor": "red"}])
def test_a_figure_that_changes_its_size_is_an_error(savefig: dict[str, Any]) -> None:
    """The frame and both sizes are named."""
    with pytest.raises(FrameError, match=r"Frame 1 .* is 420x240 pixels, the first .* 320x240"):
        drawn(source_of(Growing(), savefig=savefig), PHASES)


def state_of_the_process() -> list[Any]:
    rc = {name: mpl.rcParams[name] for name in mpl.rcParams}
    return [rc, random.getstate(), repr(np.random.get_state()), mpl.get_backend()]


@pytest.mark.parametrize("savefig", [{}, {"dpi": 50, "facecolor": "red", "bbox_inches": "tight"}])
def test_the_caller_s_figure_and_settings_are_untouched(savefig: dict[str, Any]) -> None:
    """Canvas, dpi and size of a figure that lives on, rcParams and backend stay."""
    figure = Figure(figsize=(3.2, 2.4), dpi=120)
    canvas = FigureCanvasSVG(figure)
    source = source_of(Line(lambda: figure), dpi=80, savefig=savefig)
    before = state_of_the_process()
    source.open(None)
    source.measure(0, 0.0)
    source.draw(0, 0.0)
    source.close()
    assert state_of_the_process() == before
    assert figure.canvas is canvas
    assert (figure.dpi, tuple(figure.get_size_inches())) == (120, (3.2, 2.4))


def test_pyplot_forgets_the_figure_when_a_frame_fails() -> None:
    """An error half way leaves no figure behind."""

    class Fails(Line):
        def update(self, frame_idx: int, params: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(FrameError, match="ZeroDivisionError"):
        drawn(source_of(Fails()), PHASES)


class Sweep(FrameGenerator):
    """Frames of one colour that say the time, in any of the allowed kinds.

    Parameters
    ----------
    wrap
        Makes the frame of an array.
    """

    duration = 500
    frame_size = (6, 4)

    def __init__(self, wrap: Callable[[Pixels], Any] = np.asarray) -> None:
        self.wrap = wrap
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def generate_at(self, time_ms: float) -> Any:
        self.calls.append(f"{time_ms:g}")
        return self.wrap(np.full((4, 6, 4), int(time_ms) // 2, np.uint8))

    def finish(self) -> None:
        self.calls.append("finish")


@pytest.mark.parametrize("wrap", [np.asarray, np.ndarray.tobytes, Image.fromarray])
def test_a_generator_is_asked_for_each_frame_s_instant(wrap: Callable[[Pixels], Any]) -> None:
    """It is started once, asked at ``i / rate``, and finished."""
    generator = Sweep(wrap)
    source = source_of(generator)
    assert (source.n_frames, source.name) == (5, "Sweep")
    frames = drawn(source, [None] * 5)
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 50, 100, 150, 200]
    assert generator.calls == ["start", "0", "100", "200", "300", "400", "finish"]


def test_a_fluent_builder_needs_no_build() -> None:
    """It is taken for what it builds."""
    source = source_of(FluentFG(Sweep()).then(Sweep()))
    assert isinstance(source, GeneratorSource)
    assert source.n_frames == 10


@pytest.mark.parametrize("duration", [0, -1, float("nan"), float("inf"), "long", None])
def test_a_generator_without_a_duration_is_an_error(duration: Any) -> None:
    """A video needs a length above zero and below for ever."""
    generator = Sweep()
    generator.duration = duration
    with pytest.raises(SettingsError):
        source_of(generator)


@pytest.mark.parametrize("size", [(0, 4), (6, float("nan")), (6.5, 4), 6, None, (6, 4, 4), "64"])
def test_a_senseless_frame_size_is_an_error(size: Any) -> None:
    """What was got is quoted."""
    generator = Sweep()
    generator.frame_size = size
    with pytest.raises(SettingsError, match="frame_size must be"):
        drawn(source_of(generator), [None])


@pytest.mark.parametrize("frame", [b"123", np.zeros((6, 4, 4), np.uint8), None, 3])
def test_a_wrong_frame_names_its_number(frame: Any) -> None:
    """Wrong byte counts, swapped sides and other things than frames."""
    generator = Sweep(lambda pixels: pixels if pixels[0, 0, 0] < 100 else frame)
    with pytest.raises(FrameError, match="Frame 2: ") as caught:
        drawn(source_of(generator), [None] * 5)
    assert caught.value.frame == 2


def test_a_function_of_the_frame_number() -> None:
    """With `n_frames` it gets the number, and each frame is asked for once."""
    asked: list[int] = []

    def dot(number: int) -> Pixels:
        asked.append(number)
        return np.full((2, 2, 3), number, np.uint8)

    source = source_of(dot, n_frames=4)
    assert (source.n_frames, source.name) == (4, "dot")
    frames = drawn(source, [None] * 4)
    assert [int(frame[0, 0, 0]) for frame in frames] == asked == [0, 1, 2, 3]


def test_a_function_of_the_time() -> None:
    """With `duration` it gets milliseconds."""
    frames = drawn(source_of(lambda ms: np.full((2, 2, 3), ms, np.uint8), duration=250), [0] * 3)
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 100, 200]


@pytest.mark.parametrize("options", [{}, {"n_frames": 3, "duration": 100}])
def test_a_function_needs_one_of_number_and_duration(options: dict[str, Any]) -> None:
    """Neither is an error, and so are both."""
    with pytest.raises(SettingsError, match="either n_frames=300"):
        source_of(lambda number: number, **options)


def test_a_list_of_frames_is_drawn_by_number() -> None:
    """Arrays, Pillow images and figures; also one array of all frames."""
    array = np.full((40, 40, 3), 7, np.uint8)
    image = Image.new("RGB", (40, 40), (8, 8, 8))
    figure = Figure(figsize=(1, 1), dpi=40, facecolor="black")
    source = source_of([array, image, figure])
    assert (source.n_frames, source.name) == (3, "the list of frames")
    frames = drawn(source, [None] * 3)
    assert [int(frame[0, 0, 0]) for frame in frames] == [7, 8, 0]
    stacked = np.stack([array, array + 1])
    assert np.array_equal(
        drawn(source_of(stacked), [None] * 2),
        drawn_by_several(lambda: source_of(stacked), [None] * 2),
    )
    assert source_of([array, image], n_frames=1).n_frames == 1


@pytest.mark.parametrize("options", [{"n_frames": 3}, {"duration": 100}])
def test_a_list_has_as_many_frames_as_it_has(options: dict[str, Any]) -> None:
    """More cannot be asked for, and its length is no time."""
    with pytest.raises(SettingsError, match=r"only 2 frames|have a number"):
        source_of([None, None], **options)


def test_a_generator_function_is_not_taken_for_a_function_of_the_frame_number() -> None:
    """What it makes is the source."""

    def frames() -> Iterator[Any]:
        yield None

    with pytest.raises(SettingsError, match=r"give what it makes, frames\(\)"):
        source_of(frames, n_frames=1)


def test_what_cannot_be_rendered_gets_the_remedy() -> None:
    """A figure alone, a class, the name of a script."""
    figure, axes = plt.subplots()
    for thing in (figure, axes):
        with pytest.raises(SettingsError, match="Give the function that updates it"):
            source_of(thing)
    with pytest.raises(SettingsError, match=r"give an instance, Figure\(\)"):
        source_of(Figure)
    with pytest.raises(SettingsError, match=r"rayanim run wave\.py"):
        source_of("wave.py")
    plt.close(figure)


def test_a_function_may_make_a_figure_for_each_frame() -> None:
    """They do not pile up in pyplot, and the last one goes too."""
    open_figures: list[int] = []

    def plot(number: int) -> Figure:
        figure, ax = plt.subplots(figsize=(1, 1), dpi=40)
        ax.plot([0, number])
        open_figures.append(len(plt.get_fignums()))
        return figure

    frames = drawn(source_of(plot, n_frames=6), [None] * 6)
    assert max(open_figures) <= 2
    assert frames[0].shape == (40, 40, 4)
    assert not np.array_equal(frames[1], frames[2])


def test_a_figure_of_the_caller_s_stays_open() -> None:
    """pyplot holds it after the video as before, with its dpi, and as its current figure or not."""
    figure, ax = plt.subplots(figsize=(1, 1), dpi=40)
    current = plt.figure()

    def plot(number: int) -> Figure:
        ax.set_title(number)
        return figure

    drawn(source_of(plot, n_frames=3, dpi=80), [None] * 3)
    assert plt.get_fignums() == [figure.number, current.number]  # type: ignore[attr-defined]
    assert plt.gcf() is current
    assert figure.dpi == 40
    plt.close("all")


def test_a_function_may_keep_its_figure() -> None:
    """One figure, changed from call to call, at the dpi asked for; its own comes back."""
    figure = Figure(figsize=(1, 1), dpi=40)
    (line,) = figure.add_subplot().plot([0, 1])

    def plot(number: int) -> Figure:
        line.set_ydata([number, 0])
        return figure

    frames = drawn(source_of(plot, n_frames=3, dpi=80), [None] * 3)
    assert {frame.shape for frame in frames} == {(80, 80, 4)}
    assert not np.array_equal(frames[0], frames[1])
    assert figure.dpi == 40


def test_a_function_whose_frames_change_size_is_an_error() -> None:
    """The first frame settles the size."""
    source = source_of(lambda number: np.zeros((4, 4 + number, 3), np.uint8), n_frames=3)
    with pytest.raises(FrameError, match=r"Frame 1: .*5x4"):
        drawn(source, [None] * 3)


def test_frames_are_scaled_to_a_height() -> None:
    """Generators and functions are scaled, the width in proportion and even."""
    source = source_of(Sweep(), height_px=10)
    assert isinstance(source, ScaledSource)
    frames = drawn(source, [None] * 5)
    assert {frame.shape for frame in frames} == {(10, 16, 4)}
    assert [round(int(frame[5, 5, 0]), -1) for frame in frames] == [0, 50, 100, 150, 200]


def test_frames_to_be_scaled_are_checked_by_every_actor() -> None:
    """One of a wrong size is an error in an actor as in the first process, never stretched."""

    def make() -> Source:
        def narrowing(number: int) -> Pixels:
            return np.zeros((4, 6 if number < 2 else 3, 4), np.uint8)

        return source_of(narrowing, n_frames=5, height_px=10)

    for draw in (lambda: drawn(make(), [None] * 5), lambda: drawn_by_several(make, [None] * 5)):
        with pytest.raises(FrameError, match="Frame 2: ") as caught:
            draw()
        assert caught.value.frame == 2


def test_an_animator_is_drawn_at_a_height() -> None:
    """Figures are drawn larger, not scaled."""
    frames = drawn(source_of(Line(), height_px=480), PHASES)
    assert np.array_equal(frames, reference(PHASES, Line(), dpi=200))


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Line, r"It is a class: give an instance, Line\(\)"),
        (None, "got None"),
        ("script.py", "got 'script.py'"),
        (FigureCanvasAgg, "It is a class"),
        (FunctionSource, "It is a class"),
    ],
)
def test_what_cannot_be_rendered_is_quoted(thing: Any, message: str) -> None:
    """Classes in the place of instances get the remedy."""
    with pytest.raises(SettingsError, match=message):
        source_of(thing)


@pytest.mark.parametrize(
    ("thing", "options"),
    [(Line(), {"duration": 100}), (Sweep(), {"n_frames": 5}), (Sweep(), {"duration": 100})],
)
def test_settings_of_another_form_are_refused(thing: Any, options: dict[str, Any]) -> None:
    """A duration means nothing to an Animator, a frame count nothing to a generator."""
    with pytest.raises(SettingsError):
        source_of(thing, **options)


def made(thing: Any, path: Path, **options: Any) -> Report:
    return produce(thing, FPS, outfile=path, **{"progress": False, **options})


def test_a_list_of_frames_makes_a_video(tmp_path: Path) -> None:
    """As a function that returns them does, to the byte."""
    frames = [numbered_frame(number) for number in range(12)]
    made(frames, tmp_path / "list.mp4", engine="local")
    made(numbered_frame, tmp_path / "function.mp4", n_frames=12, engine="local")
    assert (tmp_path / "list.mp4").read_bytes() == (tmp_path / "function.mp4").read_bytes()


@pytest.mark.slow
def test_a_list_of_frames_is_drawn_by_actors(on_ray: Any, tmp_path: Path) -> None:
    """Any of them can be drawn anywhere."""
    frames = [numbered_frame(number) for number in range(24)]
    report = made(frames, tmp_path / "video.mp4", engine="ray", workers=2)
    assert report.engine == "ray"
    assert read_numbers(tmp_path / "video.mp4") == [*range(24)]


def test_a_generator_that_changes_one_array_makes_a_video(tmp_path: Path) -> None:
    """Each frame is drawn before the next one is made; `frames` and `n_frames` choose."""
    finished = []

    def frames() -> Iterator[Any]:
        frame = numbered_frame(0)
        try:
            for number in range(100):
                frame[...] = numbered_frame(number)
                yield frame
        finally:
            finished.append(True)

    report = made(frames(), tmp_path / "all.mp4")
    assert (report.engine, report.frames, report.transport) == ("local", 100, "frames")
    assert read_numbers(tmp_path / "all.mp4") == [*range(100)]
    made(frames(), tmp_path / "some.mp4", frames="3,5-7")
    assert read_numbers(tmp_path / "some.mp4") == [3, 5, 6, 7]
    made(frames(), tmp_path / "first.mp4", n_frames=4)
    assert read_numbers(tmp_path / "first.mp4") == [*range(4)]
    assert len(finished) == 3


def test_a_generator_that_changes_one_figure_makes_a_video(tmp_path: Path) -> None:
    """As FuncAnimation's users write it, and each new figure is closed after its frame."""
    animator = NumberedAnimator()

    def same() -> Iterator[Figure]:
        figure = animator.setup()
        for number in range(20):
            animator.update(number, number)
            yield figure

    def new() -> Iterator[Figure]:
        for number in range(3):
            figure = plt.figure(figsize=(0.64, 0.48), dpi=100)
            figure.figimage(numbered_frame(number)[::-1])
            yield figure
            assert len(plt.get_fignums()) <= 2

    made(same(), tmp_path / "same.mp4")
    assert read_numbers(tmp_path / "same.mp4") == [*range(20)]
    made(new(), tmp_path / "new.mp4")


def test_a_generator_of_frames_has_the_random_numbers_of_the_frame(tmp_path: Path) -> None:
    """Those of the function that draws the same, and the caller's generators stay."""

    def noise(number: int = 0) -> Pixels:
        return np.random.randint(0, 255, (32, 32, 3)).astype(np.uint8)

    options: dict[str, Any] = {"engine": "local", "transport": "frames"}
    made(noise, tmp_path / "function.mp4", n_frames=5, **options)
    before = random.getstate()
    made((noise() for _ in range(5)), tmp_path / "generator.mp4")
    assert random.getstate() == before
    assert (tmp_path / "generator.mp4").read_bytes() == (tmp_path / "function.mp4").read_bytes()


@pytest.mark.parametrize(
    "overrides", [Overrides(), Overrides(dry_run=True), Overrides(still_number=2)]
)
def test_a_generator_of_frames_leaves_the_script_its_random_numbers(
    tmp_path: Path, overrides: Overrides
) -> None:
    """Also where its first frame is asked for before the job begins."""
    random.seed(99)
    before = random.getstate()
    with overriding(overrides):
        frames = (numbered_frame(number) for number in range(6))
        made(frames, tmp_path / "video.mp4", n_frames=6, frames="0-2")
    assert random.getstate() == before


@pytest.mark.parametrize(
    "options",
    [{"engine": "ray"}, {"transport": "segments"}, {"resume": True}, {"address": "auto"}],
)
def test_what_a_generator_of_frames_cannot_do_is_refused(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Before it is asked for a frame, with what can do it."""
    name = next(iter(options))
    with pytest.raises(SettingsError, match=f"{name}=.* read once.*Give a list of frames"):
        made(iter([1 // 0 for _ in ()]), tmp_path / "video.mp4", **options)


def test_a_generator_of_frames_goes_with_the_address_of_this_machine(tmp_path: Path) -> None:
    """That is where it is drawn anyway."""
    frames = (numbered_frame(number) for number in range(3))
    assert made(frames, tmp_path / "video.mp4", address="local").frames == 3


@pytest.mark.parametrize("form", [list, iter])
def test_no_frames_are_no_video(tmp_path: Path, form: Callable[[Any], Any]) -> None:
    """A list and a generator have no param_by_frame that could be given more."""
    with pytest.raises(ParametersError, match=r"no frames\.$"):
        made(form([]), tmp_path / "video.mp4", engine="local")


def test_what_a_generator_of_frames_decides_is_the_reason(tmp_path: Path) -> None:
    """Nobody asked for this process and one encoder; the plan says the same."""
    reason = "a generator of frames is read once, in order"
    report = made((numbered_frame(number) for number in range(3)), tmp_path / "video.mp4")
    assert (report.engine_reason, report.transport_reason) == (reason, reason)
    with overriding(Overrides(dry_run=True)):
        plan = made((numbered_frame(number) for number in range(3)), tmp_path / "video.mp4")
    assert (plan.engine_reason, plan.transport_reason) == (reason, reason)
    assert f"Drawn in this process: {reason}." in str(plan)
    assert "asked for" not in str(plan)


def test_a_generator_of_frames_takes_its_time_for_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that stands an hour further after each frame."""
    clock, passed_s = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + passed_s[0])

    def frames() -> Iterator[Any]:
        for number in range(4):
            passed_s[0] += 3600
            yield numbered_frame(number)

    report = made(frames(), tmp_path / "video.mp4")
    assert report.binding == "drawing"
    assert (report.settings.draw_ms or 0) >= 3_600_000


def test_workers_that_a_generator_of_frames_leaves_idle_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says why, and what uses them."""
    frames = (numbered_frame(number) for number in range(3))
    made(frames, tmp_path / "video.mp4", workers=4)
    (record,) = caplog.records
    assert record.getMessage().startswith("workers=4 has no effect: a generator of frames is read")


@pytest.mark.parametrize("result", [None, Figure().subplots()])
def test_a_wrong_frame_in_a_list_or_from_a_generator_names_its_number(
    tmp_path: Path, result: Any
) -> None:
    """And which of the two it is."""
    frames = [numbered_frame(0), result]
    for thing, name in ((frames, "list"), (iter(frames), "generator")):
        with pytest.raises(FrameError, match=f"rame 1.*the {name} of frames gave") as caught:
            made(thing, tmp_path / "video.mp4", engine="local")
        assert caught.value.frame == 1
