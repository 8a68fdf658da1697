"""Acts, scenes, chains of scenes, and renderers that keep a figure."""

from __future__ import annotations

import doctest
import pickle
import re
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import rayanim.acts
from rayanim import easing, produce
from rayanim.acts import (
    Act,
    ActRenderer,
    ActState,
    CroppedScene,
    FigureRenderer,
    FluentScene,
    JoinedScene,
    Scene,
    SceneSequenceScene,
    TimeDilateScene,
    TimeRescaleExactDurationScene,
    TimeRescaleScene,
    TimeReverseScene,
)
from rayanim.errors import SettingsError, SetupError
from rayanim.figure.canvas import IncrementalCanvas, VideoCanvas
from rayanim.frame_gen import FluentFG
from rayanim.pixels import to_rgba

durations = st.floats(min_value=1e-2, max_value=1e7)
shares = st.floats(min_value=0, max_value=1)


class State(ActState):
    """Where scenes leave their traces."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.at: dict[str, float] = {}


class Step(Scene):
    """Notes every call under its name."""

    def __init__(self, name: str = "a", duration_ms: Any = 1000) -> None:
        self.name = name
        self._duration_ms = duration_ms

    @property
    def duration(self) -> float:
        return self._duration_ms  # type: ignore[no-any-return]

    def start(self, act_state: State) -> None:
        act_state.log.append(f"start {self.name}")

    def enter(self, act_state: State) -> None:
        act_state.log.append(f"enter {self.name}")

    def apply(self, act_state: State, time_ms: float, dbg: bool = False) -> None:
        act_state.log.append(self.name)
        act_state.at[self.name] = time_ms

    def exit(self, act_state: State) -> None:
        act_state.log.append(f"exit {self.name}")


class Shade(ActRenderer):
    """Shows the time of scene a as a shade of red."""

    frame_size = (2, 1)

    def render(self, act_state: State) -> bytes:
        return bytes([round(act_state.at.get("a", 0) / 1000 * 255), 0, 0, 255]) * 2


def applied(scene: Scene, time_ms: float, name: str = "a") -> float:
    """The time that the scene called `name` gets when `scene` is applied at `time_ms`."""
    state = State()
    scene.apply(state, time_ms)
    return state.at[name]


def act_of(*scenes: Scene) -> Act:
    return Act(State(), Shade(), scenes)


def one_at_a_time(log: list[str]) -> bool:
    """Whether each scene was entered, applied and exited before the next was entered."""
    return re.fullmatch(r"(enter (\w),(\2,)+exit \2,)*", ",".join(log) + ",") is not None


# Acts


def test_scenes_are_entered_and_exited_the_first_too() -> None:
    """One scene is on at a time; each that was entered is exited, also by finish."""
    act = act_of(Step("a"), Step("b"))
    act.start()
    for time_ms in (0, 500, 1000, 1500):
        act.setup_state(time_ms)
    act.finish()
    log = "start a,start b,enter a,a,a,a,exit a,enter b,b,b,exit b"
    assert act.state.log == log.split(",")


def test_finish_exits_the_first_scene_once() -> None:
    """A video that never left its first scene exits it, and only once."""
    act = act_of(Step("a"))
    act.generate_at(0)
    act.finish()
    act.finish()
    assert act.state.log == ["enter a", "a", "exit a"]


def test_finish_before_any_frame_exits_nothing() -> None:
    """What was not entered is not exited."""
    act = act_of(Step("a"))
    act.finish()
    assert act.state.log == []


def test_scenes_may_be_asked_for_in_any_order() -> None:
    """A scene is entered with those before it at their ends, those after it at their starts."""
    act = act_of(Step("a"), Step("b"), Step("c"))
    for time_ms, at in (
        (1500, {"a": 1000, "b": 500}),
        (2500, {"a": 1000, "b": 1000, "c": 500}),
        (500, {"a": 500, "b": 0, "c": 0}),
        (2500, {"a": 1000, "b": 1000, "c": 500}),
        (1500, {"a": 1000, "b": 500, "c": 0}),
    ):
        act.setup_state(time_ms)
        assert act.state.at == at


def test_scenes_on_the_way_are_entered_and_exited() -> None:
    """Forward a scene is played to its end, backward to its beginning, and within it not at all."""
    act = act_of(Step("a"), Step("b"), Step("c"))
    for time_ms, log in (
        (2000, "enter a,a,a,exit a,enter b,b,b,exit b,enter c,c"),
        (2500, "c"),
        (0, "c,exit c,enter b,b,b,exit b,enter a,a,a,exit a,enter a,a"),
        (500, "a"),
    ):
        act.state.log.clear()
        act.setup_state(time_ms)
        assert act.state.log == log.split(",")


def test_a_time_outside_changes_nothing() -> None:
    """The scene that is on stays on."""
    act = act_of(Step("a"), Step("b"))
    act.setup_state(500)
    before = list(act.state.log)
    with pytest.raises(SettingsError, match="2001"):
        act.setup_state(2001)
    assert act.state.log == before


def test_an_act_has_the_known_attributes() -> None:
    """Names and parameters are those that scripts use."""
    a, b = Step("a"), Step("b", 500)
    act = Act(state=State(), renderer=Shade(), scenes=[a, b])
    assert (act.scenes, act.scenes_end_at, act.duration) == ((a, b), [1000, 1500], 1500)
    assert act.scene_at(1000) == (1, b, 0)
    assert act.scene_at(1500) == (1, b, 500)
    assert act.frame_size == (2, 1)


def test_an_act_draws_what_its_scenes_set() -> None:
    """Bytes and image show the same state."""
    act = act_of(Step("a"))
    assert act.generate_at(1000) == bytes([255, 0, 0, 255]) * 2
    assert act.generate_at_pil(1000).tobytes() == act.generate_at(1000)


def test_acts_combine_like_any_generator() -> None:
    """A shared scene is started once for the state of each act."""
    a = Step("a")
    video = FluentFG(act_of(a)).then(FluentFG(act_of(a, a)).reverse()).build()
    video.start()
    assert video.duration == 3000
    assert video.generate_at(3000)[0] == 0
    assert video.children[1].child.state.log[0] == "start a"
    assert video.children[1].child.state.log.count("start a") == 1


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray, np.ndarray.tobytes])
@pytest.mark.parametrize("method", ["render", "render_pil"])
def test_renderers_may_return_any_kind_of_frame(method: str, kind: Any) -> None:
    """Either method may be defined, and return bytes, an array or an image."""
    pixels = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    body = {"frame_size": (2, 1), method: lambda self, state: kind(pixels)}
    act = Act(State(), type("Any", (ActRenderer,), body)(), [Step()])
    assert np.array_equal(to_rgba(act.generate_at(0), (2, 1)), pixels)
    assert np.array_equal(to_rgba(act.generate_at_pil(0), (2, 1)), pixels)


def test_a_renderer_without_methods_says_so() -> None:
    """The error names the class and both methods; there is no endless recursion."""

    class Nothing(ActRenderer):
        frame_size = (2, 1)

    for ask in (Nothing().render, Nothing().render_pil):
        with pytest.raises(NotImplementedError, match="Nothing must define render"):
            ask(State())


@pytest.mark.parametrize("scenes", [[], [5], [Step], None, Step()])
def test_an_act_needs_scenes(scenes: Any) -> None:
    """No scenes, and what is no scene, are refused when the act is made."""
    with pytest.raises(SettingsError, match="Scene"):
        Act(State(), Shade(), scenes)


def test_an_act_needs_a_renderer() -> None:
    """What cannot render is refused when the act is made."""
    with pytest.raises(SettingsError, match="ActRenderer"):
        Act(State(), None, [Step()])  # type: ignore[arg-type]


# Scenes


def test_a_scene_lasts_a_millisecond_unless_it_says() -> None:
    """A duration of 1 makes its time the share of the whole."""
    assert Scene().duration == 1


def test_scene_wrappers_have_the_known_attributes_and_times() -> None:
    """Each maps its time to its child's, as the generators' wrappers do."""
    a = Step()
    assert applied(TimeRescaleScene(child=a, playback_rate=2), 100) == 200
    assert applied(TimeRescaleExactDurationScene(child=a, new_duration=500), 100) == 200
    assert applied(TimeReverseScene(child=a), 100) == 900
    assert applied(CroppedScene(child=a, crop_start=300, crop_end=1000), 100) == 400
    dilated = TimeDilateScene(a, dilator=easing.freeze, dilator_kwargs={"at": 0.25})
    assert (applied(dilated, 500), dilated.dilator, dilated.child) == (250, easing.freeze, a)


def test_scene_wrappers_pass_on_enter_and_exit() -> None:
    """Start, enter and exit reach the child through every wrapper."""
    scene = FluentScene(Step()).reverse().time_rescale(2).crop(0, 0.5, "s").build()
    state = State()
    scene.start(state)
    scene.enter(state)
    scene.apply(state, 500)
    scene.exit(state)
    assert state.log == ["start a", "enter a", "a", "exit a"]
    assert state.at["a"] == 0


def test_an_overshooting_easing_swings_beyond_the_goal() -> None:
    """A scene gets times outside of it, also through linear wrappers; a sequence holds."""
    chain = FluentScene(Step()).time_rescale_exact(2, "s").dilate(lambda share: 1.5)
    assert applied(chain.build(), 500) == 1500
    sequence = FluentScene(Step("b")).then(Step("a")).dilate(lambda share: 1.5).build()
    assert applied(sequence, 500) == 1000


def test_a_sequence_of_scenes_enters_each_properly() -> None:
    """It exits the scene that is on, the first too, when it is left or goes on."""
    sequence = SceneSequenceScene([Step("a"), Step("b")])
    act = act_of(sequence, Step("c"))
    for time_ms in (0, 1000, 2000, 2500, 0):
        act.setup_state(time_ms)
    act.finish()
    log = act.state.log
    there = "enter a,a,a,exit a,enter b,b,b,exit b,enter c,c,c,c,exit c"
    assert log[: there.count(",") + 1] == there.split(",")
    assert log[-3:] == ["enter a", "a", "exit a"]
    assert one_at_a_time(log)
    assert act.state.at == {"a": 0, "b": 0, "c": 0}


def test_joined_scenes_are_on_together() -> None:
    """Joined, all are entered first; joined apart, each by itself for every frame."""
    for sep_enters, log in (
        (False, "enter a,enter b,a,b,a,b,exit a,exit b"),
        (True, "enter a,a,exit a,enter b,b,exit b," * 2),
    ):
        act = act_of(JoinedScene(children=[Step("a"), Step("b")], sep_enters=sep_enters))
        act.setup_state(0)
        act.setup_state(1)
        act.finish()
        assert act.state.log == log.strip(",").split(",")


def test_joined_scenes_last_equally_long() -> None:
    """Durations may differ by rounding, not by more; a chain checks it when it is built."""
    JoinedScene([Step("a", 3000), Step("b", 1 / (1 / 3000))], False)
    for join in (
        lambda a, b: JoinedScene([a, b], False),
        lambda a, b: FluentScene(a).join(b).build(),
    ):
        with pytest.raises(SettingsError, match="3000 ms and 3001 ms"):
            join(Step("a", 3000), Step("b", 3001))


def test_scenes_need_not_take_dbg() -> None:
    """A scene whose apply has no such parameter works in acts and wrappers."""

    class Silent(Scene):
        def apply(self, act_state: State, time_ms: float) -> None:  # type: ignore[override]
            act_state.at["a"] = time_ms

    chain = FluentScene(Silent()).reverse().join(Silent()).then(Silent())
    assert applied(chain.build(), 1.25) == 0.25


def test_debugging_tells_what_is_applied(capsys: pytest.CaptureFixture[str]) -> None:
    """With dbg each level prints its child's time, without it nothing is printed."""
    scene = FluentScene(Step()).reverse().then(Step("b")).join(Step("c", 2000)).build()
    scene.apply(State(), 100, False)
    assert capsys.readouterr().out == ""
    scene.apply(State(), 100, True)
    assert "TimeReverseScene: its child at 900" in capsys.readouterr().out


