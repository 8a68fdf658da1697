"""Animations of matplotlib's as a source: `FuncAnimation`, `ArtistAnimation` and others.

The video is the one that `Animation.save` gives: the same calls in the same order, each frame in
the state that those before it leave. In the script's own process the script's own figure is
drawn. An actor gets a copy of the animation, and runs the updates of the frames that it skips.
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import random
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.engine.reads import WrittenFile
from rayanim.errors import FrameError, NotPicklableError, RayanimError, SettingsError, SetupError
from rayanim.figure.draw_stats import uncounted
from rayanim.figure.figure import kept_figures
from rayanim.figure.playback import (
    END,
    Playback,
    SaveOptions,
    code_of,
    figure_of,
    has_no_end,
    steady_frames,
    why_not_played,
)
from rayanim.parameters import Batch
from rayanim.settings import RenderSettings, Selection
from rayanim.sources import RECENT_UPDATES, Geometry, drawn_figures, naming_frame

if TYPE_CHECKING:
    from matplotlib.animation import Animation

COME_ONCE = "its frames come from a generator, which is read once, in order"
"""Why all frames of such an animation are drawn in one process."""

UPDATES_ARE_COSTLY = "its updates take long beside drawing, and each actor would run all of them"

WRITES = "its updates write {name}, and each actor would run them, too"

MOST_OF_A_FRAME = 0.2
"""The share of a frame's time that its update may take where actors run all updates."""


@dataclass(slots=True)
class SavedAnimation:
    """What `Animation.save` was asked for, beside the settings of the video.

    `whole_pairs` and `on_white` are what matplotlib's writer does: resize the figure to an even
    number of pixels, and draw on white where the file has no transparency.
    """

    animation: Animation
    extra: tuple[Animation, ...] = ()
    report: Callable[[int, int | None], Any] | None = None
    whole_pairs: bool = True
    on_white: bool = True

    @property
    def animations(self) -> list[Animation]:
        """Those that are drawn together: of one figure."""
        figure = figure_of(self.animation)
        return [self.animation, *(each for each in self.extra if figure_of(each) is figure)]


