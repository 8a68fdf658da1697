"""Frame generators: the base class, the wrappers, and chains of them."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rayanim.frame_gen
from rayanim import easing
from rayanim.errors import FrameError, SettingsError
from rayanim.frame_gen import (
    CroppedFrameGenerator,
    FluentFG,
    FrameGenerator,
    OverlayFrameGenerator,
    RescaleFrameGenerator,
    SequenceFrameGenerator,
    TimeDilateFrameGenerator,
    TimeRescaleExactDurationFrameGenerator,
    TimeRescaleFrameGenerator,
    TimeReverseFrameGenerator,
    img_to_bytes,
)
from rayanim.pixels import to_rgba

durations = st.floats(min_value=1e-2, max_value=1e7)
shares = st.floats(min_value=0, max_value=1)


class Clock(FrameGenerator):
    """Notes the times that it is asked for, and how often it was started."""

    def __init__(self, duration_ms: float = 1000, size: Any = (4, 2)) -> None:
        self._duration_ms = duration_ms
        self._size = size
        self.asked: list[float] = []
        self.calls: list[str] = []

    @property
    def duration(self) -> float:
        return self._duration_ms

    @property
    def frame_size(self) -> Any:
        return self._size

    def start(self) -> None:
        self.calls.append("start")

    def generate_at(self, time_ms: float) -> bytes:
        self.asked.append(time_ms)
        shade = round(255 * min(max(time_ms / self._duration_ms, 0), 1))
        return bytes([shade, 0, 0, 255]) * (self._size[0] * self._size[1])

    def finish(self) -> None:
        self.calls.append("finish")


class Painting(FrameGenerator):
    """Gives the same Pillow image each time."""

    duration = 1000

    def __init__(self, color: Any = "red", mode: str = "RGBA", size: Any = (4, 2)) -> None:
        self.image = Image.new(mode, size, color)
        self.frame_size = size

    frame_size: Any = None

    def generate_at_pil(self, time_ms: float) -> Image.Image:
        return self.image


def asked(wrapper: FrameGenerator, clock: Clock, time_ms: float) -> float:
    """The time that `clock` is asked for when `wrapper` is asked for `time_ms`."""
    wrapper.generate_at(time_ms)
    return clock.asked[-1]


def first_pixel(generator: FrameGenerator, time_ms: float) -> list[int]:
    """RGBA of the top left pixel."""
    return to_rgba(generator.generate_at(time_ms), generator.frame_size)[0, 0].tolist()


# The base class


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L", "P", "1"])
def test_img_to_bytes_gives_rgba(mode: str) -> None:
    """An image of any mode becomes four bytes per pixel, and stays usable."""
    image = Image.new(mode, (2, 1), "white")
    assert img_to_bytes(image) == b"\xff" * 8 == img_to_bytes(image)


def test_either_method_stands_for_both() -> None:
    """generate_at and generate_at_pil wrap each other."""
    assert np.asarray(Clock().generate_at_pil(1000))[0, 0].tolist() == [255, 0, 0, 255]
    assert Painting().generate_at(0) == bytes([255, 0, 0, 255]) * 8


def test_neither_method_is_an_error_not_a_recursion() -> None:
    """The error names the class and both methods."""

    class Nothing(FrameGenerator):
        duration = 1
        frame_size = (2, 2)

    for ask in (Nothing().generate_at, Nothing().generate_at_pil):
        with pytest.raises(NotImplementedError, match="Nothing must define generate_at"):
            ask(0)
    with pytest.raises(NotImplementedError, match="duration"):
        _ = FrameGenerator().duration
    with pytest.raises(NotImplementedError, match="frame_size"):
        _ = FrameGenerator().frame_size


@pytest.mark.parametrize("method", ["generate_at", "generate_at_pil"])
@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray, np.ndarray.tobytes, memoryview])
def test_either_method_may_return_any_kind_of_frame(method: str, kind: Any) -> None:
    """Arrays, images and buffers pass through every wrapper."""
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    pixels[..., 3] = 255
    body = {"duration": 10, "frame_size": (4, 2), method: lambda self, time_ms: kind(pixels)}
    generator = type("Any", (FrameGenerator,), body)()
    clear = Painting((0, 0, 0, 0))
    video = FluentFG(generator).reverse().time_rescale_exact(1, "s").overlay(clear, (0, 0))
    video.rescale(8, 4, Image.Resampling.NEAREST).rescale(4, 2, Image.Resampling.NEAREST)
    assert np.array_equal(to_rgba(video.build().generate_at(5), (4, 2)), pixels)
    assert np.array_equal(to_rgba(generator.generate_at(5), (4, 2)), pixels)


def test_a_frame_of_the_wrong_size_is_named() -> None:
    """A wrapper that has to look at the pixels says what it got."""
    wrong = Painting()
    wrong.frame_size = (8, 8)
    with pytest.raises(FrameError, match="4x2"):
        FluentFG(wrong).rescale(2, 2).build().generate_at(0)


# Time


def test_wrappers_have_the_known_names_and_attributes() -> None:
    """Class names, parameters and attributes are those that scripts use."""
    a = Clock()
    assert TimeRescaleFrameGenerator(child=a, playback_rate=2).playback_rate == 2
    assert TimeRescaleExactDurationFrameGenerator(child=a, new_duration=5).new_duration == 5
    assert TimeReverseFrameGenerator(child=a).child is a
    cropped = CroppedFrameGenerator(child=a, crop_start=1, crop_end=5)
    assert (cropped.crop_start, cropped.crop_end, cropped.duration) == (1, 5, 4)
    dilated = TimeDilateFrameGenerator(a, dilator=easing.squeeze, dilator_kwargs={"amt": 0.1})
    assert (dilated.dilator, dilated.dilator_kwargs) == (easing.squeeze, {"amt": 0.1})
    rescaled = RescaleFrameGenerator(a, new_frame_size=[8, 8], resample=Image.BICUBIC)
    assert (rescaled.new_frame_size, rescaled.resample) == ((8, 8), Image.BICUBIC)
    over = OverlayFrameGenerator(base=a, overlay=Clock(size=(1, 1)), pos=[3, 1])
    assert (over.base, over.pos, over.overlay.frame_size) == (a, (3, 1), (1, 1))
    both = SequenceFrameGenerator([a, a])
    assert (both.children, both.child_at(1500)) == ((a, a), (1, a, 500))
    assert both.children_end_at == [1000, 2000]


def test_attributes_of_wrappers_can_be_assigned() -> None:
    """Each counts from then on; what makes no sense is refused when it is used."""
    a = Clock(1000)
    quick = TimeRescaleFrameGenerator(a, 2)
    quick.playback_rate = 4
    assert (quick.duration, asked(quick, a, 100)) == (250, 400)
    cropped = CroppedFrameGenerator(a, 1, 500)
    cropped.crop_start, cropped.crop_end = 600, 900
    assert (cropped.duration, asked(cropped, a, 100)) == (300, 700)
    exact = TimeRescaleExactDurationFrameGenerator(a, 10)
    exact.new_duration = 500
    assert asked(exact, a, 100) == 200
    dilated = TimeDilateFrameGenerator(a, easing.freeze)
    dilated.dilator_kwargs = {"at": 0.25}
    assert asked(dilated, a, 0) == 250
    cropped.crop_end = 1500
    with pytest.raises(SettingsError, match="cannot end at 1500 ms"):
        _ = cropped.duration


def test_wrappers_ask_for_the_right_times() -> None:
    """Each wrapper maps its time to its child's."""
    a = Clock(1000)
    assert asked(TimeRescaleFrameGenerator(a, 2), a, 100) == 200
    assert asked(TimeRescaleExactDurationFrameGenerator(a, 500), a, 100) == 200
    assert asked(TimeReverseFrameGenerator(a), a, 100) == 900
    assert asked(CroppedFrameGenerator(a, 300, 400), a, 100) == 400
    assert asked(TimeDilateFrameGenerator(a, lambda share: share**2), a, 500) == 250