# Chains


def test_push_and_pop_keep_everything() -> None:
    """pop() restores what push() saved, with what followed and joined it."""
    chain = FluentScene(Step("a")).join(Step("b"), True)
    chain.push(Step("c")).time_rescale(2).push(Step("d", 500)).reverse().pop("join")
    assert chain.duration() == 500
    built = chain.pop().reverse().build()
    assert built.duration == 1500
    act = act_of(built)
    for time_ms in (0, 600):
        act.setup_state(time_ms)
    assert act.state.at == {"a": 900, "b": 900, "c": 0, "d": 500}
    assert act.state.log[-6:] == ["enter a", "a", "exit a", "enter b", "b", "exit b"]


@pytest.mark.parametrize(("style", "length_ms"), [("then", 2000), ("join", 1000)])
def test_pop_styles(style: str, length_ms: float) -> None:
    """The newer scene follows the older one or plays with it."""
    assert FluentScene(Step("a")).push(Step("b")).pop(style).duration() == length_ms


def test_pop_join_sep_enters_each_by_itself() -> None:
    """join_sep makes joined scenes with separate enters."""
    scene = FluentScene(Step("a")).push(Step("b")).pop("join_sep").build()
    assert isinstance(scene, JoinedScene)
    assert scene.sep_enters


def test_wrong_pops_leave_the_chain_as_it_was() -> None:
    """An unknown style, or pop() without push(), is refused, and the chain stays as it was."""
    chain = FluentScene(Step("a")).push(Step("b", 500))
    with pytest.raises(SettingsError, match="'then', 'join' or 'join_sep'"):
        chain.pop("after")
    assert chain.pop().duration() == 1500
    with pytest.raises(SettingsError, match="push"):
        chain.pop()