class AnimationSource:
    """Animations of one figure; frames are always drawn in the state of a serial run."""

    def __init__(self, saved: SavedAnimation, settings: RenderSettings) -> None:
        if settings.duration is not None or settings.n_frames is not None:
            raise SettingsError(
                "n_frames and duration do not go with an animation: it has its own frames. "
                "Choose some with frames='0-99'."
            )
        reason = why_not_played(saved.animation)
        if reason is not None:
            raise SettingsError(f"{reason}: animation.save(...) of matplotlib's own does without.")
        self.name = type(saved.animation).__name__
        self._saved = saved
        self._settings = settings
        self._playback = Playback(saved.animations, saved.report)
        self.n_frames = self._playback.n_frames
        # Together they end with the shortest.
        self.has_no_end = all(map(has_no_end, saved.animations))
        # Of a copy: what it was made from. Of the script's own: what copies are made from.
        self._pickled: bytes | None = None
        self._for_copies: bytes | None = None
        # The random numbers that a copy begins with, and those that come next.
        self._random: Any = None
        self._stream: Any = None
        self._has_own_random = False
        self._copy: AnimationSource | None = None
        self._has_begun = self._is_used = False
        # Of a copy: what has pyplot forget its figures.
        self._figures = contextlib.ExitStack()
        self.stop = 0
        """The highest number of a frame that was asked for, and one."""
        # What an update raised.
        self._failure: Exception | None = None
        # Frames whose update has run, at the beginning and now; what others are made from, and
        # the data of the next one where it was taken.
        self._begins_after = self._done = 0
        self._frames: Iterator[Any] = iter(())
        self._next: Any = None
        self._faces: Any = None
        self._updates_s: deque[float] = deque(maxlen=RECENT_UPDATES)
        self._draws_s: deque[float] = deque(maxlen=RECENT_UPDATES)
        self._written = WrittenFile()

    @property
    def stays(self) -> str | None:
        if self.n_frames is None:
            return COME_ONCE
        update_s = self.advance_s
        if self._settings.independent:
            return None
        if self._written.path is not None:
            return WRITES.format(name=self._written.path)
        if update_s is None or len(self._draws_s) < RECENT_UPDATES:
            return None
        if update_s > MOST_OF_A_FRAME * (update_s + median(self._draws_s)):
            return UPDATES_ARE_COSTLY
        return None

    @property
    def advance_s(self) -> float | None:
        return median(self._updates_s) if self._updates_s else None

    @property
    def state(self) -> Any:
        animations = self._playback.animations
        if any(type(each).__module__ != "matplotlib.animation" for each in animations):
            return None
        frames = [steady_frames(each) for each in animations]
        # What the functions get besides the frame: `fargs`.
        values = [value for each in animations for value in vars(each).values()]
        given = [value for value in values if isinstance(value, list | tuple)]
        return code_of(animations), self._playback.figure, frames, given

    def open(self, geometry: Geometry | None) -> None:
        if self._is_used:
            # The video is begun again. The script's own animation stays where it is.
            self._copy = copy.copy(self)
            self._copy.open(geometry)
            return
        self.begin()

    def begin(self) -> None:
        """Do what comes before the first frame, once."""
        if self._has_begun:
            return
        self._has_begun = True
        self._done, self._next = self._begins_after, None
        try:
            if self._pickled is not None:
                # Anew, for pyplot: while it is drawn, a copy's figure is the current one.
                self._figures.enter_context(kept_figures())
                self._load()
            self._faces = self._faces_now()
            if self._begins_after:
                self._go_on()
            else:
                with self._as_in_the_script():
                    self._playback.begin(self._save_options())
                self._frames = iter(self._playback.next_data, END)
        except BaseException:
            self._leave_figure()
            raise

    def _go_on(self) -> None:
        """Begin in the middle, where the figure is that of the frame before."""
        self._playback.take_figure(self._save_options())
        found = [steady_frames(each) for each in self._playback.animations]
        frames = [each for each in found if each is not None]
        self._frames = itertools.islice(zip(*frames, strict=False), self._begins_after, None)

    def _faces_now(self) -> tuple[Any, Any]:
        return self._playback.figure.get_facecolor(), self._playback.figure.get_edgecolor()

    def measure(self, index: int, params: Any) -> Geometry:
        if self._copy is not None:
            return self._copy.measure(index, params)
        self._reach(index)
        return Geometry(self._playback.saved.size, first=index)

    def draw(self, index: int, params: Any) -> npt.NDArray[np.uint8]:
        if self._copy is not None:
            return self._copy.draw(index, params)
        with self._own_random():
            self._reach(index)
            began_s = time.perf_counter()
            pixels = self._playback.saved.draw()
        self._draws_s.append(time.perf_counter() - began_s)
        return pixels

    def advance(self, index: int, params: Any) -> None:
        if self._copy is not None:
            self._copy.advance(index, params)
            return
        with self._own_random():
            self._reach(index)
            self._skip_draw()

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()
            return
        self._is_used = True
        self._leave_figure()

    def has_frame(self, index: int) -> bool:
        """Whether there is a frame `index`, a later one than those before.

        It may run the updates before it.
        """
        try:
            self.begin()
        except RayanimError:
            raise
        except Exception as error:
            raise SetupError(
                f"Setting up {self.name} raised {type(error).__name__}: {error}",
                traceback_text=traceback.format_exc(),
            ) from error
        try:
            while self._done < index:
                if not self._peek():
                    return False
                self._update()
                self._skip_draw()
            return self._peek()
        except BaseException as error:
            self._leave_figure()
            if isinstance(error, RayanimError) or not isinstance(error, Exception):
                raise
            raise FrameError(
                f"Frame {self._done} of {self.name}: {type(error).__name__}: {error}",
                frame=self._done,
                traceback_text=traceback.format_exc(),
            ) from error

    def catch_up(self) -> None:
        """Run the updates of the frames that actors have drawn.

        So the script goes on as after `Animation.save`.
        """
        if self._stream is not None:
            _set_random_state(self._stream)
        if self._failure is not None:
            # An audit was here before: it is not run a second time.
            with naming_frame(self, self._done):
                raise self._failure
        if self._done >= self.stop or self._settings.independent:
            return
        self._playback.take_figure(self._save_options())
        try:
            while self._done < self.stop and self._peek():
                with naming_frame(self, self._done):
                    self._update()
                self._skip_draw()
        finally:
            self._playback.leave_figure()

    def save_as_matplotlib(self, take: Callable[[npt.NDArray[np.uint8]], bool]) -> None:
        """Of a copy: have matplotlib's own `Animation.save` draw, while `take` asks for more."""
        from rayanim.figure.movie_writer import grabbing
        from rayanim.patching import matplotlib_saves

        options, (animation, *extra) = self._save_options(), self._playback.animations
        with self._as_in_the_script(), grabbing(options, take) as writer:
            matplotlib_saves(
                animation,
                "frames",
                writer=writer,
                dpi=options.dpi,
                extra_anim=extra,
                savefig_kwargs=options.options,
            )

    def _save_options(self) -> SaveOptions:
        settings, saved = self._settings, self._saved
        figure = self._playback.figure
        dpi = figure.dpi if settings.dpi is None else settings.dpi
        if settings.height_px is not None:
            dpi = settings.height_px / figure.get_figheight()
        return SaveOptions(
            dpi=dpi,
            options=settings.savefig_params,
            drawing=settings.drawing,
            whole_pairs=saved.whole_pairs,
            on_white=saved.on_white,
        )

    def _reach(self, index: int) -> None:
        """Run all updates that are missing before frame `index`, and its own."""
        with uncounted():
            if index < self._done - 1:
                self._begin_again()
        while self._done <= index:
            counting = uncounted() if self._done < index else contextlib.nullcontext()
            with naming_frame(self, self._done), counting:
                self._step_towards(index)

    def _step_towards(self, index: int) -> None:
        if not self._peek():
            raise FrameError(
                f"{self.name} ended before frame {index}: it has {self._done} frames.",
                frame=index,
            )
        if self._done < index and self._settings.independent:
            self._next = None
            self._done += 1
            return
        self._update()
        if self._done == 1 and index:
            # What the first draw leaves behind counts, the limits of a norm for example.
            with self._own_random():
                self._playback.saved.draw()
        elif self._done <= index:
            self._skip_draw()

    def _peek(self) -> bool:
        """Whether there is another frame."""
        if self._next is None:
            with self._as_in_the_script():
                self._next = next(self._frames, END)
        return self._next is not END

    def _update(self) -> None:
        data, self._next = self._next, None
        began_s = time.perf_counter()
        with self._as_in_the_script():
            try:
                self._playback.update(data)
            except Exception as error:
                self._failure = error
                raise
        self._updates_s.append(time.perf_counter() - began_s)
        self._done += 1

    def _begin_again(self) -> None:
        if self._pickled is None or self._begins_after:
            raise FrameError(f"{self.name}: its frames can be drawn once, in order.")
        self._leave_figure()
        self._has_begun = False
        self.begin()

    def _leave_figure(self) -> None:
        self._playback.leave_figure()
        if self._pickled is None:
            drawn_figures.add(self._playback.figure)
        self._figures.close()

    # ---- on other processes

    def can_begin_again(self) -> bool:
        """Whether all frames could be drawn again, by a copy; asked before the first one."""
        if self.n_frames is None:
            return False
        if self._pickled is None and self._for_copies is None:
            try:
                self._random, self._for_copies = _random_state(), self._picklable()
            except NotPicklableError:
                return False
        return True

    def _picklable(self) -> bytes:
        from rayanim.engine.packing import own_modules_by_value

        with own_modules_by_value():
            return self._playback.pickled()

    def __getstate__(self) -> dict[str, Any]:
        saved = self._saved
        state = {
            "name": self.name,
            "n_frames": self.n_frames,
            "_saved": (saved.whole_pairs, saved.on_white),
            "_settings": self._settings,
            "_for_copies": None,
        }
        if self._pickled is not None and self._has_begun:
            # A copy as it is now, which goes on from there.
            if self._faces != self._faces_now():
                raise NotPicklableError("the figure's own colours are not those of its frames")
            # With its own canvas, by which pyplot knows the figure.
            self._playback.leave_figure()
            try:
                now = {"_pickled": self._picklable(), "_random": self._stream}
            finally:
                self._playback.take_figure(self._save_options())
            return {**state, **now, "_begins_after": self._done}
        return {
            **state,
            "_pickled": self._pickled or self._for_copies or self._picklable(),
            "_random": self._random or _random_state(),
            "_begins_after": 0,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._has_begun = self._is_used = self._has_own_random = False
        whole_pairs, on_white = state["_saved"]
        self._figures = contextlib.ExitStack()
        with kept_figures():
            self._load()
        animation, *extra = self._playback.animations
        self._saved = SavedAnimation(
            animation, tuple(extra), whole_pairs=whole_pairs, on_white=on_white
        )
        self._copy = self._failure = None
        self.stop = 0
        self._updates_s, self._draws_s = deque(maxlen=1), deque(maxlen=1)
        self._written = WrittenFile()
        if self._begins_after:
            self.begin()

    def _load(self) -> None:
        import cloudpickle

        from rayanim.engine.packing import classes_apart

        # A fresh copy: what comes out of Ray's store cannot be written to.
        with classes_apart():
            self._playback = cloudpickle.loads(self._pickled)
        self._stream = self._random
        if self._has_own_random:
            _set_random_state(self._stream)

    @contextlib.contextmanager
    def _as_in_the_script(self) -> Iterator[None]:
        """Run the script's code with its own random stream, in an actor without what it prints."""
        is_copy = self._pickled is not None
        with self._own_random(), contextlib.redirect_stdout(NOWHERE) if is_copy else self._written:
            yield

    @contextlib.contextmanager
    def _own_random(self) -> Iterator[None]:
        """With the script's own random numbers: Ray, which may start meanwhile, takes some.

        Once for all that is done for a frame: it takes as long as drawing a line.
        """
        if self._has_own_random:
            yield
            return
        if self._stream is not None:
            _set_random_state(self._stream)
        self._has_own_random = True
        try:
            yield
        finally:
            self._has_own_random = False
        self._stream = _random_state()

    def _skip_draw(self) -> None:
        with self._own_random():
            self._playback.saved.skip_draw()


def _random_state() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()


def _set_random_state(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])


