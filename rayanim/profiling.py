"""`rayanim profile`: where the time of a video's frames goes, and what would make it less.

Some frames are drawn as a job in one process draws them, converted and encoded. A few of them are
drawn once more in full, to see what each artist takes.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from rayanim.animations import is_animation_source
from rayanim.errors import NotPicklableError, ParametersError
from rayanim.figure.draw_stats import (
    TIGHT_LAYOUT,
    WARM_UP,
    DrawMonitor,
    FrameDraws,
    uncounted,
)
from rayanim.figure.hints import advice_of
from rayanim.figure.private import replaced
from rayanim.profile_report import ArtistCost, ProfileReport, Stage, ms_text
from rayanim.report import ADVICE
from rayanim.still import FrameDrawer

if TYPE_CHECKING:
    from rayanim.engine.draw import OrderTest
    from rayanim.engine.packing import PackedSource
    from rayanim.figure.figure import AnyPixels
    from rayanim.planning import PlannedVideo
    from rayanim.sources import Geometry
    from rayanim.video.convert import FramePacker
    from rayanim.video.formats import AnySegmentEncoder
    from rayanim.video.spec import StreamSpec

MOST_FRAMES, MOST_S, LEAST_FRAMES = 200, 10.0, 3
"""Drawing ends after `MOST_FRAMES` frames or `MOST_S` seconds, but not before `LEAST_FRAMES`."""

FULL_DRAWS, FULL_S = 5, 5.0
"""Up to `FULL_DRAWS` of them are drawn once more in full; after `FULL_S` seconds no further one."""

LEAST_BETWEEN = 6
"""The least distance of two such frames: the two after each are drawn anew, and not counted."""

LAYOUT_ADVICE = "a single layout, before the first frame, would help"
"""What would help where layouts take longest."""


def profile(plan: PlannedVideo) -> ProfileReport:
    """Draw some of the video's frames, and measure where their time goes."""
    from rayanim.engine.packing import pack
    from rayanim.randomness import kept_randomness

    began_s = time.perf_counter()
    packed: PackedSource | NotPicklableError
    try:
        packed = pack(plan.source)
    except NotPicklableError as error:
        packed = error
    with kept_randomness(), contextlib.closing(FrameDrawer(plan, in_any_order=True)) as drawer:
        measured = _Measured(plan, drawer)
        with contextlib.closing(measured):
            measured.run()
        report = measured.report(began_s)
        return replace(report, spreading=tuple(_spreading(plan, packed, measured)))