def test_dilation_works_for_images_too() -> None:
    """generate_at_pil goes through the same easing as generate_at."""
    a = Clock(1000)
    FluentFG(a).dilate(easing.freeze, {"at": 0.25}).build().generate_at_pil(900)
    assert a.asked == [250]


@pytest.mark.parametrize(("eased", "expected_ms"), [(1.5, 1000), (-0.5, 0)])
def test_an_overshooting_easing_stands_still(eased: float, expected_ms: float) -> None:
    """A generator is never asked for what lies outside of it."""
    a = Clock(1000)
    assert asked(TimeDilateFrameGenerator(a, lambda share: eased), a, 500) == expected_ms


@pytest.mark.parametrize("make", [Clock, lambda: TimeReverseFrameGenerator(Clock())])
def test_cropping_to_the_very_end_works(make: Any) -> None:
    """The whole of what there is can be kept, in any unit."""
    assert FluentFG(make()).crop(0, 1000, "ms").build().duration == 1000
    assert FluentFG(make()).crop(0, 1, "s").build().duration == 1000
    assert FluentFG(make()).then(make()).crop(1, 2, "s").build().duration == 1000
    with pytest.raises(SettingsError, match="2100"):
        FluentFG(make()).then(make()).crop(0, 2.1, "s")


def test_the_last_instant_is_the_end_of_the_last_child() -> None:
    """The last frame of a sequence is not the first of its last child."""
    a, b = Clock(1000), Clock(500)
    assert asked(SequenceFrameGenerator([a, b]), b, 1500) == 500