def test_pushed_scenes_are_not_left_out_silently(caplog: pytest.LogCaptureFixture) -> None:
    """build() without pop() gives the newer scene, and a warning."""
    newer = Step("b")
    assert FluentScene(Step("a")).push(newer).build() is newer
    assert "push() saved" in caplog.text
    assert "pop()" in caplog.text


def test_a_chain_may_be_joined_before_it_fits() -> None:
    """Lengths count when the chain is built, with the attributes that scenes have then."""
    slow = TimeRescaleScene(Step("b"), 0.5)
    chain = FluentScene(Step("a")).join(slow, False)
    with pytest.raises(SettingsError, match="the same duration"):
        chain.build()
    slow.playback_rate = 1
    assert chain.build().duration == 1000


def test_attributes_of_scenes_can_be_assigned() -> None:
    """Each counts from then on."""
    scene = TimeDilateScene(Step("a"), easing.smoothstep)
    scene.dilator, scene.dilator_kwargs = easing.freeze, {"at": 0.5}
    assert applied(scene, 100) == 500
    crop = CroppedScene(Step("a"), 100, 300)
    crop.crop_start, crop.crop_end = 600, 900
    assert (crop.duration, applied(crop, 0)) == (300, 600)
    exact = TimeRescaleExactDurationScene(Step("a"), 10)
    exact.new_duration, exact.child = 50, Step("b", 100)
    assert (exact.duration, applied(exact, 25, "b")) == (50, 50)