def is_animation_source(source: Any) -> bool:
    """Whether `source` draws animations of matplotlib's."""
    return isinstance(source, AnimationSource)


class _Nowhere(io.TextIOBase):
    """Takes what is printed and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


NOWHERE = _Nowhere()


class AnimationFeed:
    """The numbers of an animation's frames."""

    name = "the animation"

    def __init__(self, source: AnimationSource, selection: Selection | None) -> None:
        self._source = source
        self._selection = selection
        self._numbers: Sequence[int] | None = None
        if source.n_frames is not None:
            everything = range(source.n_frames)
            self._numbers = everything if selection is None else selection.within(source.n_frames)
        self._at = 0
        self._wanted: Iterator[int] = (
            itertools.count() if selection is None else itertools.chain(*selection.ranges)
        )

    @property
    def n_frames(self) -> int | None:
        if self._numbers is not None:
            return len(self._numbers)
        return None if self._selection is None else sum(map(len, self._selection.ranges))

    @property
    def is_selection(self) -> bool:
        return self._selection is not None

    def take(self, count: int) -> Batch:
        """The next frames."""
        if self._numbers is None:
            taken: Sequence[int] = self._looked_for()
        else:
            taken = self._numbers[self._at : self._at + count]
        self._at += len(taken)
        if len(taken):
            self._source.stop = max(self._source.stop, taken[-1] + 1)
        return Batch(taken, None)

    def _looked_for(self) -> Sequence[int]:
        number = next(self._wanted, None)
        if number is None:
            return ()
        if self._source.has_frame(number):
            return (number,)
        if not self._at:
            # Nothing is drawn, after which it would be closed.
            self._source.close()
        if self._selection is not None:
            raise SettingsError(
                f"frames {self._selection.text!r}: {self._source.name} ended before frame {number}."
            )
        return ()

    def catch_up(self) -> None:
        """Have the script's own animation reach the last frame that was taken."""
        self._source.catch_up()

    def again(self) -> AnimationFeed | None:
        """The same numbers, for a copy of the animation; None where there can be no copy."""
        if not self._source.can_begin_again():
            return None
        return AnimationFeed(self._source, self._selection)

    from_start = again