def test_a_video_and_its_reverse_match_at_the_turn() -> None:
    """The documented example: once forward, once backward."""
    base = Clock(1)
    there = FluentFG(base).time_rescale(1 / 10_000)
    video = there.then(FluentFG(base).time_rescale(1 / 10_000).reverse().build()).build()
    assert video.duration == 20_000
    assert [asked(video, base, t) for t in (0, 5000, 10_000, 20_000)] == [0, 0.5, 1, 0]


def test_frames_may_be_asked_for_in_any_order() -> None:
    """The pixels at an instant do not depend on what was drawn before."""
    video = FluentFG(Clock(700)).then(Clock(300)).reverse().then(Clock(1000)).build()
    times = [video.duration * i / 23 for i in range(24)]
    forward = [video.generate_at(t) for t in times]
    backward = [video.generate_at(t) for t in reversed(times)]
    assert forward == backward[::-1]


@given(durations, shares)
def test_reversing_twice_is_no_change(duration_ms: float, share: float) -> None:
    """A video reversed twice asks for the times of the video itself."""
    a = Clock(duration_ms)
    twice = FluentFG(a).reverse().reverse().build()
    time_ms = share * duration_ms
    assert asked(twice, a, time_ms) == pytest.approx(time_ms, abs=1e-8 * duration_ms)


@given(durations, st.lists(shares, min_size=4, max_size=4, unique=True), shares)
def test_a_crop_of_a_crop_is_a_crop(duration_ms: float, cuts: list[float], share: float) -> None:
    """Cropping what was cropped counts from where the first crop starts."""
    outer_start, start, end, outer_end = (cut * duration_ms for cut in sorted(cuts))
    if end - start < 1e-6 * duration_ms:
        return
    a = Clock(duration_ms)
    outer = CroppedFrameGenerator(a, outer_start, outer_end)
    inner = CroppedFrameGenerator(outer, start - outer_start, end - outer_start)
    time_ms = share * inner.duration
    assert asked(inner, a, time_ms) == pytest.approx(start + time_ms, abs=1e-8 * duration_ms)


@given(st.lists(durations, min_size=2, max_size=6))
def test_then_adds_durations(lengths: list[float]) -> None:
    """A chain lasts as long as its parts, built or not."""
    chain = FluentFG(Clock(lengths[0]))
    for length_ms in lengths[1:]:
        chain.then(Clock(length_ms))
    assert chain.duration() == pytest.approx(sum(lengths))
    assert chain.build().duration == chain.duration()


steps = st.one_of(
    st.tuples(st.just("reverse")),
    st.tuples(st.just("time_rescale"), st.floats(min_value=0.01, max_value=100)),
    st.tuples(st.just("time_rescale_exact"), st.floats(min_value=0.01, max_value=9), st.just("s")),
    st.tuples(st.just("dilate"), st.sampled_from([easing.smoothstep, easing.doublespeed])),
    st.tuples(st.just("then"), st.builds(Clock, durations)),
)


@given(durations, st.lists(steps, max_size=8), shares)
def test_no_chain_asks_a_child_for_what_it_has_not(
    duration_ms: float, chosen: list[tuple[Any, ...]], share: float
) -> None:
    """However wrapped, every instant of the video is one instant of one child."""
    clocks = [Clock(duration_ms)]
    chain = FluentFG(clocks[0])
    for name, *arguments in chosen:
        clocks += [argument for argument in arguments if isinstance(argument, Clock)]
        getattr(chain, name)(*arguments)
    chain.crop(0, chain.duration(), "ms")
    video = chain.build()
    for time_ms in (0, share * video.duration, video.duration):
        before = sum(len(clock.asked) for clock in clocks)
        video.generate_at(time_ms)
        assert sum(len(clock.asked) for clock in clocks) == before + 1
    assert all(0 <= t <= clock.duration for clock in clocks for t in clock.asked)