def test_duration_is_right_with_joins() -> None:
    """Joined scenes last as long as one of them, whatever comes after."""
    chain = FluentScene(Step("a")).join(Step("b")).join(Step("c"), True)
    assert chain.duration() == 1000
    assert chain.then(Step("d")).duration() == 2000
    assert chain.join(Step("e", 2000)).duration() == 2000 == chain.build().duration


@given(st.lists(durations, min_size=1, max_size=6), shares)
def test_reversing_a_chain_of_scenes_twice_is_no_change(lengths: list[float], share: float) -> None:
    """Twice reversed, each scene gets the time that it would get."""
    chain = FluentScene(Step("0", lengths[0]))
    for index, length_ms in enumerate(lengths[1:], 1):
        chain.then(Step(str(index), length_ms))
    plain, twice, state = chain.build(), chain.reverse().reverse().build(), State()
    plain.apply(state, share * plain.duration)
    once, state.at = state.at, {}
    twice.apply(state, share * plain.duration)
    if once.keys() == state.at.keys():  # otherwise rounding crossed a border
        tolerance_ms = 1e-8 * plain.duration
        assert list(state.at.values()) == pytest.approx(list(once.values()), abs=tolerance_ms)
    assert twice.duration == chain.duration() == pytest.approx(sum(lengths))