class _Measured:
    """Frames that are drawn one after the other, and what they took."""

    def __init__(self, plan: PlannedVideo, drawer: FrameDrawer) -> None:
        self._plan = plan
        self._drawer = drawer
        self._monitor = _FullDraws()
        self._frames: list[FrameDraws] = []
        self._convert_s = self._encode_s = 0.0
        self._encoder: AnySegmentEncoder | None = None
        self.encode_ms: float | None = None
        self.test: OrderTest | None = None
        self.tested = 0
        self.spec: StreamSpec

    def run(self) -> None:
        """Draw, convert and encode."""
        numbers = self._drawer.numbers
        wanted = itertools.count() if numbers is None else iter(numbers[:MOST_FRAMES])
        self._monitor.choose(MOST_FRAMES if numbers is None else min(MOST_FRAMES, len(numbers)))
        began_s = time.perf_counter()
        with self._monitor.open():
            for number in itertools.islice(wanted, MOST_FRAMES):
                if not self._drawer.has(number):
                    break
                self._draw(number)
                is_late = time.perf_counter() - began_s > MOST_S
                if is_late and len(self._frames) >= LEAST_FRAMES:
                    break
            if not self._frames:
                raise ParametersError("There is nothing to profile: the video has no frames.")
            self._finish_encoding()
            self.draws = self._monitor.take()

    def close(self) -> None:
        """Close the encoder."""
        if self._encoder is not None:
            self._encoder.abort()

    def _draw(self, number: int) -> None:
        self._monitor.position = len(self._frames)
        with self._monitor.frame(number) as draws:
            pixels = self._drawer.draw(number)
        if not self._frames:
            self._open(pixels)
        self._frames.append(draws)
        began_s = time.perf_counter()
        frame = self._out[0]
        self._packer.pack(pixels, frame, number)
        converted_s = time.perf_counter()
        self._convert_s += converted_s - began_s
        if self._encoder is not None:
            self._encoder.encode(self._out)
            self._encode_s += time.perf_counter() - converted_s
        self._remember(number)

    def _open(self, pixels: npt.NDArray[np.uint8]) -> None:
        from rayanim.engine.draw import OrderTest
        from rayanim.video.codecs import make_spec, probe
        from rayanim.video.convert import FramePacker
        from rayanim.video.formats import segment_encoder
        from rayanim.video.spec import has_palette

        plan, size = self._plan, pixels.shape[1::-1]
        # Each frame once, without sound or text.
        once: dict[str, Any] = {"ping_pong": False, "audio": None, "subtitles": None}
        settings = replace(plan.settings, **once)
        self.spec = make_spec(plan.target.suffix, settings, size, settings.fps)
        self._out = np.empty((1, self.spec.frame_bytes), np.uint8)
        self._packer: FramePacker = FramePacker(self.spec)
        self.test = OrderTest(self.spec, plan.settings)
        # A palette is chosen from the whole video.
        if not has_palette(plan.target.suffix):
            probe(self.spec)
            self._encoder = segment_encoder(self.spec)

    def _remember(self, number: int) -> None:
        from rayanim.engine.draw import MOST_DRAWN
        from rayanim.engine.plan import Chunk
        from rayanim.parameters import Batch

        if self.test is not None and len(self._frames) <= MOST_DRAWN:
            batch = Batch([number], [self._drawer.params_of(number)])
            self.test.remember(Chunk(0, number, number + 1, batch), self._out)
            self.tested += 1

    def _finish_encoding(self) -> None:
        if self._encoder is None:
            return
        began_s = time.perf_counter()
        self._encoder.finish()
        self._encode_s += time.perf_counter() - began_s
        self.encode_ms = 1000 * self._encode_s / len(self._frames)

    @property
    def geometry(self) -> Geometry | None:
        """What the first frame settled."""
        return self._drawer.geometry

    @property
    def usual(self) -> list[FrameDraws]:
        """The frames without the first ones, which import and fill caches, for example."""
        usual = [each for at, each in enumerate(self._frames) if self._monitor.is_usual(at)]
        return usual or self._frames

    @property
    def update_s(self) -> float:
        """What the script's own code takes for a frame, with the layouts that it runs."""
        return sum(each.seconds - each.drawing_s for each in self.usual) / len(self.usual)

    @property
    def draw_s(self) -> float:
        """What a frame takes until it is converted."""
        spent_s = sum(each.seconds for each in self.usual) / len(self.usual)
        return spent_s + self._convert_s / len(self._frames)

    def stages(self) -> Iterator[Stage]:
        """The parts of a frame's time."""
        frames = self.usual
        draws_figures = any(each.is_drawn for each in frames)
        code = "update, and the script's other code" if draws_figures else "the script's drawing"
        layouts_s: Counter[str] = Counter()
        for each in frames:
            layouts_s.update(each.layouts_s)
        own_layout_s = sum(each.own_layout_s for each in frames)
        code_s = self.update_s - own_layout_s / len(frames)
        yield Stage(code, 1000 * code_s, ADVICE["script" if draws_figures else "drawing"])
        for name, seconds in layouts_s.items():
            what = f"{name}" if name == TIGHT_LAYOUT else f"layout ({name})"
            yield Stage(what, 1000 * seconds / len(frames), LAYOUT_ADVICE)
        if draws_figures:
            inside_s = sum(layouts_s.values()) - own_layout_s
            drawing_s = sum(each.drawing_s for each in frames) - inside_s
            yield Stage("drawing", 1000 * drawing_s / len(frames), ADVICE["drawing"])
        convert_s = self._convert_s / len(self._frames)
        yield Stage("conversion", 1000 * convert_s, ADVICE["converting"])
        if self.encode_ms is not None:
            # In a thread of its own, or in the actor that draws.
            yield Stage("encoding", self.encode_ms, ADVICE["encoding"])

    def report(self, began_s: float) -> ProfileReport:
        """What was measured."""
        plan, spec, full = self._plan, self.spec, self._monitor
        numbers = self._drawer.numbers
        return ProfileReport(
            output=plan.target.address,
            frames=len(self._frames),
            elapsed_s=time.perf_counter() - began_s,
            size=spec.size,
            rate=spec.rate,
            codec=spec.codec,
            pixel_format=spec.pixel_format,
            file_bytes=0,
            rendered=False,
            incremental_frames=self.draws.incremental,
            full_frames=tuple(sorted(self.draws.in_full.items(), key=lambda each: -each[1])),
            n_frames=plan.feed.n_frames if numbers is None else len(numbers),
            stages_ms=tuple(self.stages()),
            frames_ms=tuple((each.number, 1000 * each.seconds) for each in self.usual),
            full_draws=full.draws,
            full_ms=1000 * full.seconds / max(1, full.draws),
            artists=tuple(full.costs()),
            hints=tuple(self._hints()),
        )

    def _hints(self) -> Iterator[str]:
        """What makes the frames slow, and the remedy."""
        # Few frames are enough here: a profile was asked for, and nothing else is to come.
        for note in (*advice_of(self.draws, enough_frames=1), *self.draws.notes):
            yield note.text