# Pixels


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L", "P", "LA"])
def test_overlay_and_rescale_leave_the_childs_image_alone(mode: str) -> None:
    """A child may give the same image each time: it is neither changed nor closed."""
    base, top = Painting("white", mode), Painting("white", mode, (1, 1))
    video = FluentFG(base).overlay(top, (1, 1)).rescale(4, 2).build()
    before = base.image.tobytes(), top.image.tobytes()
    assert video.generate_at(0) == video.generate_at(500)
    assert (base.image.tobytes(), top.image.tobytes()) == before
    assert (base.image.mode, top.image.size) == (mode, (1, 1))


def test_overlay_lies_where_it_should() -> None:
    """The overlay's top left corner is at pos; what is clear shows the base."""
    top = Painting((0, 0, 255, 128), size=(2, 1))
    video = OverlayFrameGenerator(Painting("red", "RGB"), top, (1, 1))
    pixels = to_rgba(video.generate_at(0), video.frame_size)
    assert pixels[1, 1].tolist() == pixels[1, 2].tolist() == [127, 0, 128, 255]
    assert pixels[0, 1].tolist() == pixels[1, 3].tolist() == [255, 0, 0, 255]


def test_base_and_overlay_may_share_a_canvas() -> None:
    """The base's pixels are kept while the overlay is drawn into the same memory."""
    canvas = np.zeros((2, 4, 4), np.uint8)

    class Shared(Clock):
        def generate_at(self, time_ms: float) -> Any:
            canvas[:] = (255, 0, 0, 255) if self is base else (0, 255, 0, 0)
            return canvas

    base, top = Shared(), Shared()
    assert first_pixel(OverlayFrameGenerator(base, top, (0, 0)), 0) == [255, 0, 0, 255]


@pytest.mark.parametrize("pos", [(-1, 0), (3, 0), (0, 2), (0.5, 0), (0,), None, "ab"])
def test_overlays_that_do_not_fit_are_refused(pos: Any) -> None:
    """The overlay lies wholly within the base, at whole pixels."""
    with pytest.raises(SettingsError, match=r"overlay|pos"):
        OverlayFrameGenerator(Clock(), Clock(size=(2, 1)), pos)


def test_durations_that_differ_by_rounding_match() -> None:
    """An overlay may be off by float errors, and by no more."""
    OverlayFrameGenerator(Clock(3000), Clock(1 / (1 / 3000) + 1e-9), (0, 0))
    with pytest.raises(SettingsError, match="equally long"):
        OverlayFrameGenerator(Clock(3000), Clock(3001), (0, 0))


@pytest.mark.parametrize("size", [(0, 5), (5.5, 5), 5, ("a", "b")])
def test_senseless_new_sizes_are_refused(size: Any) -> None:
    """A picture is rescaled to whole pixels above 0."""
    with pytest.raises(SettingsError, match="new_frame_size"):
        RescaleFrameGenerator(Clock(), size)


def test_unknown_resampling_lists_the_known_kinds() -> None:
    """The error lists Pillow's names."""
    with pytest.raises(SettingsError, match="LANCZOS"):
        FluentFG(Clock()).rescale(2, 2, 77)


def test_frames_follow_each_other_in_one_size_only() -> None:
    """Different sizes are refused, lists and tuples of one size are not."""
    assert FluentFG(Clock(size=(4, 2))).then(Clock(size=[4, 2])).frame_size() == (4, 2)
    for make in (lambda a, b: FluentFG(a).then(b), lambda a, b: SequenceFrameGenerator([a, b])):
        with pytest.raises(SettingsError, match=r"\(4, 2\) and \(4, 4\)"):
            make(Clock(size=(4, 2)), Clock(size=(4, 4)))


# Chains


def test_a_chain_may_stand_for_what_it_builds() -> None:
    """build() may be left out inside of another chain or wrapper."""
    a = Clock()
    video = FluentFG(a).then(FluentFG(a).reverse()).build()
    assert isinstance(video, SequenceFrameGenerator)
    assert isinstance(video.children[1], TimeReverseFrameGenerator)
    assert TimeReverseFrameGenerator(FluentFG(a).reverse()).duration == 1000


def test_ints_are_taken_where_floats_are() -> None:
    """Rates, durations and crops may be ints or NumPy's numbers."""
    video = FluentFG(Clock(1000)).time_rescale(2).time_rescale_exact(np.int64(4), "s")
    assert video.crop(1, np.float32(2), "s").duration() == 1000