def test_a_chain_of_scenes_may_stand_for_what_it_builds() -> None:
    """Acts and chains take chains."""
    assert act_of(FluentScene(Step()).then(FluentScene(Step()).reverse())).duration == 2000
    with pytest.raises(SettingsError, match="Scene"):
        FluentScene(Step()).then(act_of(Step()))


# Figures


class Curve(FigureRenderer):
    """Keeps a line and counts its setups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artists: list[Any] = []

    def setup(self) -> Figure:
        (self.folder / str(len(list(self.folder.iterdir())))).touch()
        figure, axes = plt.subplots(figsize=(3, 2), dpi=40)
        axes.set_ylim(0, 1000)
        (self.line,) = axes.plot([0, 1], [0, 0])
        self.artists.append(self.line)
        return figure

    def update(self, act_state: State) -> None:
        self.line.set_ydata([0, act_state.at["a"]])


def setups(folder: Path) -> int:
    return len(list(folder.iterdir()))


def reference(time_ms: float) -> np.ndarray:
    """The curve at `time_ms`, drawn into a figure of its own."""
    figure = Figure(figsize=(3, 2), dpi=40)
    axes = figure.subplots()
    axes.set_ylim(0, 1000)
    axes.plot([0, 1], [0, time_ms])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_a_figure_is_made_once_and_drawn_exactly(tmp_path: Path) -> None:
    """Frames in any order equal those of a fresh figure; there is one setup."""
    act = Act(State(), Curve(tmp_path), [Step()])
    for time_ms in (0, 1000, 250, 1000):
        frame = to_rgba(act.generate_at(time_ms), (120, 80))
        assert np.array_equal(frame, reference(time_ms))
    assert setups(tmp_path) == 1
    assert act.frame_size == (120, 80)
    act.finish()
    assert plt.get_fignums() == []


def test_the_size_is_known_without_leaving_a_figure(tmp_path: Path) -> None:
    """Asking for the size opens nothing that stays, and measures once."""
    renderer = Curve(tmp_path)
    assert [renderer.frame_size, renderer.frame_size] == [(120, 80)] * 2
    assert setups(tmp_path) == 1
    assert plt.get_fignums() == []
    assert (renderer.artists, hasattr(renderer, "line")) == ([], False)


def test_dpi_of_the_class_sets_the_size(tmp_path: Path) -> None:
    """Where dpi is given it overrides the figure's own."""

    class Fine(Curve):
        dpi = 80

    assert Fine(tmp_path).frame_size == (240, 160)


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_figure_stays_behind(tmp_path: Path, pickler: Any) -> None:
    """What travels is the state from before setup, and the size; drawing goes on."""
    act = Act(State(), Curve(tmp_path), [Step()])
    act.generate_at(500)
    twin = pickle.loads(pickler.dumps(act))
    assert twin.renderer.artists == []
    assert not hasattr(twin.renderer, "line")
    assert twin.frame_size == (120, 80)
    assert setups(tmp_path) == 1
    assert np.array_equal(twin.generate_at(500), act.generate_at(500))
    assert setups(tmp_path) == 2
    act.finish()
    twin.finish()