# ---- artists


@dataclass(slots=True)
class _Draw:
    """An artist that is being drawn, the part of an axes it belongs to, and what others took."""

    artist: Any
    owner: Any
    inner_s: float = 0.0


@dataclass(slots=True)
class _ArtistTimes:
    """What artists of one name took; `ids` are those of the draw that is going on."""

    ids: set[int] = field(default_factory=set)
    count: int = 0
    seconds: float = 0.0
    redrawn_frames: int = 0


_Name = tuple[str, str, str]
"""Kind, label and axes."""


class _FullDraws(DrawMonitor):
    """Draws the chosen frames once more in full, and times each artist meanwhile."""

    def __init__(self) -> None:
        super().__init__(comparing_share=0.0)
        self.draws = 0
        self.seconds = 0.0
        self.position = 0
        self._usual = self._usual_full = 0
        self._chosen: set[int] = set()
        self._times: dict[_Name, _ArtistTimes] = {}
        # As it was named first: texts may change from frame to frame.
        self._names: WeakKeyDictionary[Any, _Name] = WeakKeyDictionary()
        self._open_draws: list[_Draw] = []

    def choose(self, n_frames: int) -> None:
        """Choose the frames, of so many."""
        first = min(WARM_UP, n_frames - 1)
        self._chosen = set(range(first, n_frames, max(LEAST_BETWEEN, n_frames // FULL_DRAWS)))

    def is_usual(self, position: int) -> bool:
        """Whether the frame there is neither one of the first, nor after one drawn in full.

        The two after those are drawn anew, too: what they are drawn from was not watched.
        """
        return position >= WARM_UP and not {position - 1, position - 2} & self._chosen

    def draw(self, pixels: AnyPixels) -> npt.NDArray[np.uint8]:
        """Draw, and draw a chosen frame once more."""
        drawn = super().draw(pixels)
        with uncounted():
            if self.is_usual(self.position):
                self._note_redrawn(pixels)
            if self.position in self._chosen and self.seconds < FULL_S:
                self._draw_in_full(pixels.figure)
        return drawn

    def costs(self) -> list[ArtistCost]:
        """What the artists took, those first that cost most in the video."""
        costs = [self._cost(name, times) for name, times in self._times.items() if times.seconds]
        return sorted(costs, key=lambda each: (each.frame_ms, each.ms), reverse=True)

    def _cost(self, name: _Name, times: _ArtistTimes) -> ArtistCost:
        kind, label, axes = name
        return ArtistCost(
            kind=kind,
            label=label,
            axes=axes,
            count=times.count,
            ms=1000 * times.seconds / self.draws,
            share=times.seconds / self.seconds,
            redrawn=(times.redrawn_frames + self._usual_full) / max(1, self._usual),
        )

    def _note_redrawn(self, pixels: AnyPixels) -> None:
        self._usual += 1
        if pixels.why_full is not None:
            self._usual_full += 1
            return
        canvas: Any = pixels.figure.canvas
        times = [self._of(node.artist) for node in canvas.nodes if node.is_drawn]
        for each in {id(each): each for each in times}.values():
            each.redrawn_frames += 1

    def _of(self, artist: Any) -> _ArtistTimes:
        name = self._names.get(artist)
        if name is None:
            axes = getattr(artist, "axes", None)  # of a figure a list
            place = self._names[axes][2] if axes in self._names else _place_of(axes)
            name = self._names[artist] = (*_kind_and_label(artist), place)
        return self._times.setdefault(name, _ArtistTimes())

    def _draw_in_full(self, figure: Any) -> None:
        from matplotlib.artist import Artist
        from matplotlib.backends.backend_agg import RendererAgg

        width_px, height_px = figure.canvas.get_width_height(physical=True)
        renderer: Any = RendererAgg(width_px, height_px, figure.dpi)  # type: ignore[no-untyped-call]
        kinds = {kind for artist in figure.findobj() for kind in type(artist).__mro__}
        drawn = [kind for kind in kinds if issubclass(kind, Artist) and "draw" in vars(kind)]
        token = _timing.set(self)
        try:
            with replaced(*((kind, "draw", _timed) for kind in drawn)):
                began_s = time.perf_counter()
                figure.draw(renderer)
                self.seconds += time.perf_counter() - began_s
        finally:
            _timing.reset(token)
        self.draws += 1
        for times in self._times.values():
            times.count = max(times.count, len(times.ids))
            times.ids.clear()

    @contextlib.contextmanager
    def drawing(self, artist: Any) -> Iterator[None]:
        """Time what is drawn inside: `artist`, without what others take that it draws."""
        outer = self._open_draws[-1] if self._open_draws else None
        if outer is not None and outer.artist is artist:  # its base class
            yield
            return
        is_part = outer is None or _holds_artists(outer.owner)
        draw = _Draw(artist, artist if is_part or outer is None else outer.owner)
        self._open_draws.append(draw)
        began_s = time.perf_counter()
        try:
            yield
        finally:
            spent_s = time.perf_counter() - began_s
            self._open_draws.pop()
            if outer is not None:
                outer.inner_s += spent_s
            times = self._of(draw.owner)
            times.ids.add(id(draw.owner))
            times.seconds += spent_s - draw.inner_s


_timing: ContextVar[_FullDraws | None] = ContextVar("rayanim_artist_times", default=None)


def _timed(draw: Any) -> Any:
    @functools.wraps(draw)
    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        full = _timing.get()
        if full is None:
            return draw(self, *args, **kwargs)
        with full.drawing(self):
            return draw(self, *args, **kwargs)

    return timed


def _holds_artists(artist: Any) -> bool:
    """Whether it is a figure or an axes, whose artists count for themselves."""
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    return isinstance(artist, FigureBase | Axes)


LABEL_CHARS = 30


def _kind_and_label(artist: Any) -> tuple[str, str]:
    kind = type(artist).__name__
    if _holds_artists(artist):
        return f"{kind}, itself", ""
    names = ("get_text", "get_label_text", "get_label")  # of a text, an axis, any artist
    labels = (getattr(artist, name)() for name in names if hasattr(artist, name))
    # What a table's cell gives as its text is an artist.
    label = " ".join(next((each for each in labels if isinstance(each, str)), "").split())
    return kind, "" if label.startswith("_") else f"{label:.{LABEL_CHARS}}"


def _place_of(axes: Any) -> str:
    """Which of several axes these are, if any."""
    from matplotlib.axes import Axes

    figure = axes.get_figure(root=True) if isinstance(axes, Axes) else None
    if figure is None or len(figure.axes) < 2 or axes not in figure.axes:
        return ""
    title = " ".join(axes.get_title().split())
    return f"axes {1 + figure.axes.index(axes)}{f' {title!r:.{LABEL_CHARS}}' if title else ''}"


# ---- actors


def _spreading(
    plan: PlannedVideo, packed: PackedSource | NotPicklableError, measured: _Measured
) -> Iterator[str]:
    """Whether actors could draw the frames, and whether that would be quicker."""
    from rayanim.engine.choose import Costs, choose_engine
    from rayanim.engine.machine import usable_cores

    if plan.source.stays is not None:
        yield f"Actors: none; {plan.source.stays}."
        return
    if isinstance(packed, NotPicklableError):
        yield f"Actors: none. {packed.message}"
        return
    yield _order_text(plan, packed, measured)
    cores, left = usable_cores(), plan.feed.n_frames
    encode_s = (measured.encode_ms or 0.0) / 1000
    choice = choose_engine(
        Costs(draw_s=measured.draw_s, encode_s=encode_s, is_encoded_by_actors=True),
        left,
        max_actors=plan.settings.most_actors(cores),
        cores=cores,
    )
    text = choice.reason.replace("the rest was", "all frames were")
    yield f"{text[0].upper()}{text[1:]}."


def _order_text(plan: PlannedVideo, packed: PackedSource, measured: _Measured) -> str:
    from rayanim.engine.draw import FEWEST_DRAWN
    from rayanim.engine.packing import copied

    runs_all = is_animation_source(plan.source) or plan.settings.sequential
    geometry, test = measured.geometry, measured.test
    if plan.settings.independent:
        return "Actors: each draws frames of its own, as was declared (independent)."
    if not runs_all and measured.tested >= FEWEST_DRAWN and test is not None and geometry:
        if not test.order_matters(copied(packed), geometry):
            return (
                "Actors: each draws frames of its own; of the first frames none depends on those "
                "before it."
            )
        runs_all = True
    if not runs_all:
        return "Actors: there are too few frames to see whether they depend on each other."
    update_s, frame_s = measured.update_s, measured.draw_s + (measured.encode_ms or 0.0) / 1000
    most = min(1000.0, frame_s / max(update_s, 1e-9))
    update, frame = ms_text(1000 * update_s), ms_text(1000 * frame_s)
    return (
        f"Actors: each runs the updates of all frames before its own, {update} ms "
        f"of a frame's {frame}, so that any number of them is at most "
        f"{most:.{0 if most > 9.95 else 1}f} times as fast as one process."
    )