@pytest.mark.parametrize("length_ms", [0, -5, float("nan"), float("inf"), None])
def test_generators_that_do_not_last_are_refused(length_ms: Any) -> None:
    """The error names the class whose duration is wrong."""
    for wrap in (TimeReverseFrameGenerator, lambda child: SequenceFrameGenerator([child])):
        with pytest.raises(SettingsError, match="Clock"):
            wrap(Clock(length_ms))


@pytest.mark.parametrize("wrong", [None, 5, Clock, "video", easing.smoothstep])
def test_what_is_no_generator_is_refused(wrong: Any) -> None:
    """Everything that takes a generator says so."""
    for use in (FluentFG, TimeReverseFrameGenerator, FluentFG(Clock()).then):
        with pytest.raises(SettingsError, match="FrameGenerator"):
            use(wrong)
    with pytest.raises(SettingsError):
        FluentFG(Clock()).apply(lambda child: wrong)


def test_empty_sequences_and_unknown_units_are_refused() -> None:
    """A sequence has a child, a unit has a name."""
    with pytest.raises(SettingsError, match="got none"):
        SequenceFrameGenerator([])
    with pytest.raises(SettingsError, match="milliseconds"):
        FluentFG(Clock()).crop(0, 1, "parsec")
    with pytest.raises(SettingsError, match="milliseconds"):
        FluentFG(Clock()).time_rescale_exact(1, "parsec")


def test_apply_takes_own_wrappers() -> None:
    """A class or function that takes a generator first can be used in a chain."""

    class Half(TimeRescaleFrameGenerator):
        def __init__(self, child: FrameGenerator, *, slow: bool) -> None:
            super().__init__(child, 0.5 if slow else 1)

    assert FluentFG(Clock()).then(Clock()).apply(Half, slow=True).duration() == 4000


# Start, finish, travel


def test_each_generator_starts_and_finishes_once() -> None:
    """However often one appears in a video, and through whatever wrappers."""
    a, b = Clock(), Clock()
    video = FluentFG(a).then(FluentFG(a).reverse()).overlay(FluentFG(b).then(b).build(), (0, 0))
    video.then(FluentFG(a).crop(0, 500, "ms"))
    generator = video.build()
    for _ in range(2):
        generator.start()
        generator.finish()
    assert a.calls == b.calls == ["start", "finish"] * 2


def test_a_failing_start_can_be_tried_again() -> None:
    """What was reached by a start that failed is not remembered."""

    class Failing(Clock):
        def start(self) -> None:
            super().start()
            raise RuntimeError("no")

    a = Failing()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no"):
            FluentFG(a).then(a).build().start()
    assert a.calls == ["start", "start"]


def test_own_wrappers_keep_their_start() -> None:
    """An overridden start of a wrapper runs, and still starts the child once."""

    class Loud(TimeReverseFrameGenerator):
        loud = 0

        def start(self) -> None:
            super().start()
            self.loud += 1

    a = Clock()
    loud = Loud(a)
    FluentFG(a).then(loud).then(loud).build().start()
    assert (loud.loud, a.calls) == (1, ["start"])


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_everything_travels_before_start(pickler: Any) -> None:
    """A video of all wrappers gives the same pixels after a journey."""
    chain = FluentFG(Clock()).crop(100, 900, "ms").dilate(easing.squeeze, {"amt": 0.1})
    chain.then(FluentFG(Clock()).reverse()).time_rescale(3).time_rescale_exact(1, "s")
    video = chain.overlay(Clock(size=(2, 2)), (1, 0)).rescale(8, 4).build()
    twin = pickle.loads(pickler.dumps(video))
    assert [twin.generate_at(t) for t in (0, 1000)] == [video.generate_at(t) for t in (0, 1000)]


def test_lambdas_travel_by_cloudpickle() -> None:
    """An easing from the user's script may be a lambda."""
    video = FluentFG(Clock()).dilate(lambda share: share**2).build()
    assert pickle.loads(cloudpickle.dumps(video)).child_time(500) == 250


@pytest.mark.parametrize("module", [rayanim.frame_gen])
def test_examples_in_the_documentation_run(module: ModuleType) -> None:
    """Every example gives what it says."""
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("name", ["frame_gen", "acts", "easing", "timeline", "pixels"])
def test_importing_loads_nothing_heavy(name: str) -> None:
    """Describing a video needs neither Ray, PyAV, matplotlib nor Pillow."""
    script = f"import sys, rayanim.{name}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"ray", "av", "matplotlib", "PIL"} & set(done.stdout.split())