def test_a_released_renderer_can_draw_again(tmp_path: Path) -> None:
    """After release the next frame makes the figure again."""
    renderer, state = Curve(tmp_path), State()
    state.at["a"] = 300
    for _ in range(2):
        assert np.array_equal(renderer.render(state), reference(300))
        renderer.release()
    assert setups(tmp_path) == 2
    assert renderer.artists == []
    assert plt.get_fignums() == []


def test_a_figures_image_survives_the_next_frame(tmp_path: Path) -> None:
    """render_pil gives an image of its own, so acts can be overlaid on each other."""
    renderer, state = Curve(tmp_path), State()
    state.at["a"] = 0
    image = renderer.render_pil(state)
    state.at["a"] = 1000
    renderer.render_pil(state)
    assert np.array_equal(np.asarray(image), reference(0))
    renderer.release()


@pytest.mark.parametrize("figure", [None, 5, "figure"])
def test_setup_must_return_a_figure(figure: Any) -> None:
    """The error names the class and what it returned."""

    class Wrong(FigureRenderer):
        def setup(self) -> Any:
            return figure

    with pytest.raises(SetupError, match=r"Wrong\.setup"):
        _ = Wrong().frame_size


@pytest.mark.parametrize("kind", ["act", "generator", "function"])
@pytest.mark.parametrize("drawing", ["auto", "full"])
def test_how_figures_are_drawn_reaches_those_in_acts(
    tmp_path: Path, kind: str, drawing: Any
) -> None:
    """``drawing="full"`` makes canvases that know nothing of incremental draws."""
    canvases: list[type] = []

    class Noting(Curve):
        def update(self, act_state: State) -> None:
            super().update(act_state)
            canvases.append(type(self.line.figure.canvas))

    act = Act(State(), Noting(tmp_path), [Step()])
    thing: Any = {"act": act, "generator": FluentFG(act).time_rescale(1).build()}.get(
        kind, act.generate_at
    )
    report = produce(
        thing,
        10,
        outfile=tmp_path.parent / f"{tmp_path.name}.mp4",
        duration=1000 if kind == "function" else None,
        engine="local",
        progress=False,
        drawing=drawing,
    )
    wanted = VideoCanvas if drawing == "full" else IncrementalCanvas
    assert set(canvases) == {wanted}
    assert (report.incremental_frames > 0) == (drawing == "auto")
    act.finish()


@pytest.mark.slow
def test_actors_draw_the_figures_of_acts_in_full_where_asked(on_ray: Any, tmp_path: Path) -> None:
    """It travels with the act."""
    folder, outfile = tmp_path / "setups", tmp_path / "video.mp4"
    folder.mkdir()
    act = Act(State(), Curve(folder), [Step()])
    report = produce(
        act, 10, outfile=outfile, engine="ray", workers=1, progress=False, drawing="full"
    )
    assert (report.engine, report.frames, report.incremental_frames) == ("ray", 10, 0)


def test_a_figure_renderer_without_methods_says_so() -> None:
    """setup and update have to be defined."""
    with pytest.raises(NotImplementedError, match="setup"):
        FigureRenderer().render(State())
    with pytest.raises(NotImplementedError, match="update"):
        FigureRenderer().update(State())


# Travel, examples


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_acts_travel_before_start(pickler: Any) -> None:
    """An act of all kinds of scenes gives the same pixels after a journey."""
    chain = FluentScene(Step()).crop(100, 900, "ms").dilate(easing.squeeze, {"amt": 0.1})
    chain.then(FluentScene(Step()).reverse()).time_rescale(3).time_rescale_exact(1, "s")
    act = act_of(chain.join(Step("b"), True), Step())
    twin = pickle.loads(pickler.dumps(act))
    assert [twin.generate_at(t) for t in (0, 300)] == [act.generate_at(t) for t in (0, 300)]


def test_examples_in_the_documentation_run() -> None:
    """Every example gives what it says."""
    failed, tried = doctest.testmod(rayanim.acts)
    assert tried > 0
    assert failed == 0
