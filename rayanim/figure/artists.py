"""Draws a figure by matplotlib's own code, and spares it the artists that have not changed.

The real ``Figure.draw`` runs in every frame, so the order of drawing, limits,
aspects, layouts and titles are matplotlib's. Only the loop over the sorted
artists of a figure or axes is replaced: each artist, at its own turn, is either
drawn and recorded, or its recording of before is kept.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import is_
from typing import Any

import matplotlib.image
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.quiver import QuiverKey

from rayanim.figure.changes import Ground, Mark, Rest, Surroundings, Watch, is_known
from rayanim.figure.draw_stats import replaced
from rayanim.figure.kept_layout import AxesLayout, Titles
from rayanim.figure.recorder import (
    Box,
    Recording,
    RecordingRenderer,
    inside,
    overlap,
    union,
    widened,
)

Flags = list[tuple[dict[str, Any], Any]]
"""Attributes of artists, each with what stood in their stale flag."""


class ArtistNode:
    """What is drawn at one turn: an artist, or several that only make sense together."""

    __slots__ = (
        "_alone", "_began_s", "_changed", "_epoch", "_ground", "_ground_version", "_marks", "_rest",
        "_roots", "_settled", "_touched", "_watch",
        "artist", "cost_s", "dirty", "drawn_for", "frame_idx", "fresh", "is_unknown", "moved_at",
        "reach", "recording",
    )  # fmt: skip

    def __init__(self, artist: Any, ground: Ground, roots: tuple[Any, ...] | None = None) -> None:
        self.artist = artist
        self.recording: Recording | None = None
        self.fresh: Recording | None = None
        self.dirty = True
        self.drawn_for = "change"
        self.is_unknown = False
        self.moved_at: int | None = None
        self.frame_idx = 0
        self.reach: Box | None = None
        self.cost_s = 0.0
        self._roots = (artist,) if roots is None else roots
        self._ground = ground
        self._ground_version = -1
        self._watch: Watch | None = None
        self._settled = False
        self._changed = True
        self._epoch = -1
        self._alone = False
        self._began_s = 0.0
        self._marks: Flags = []
        self._rest = Rest()
        self._touched: Box | None = None

    @property
    def watch(self) -> Watch | None:
        """The watch over what it was last drawn from, None where drawing it again may differ."""
        return self._watch if self._settled else None

    def changed(self, epoch: int) -> bool:
        """Whether anything that it is drawn from changed since it was drawn."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._ground.refresh(epoch)
            self._changed = (
                self._watch is None
                or self._ground.version != self._ground_version
                or self._watch.changed()
            )
        return self._changed

    def is_due(self, epoch: int) -> bool:
        """Whether it must be drawn: it changed, or it is not known that drawing changes nothing."""
        return self.changed(epoch) or not self._settled

    def begin(self, epoch: int) -> None:
        """Before it is drawn: watch what it is drawn from."""
        self.drawn_for = "change" if self.changed(epoch) else "doubt"
        if self._changed:
            self._watch = None
            if self._ground.watched and not self._rest.resting():
                self._watch = Watch(self._roots, self._ground)
        # Drawing resets stale flags in which others may see whether somebody has set them.
        self._marks = marks_of(self._roots)
        self._alone = draws_alone(self.artist)
        self._began_s = time.perf_counter()

    def end(self, recording: Recording) -> bool:
        """After it was drawn; False where that may have changed anything else."""
        self.cost_s = time.perf_counter() - self._began_s
        before, recorded = self._watch, self.recording
        put_back(self._marks)
        self.take(recording)
        self._epoch = -1
        if before is None:
            return not self.is_unknown and self._alone
        self.is_unknown = before.reason is not None
        if self.is_unknown:
            self._rest.until_end()
            self._watch = None
            return False
        self._watch = Watch(self._roots, self._ground)
        self._ground_version = self._ground.version
        # What drawing writes anew in every frame may still be drawn from the same: then two draws
        # that follow on each other are alike.
        self._settled = before.same_values(self._watch) or (
            self.drawn_for == "doubt" and recording.same_as(recorded)
        )
        return self._settled or self._alone

    def begin_comparison(self) -> None:
        """Before it is drawn although it has not changed."""
        self._marks = marks_of(self._roots)
        self._marks += [] if self._watch is None else self._watch.flags()

    def end_comparison(self, recording: Recording) -> None:
        """After that."""
        self.fresh = recording
        put_back(self._marks)

    @property
    def is_turn(self) -> bool:
        """Whether it stands for artists, and not for what an owner draws between them."""
        return bool(self._roots)

    def draws(self, artist: Any) -> bool:
        """Whether `artist` is one of those that are drawn here."""
        return any(artist is root for root in self._roots)

    def keep(self) -> None:
        """It has not changed."""
        self.dirty = False
        self.drawn_for = ""
        self._rest.calm()

    def take(self, recording: Recording) -> None:
        """Take what it asked of the renderer in this frame."""
        self.dirty = not recording.same_as(self.recording)
        if self.dirty and self.recording is not None:
            self.moved_at = self.frame_idx
        # Kept anew where it is the same: its clip paths may be others, with the same points.
        self.recording = recording

    def replay(self) -> None:
        """Ask the renderer for the same again."""
        if self.recording is not None:
            self.recording.replay()

    def outgrew_reach(self) -> bool:
        """Whether it touches pixels where it never was; they are added to its reach."""
        box = self.recording.box if self.recording else None
        self._touched = union(self._touched, box)
        if inside(box, self.reach):
            return False
        self.reach = union(self.reach, box)
        return True

    def give_room(self, by_px: int) -> None:
        """Let it reach so far beyond what it has touched, where it is not clipped to less."""
        limit = self.recording.limit if self.recording else None
        room = overlap(widened(self._touched, by_px), limit)
        self.reach = union(self._touched, room)


class FigureDrawing:
    """Draws one figure, frame by frame, into recordings."""

    def __init__(self, figure: Figure) -> None:
        self.nodes: list[ArtistNode] = []
        self.order_changed = True
        self.comparing = False
        self.misplaced: list[Any] = []
        self.direct: str | None = None
        self._figure = figure
        self._known: dict[int, list[ArtistNode]] = {}
        self._grounds: dict[int, Ground] = {}
        self._surroundings = Surroundings()
        self._aligned: list[list[Any]] = []
        self._layout = AxesLayout(figure, self)
        self._owned: dict[int, tuple[Any, list[Any]]] = {}
        self._titles: dict[int, Titles] = {}
        self._placing: Titles | None = None
        self._frame_idx = 0
        self._epoch = 0
        self._renderer: Any = None
        self._order: list[ArtistNode] = []
        self._owners: list[Any] = []
        self._at_turn = False
        self._space: ArtistNode | None = None
        self._spaces: dict[int, ArtistNode] = {}
        self._space_kept = False
        self._frame_flags: Flags = []

    def draw(self, renderer: RecordingRenderer, frame_idx: int, *, compare: bool) -> None:
        """Run ``Figure.draw``."""
        self.comparing, self.direct, self.misplaced = compare, None, []
        self._renderer, self._frame_idx = renderer, frame_idx
        self._order, self._owners = [], [self._figure]
        recorder = renderer.recorder
        recorder.cut()
        renderer.drawing = self
        recorder.mode = "both" if compare else "record"
        try:
            with _replacing():
                self._epoch += 1
                self._look_around()
                is_laid_out = self._layout.begin()
                self._epoch += 1
                with _without_layout(self._figure, spared=is_laid_out and not compare):
                    self._figure.draw(renderer)
                self._end_loose()
        except BaseException:
            renderer.end_filters()
            raise
        finally:
            recorder.mode = "pass"
            recorder.cut()
            self._renderer = renderer.drawing = None
            self._at_turn, self._space, self._placing = False, None, None
            self._frame_flags = []
        self.order_changed = self._order != self.nodes
        self.nodes = self._order
        if self.order_changed:
            self._drop_others()
        if not self._layout.end(spared=is_laid_out and not compare) and is_laid_out:
            self.misplaced.append("axes that the layout engine moves")

    def _look_around(self) -> None:
        """Take everything for changed where something outside of the artists changed."""
        aligned, self._aligned = self._aligned, list(_aligned(self._figure))
        if self._surroundings.changed() or aligned != self._aligned:
            for ground in self._grounds.values():
                ground.forget()

    def go_direct(self, reason: str) -> None:
        """Draw what was recorded so far, and all that follows without recording it."""
        recorder = self._renderer.recorder
        if recorder.mode == "pass":
            return
        self.direct = reason
        rest = recorder.cut()
        if recorder.mode == "record":
            self._renderer.raw.clear()
            for node in self._order:
                node.replay()
            rest.replay()
        recorder.mode = "pass"
        recorder.touched = True

    @property
    def gives_turns(self) -> bool:
        """Whether artists that are drawn now have their turns here."""
        return not (self._at_turn or self.direct is not None or self._renderer.filtering)

    def begin_artists(self) -> bool:
        """Before the sorted artists of an owner: whether they have their turns here."""
        self._end_space()
        self._reset_frame()
        return self.gives_turns

    def places_titles_of(self, axes: Any) -> bool:
        """Whether the titles of `axes` are placed now because it is drawn, and not measured."""
        # A layout engine measures axes that it moves to and fro.
        return axes is self._owners[-1] and (self._space is not None or self.gives_turns)

    def draw_artists(self, owner: Any, artists: Iterable[Any]) -> None:
        """Give each of the sorted artists of an axes or figure its turn."""
        self._owned[id(owner)] = (owner, owner.get_children())
        renderer = self._renderer
        for artist in artists:
            if not self.gives_turns:
                artist.draw(renderer)
            elif isinstance(artist, Axes | FigureBase):
                self._draw_owner(artist)
            else:
                self._turn(artist)

    def _draw_owner(self, owner: Any) -> None:
        """Draw axes or a figure by their own code, which comes back for the artists in them."""
        self._end_loose()
        # Its limits and place may be brought up to date now: what was known does not count.
        self._epoch += 1
        self._owners.append(owner)
        if isinstance(owner, Axes) and type(owner).draw is not Axes.draw:
            # What they set on their own frame whenever they are drawn sets stale flags, too:
            # there the values alone tell of changes.
            self._frame_flags = marks_of((owner.patch, *owner.spines.values()))
        owner.draw(self._renderer)
        self._end_space()
        self._end_loose()
        self._owners.pop()

    def _reset_frame(self) -> None:
        """Have what axes set on their own frame in every draw look as it did before."""
        put_back(self._frame_flags)
        self._frame_flags = []

    def place_titles(self, axes: Any, place: Callable[[], None]) -> None:
        """Have matplotlib put the titles of `axes` above what is there, where that may matter."""
        self._reset_frame()
        titles = self._titles.get(id(axes))
        if titles is None or titles.axes is not axes:
            titles = self._titles[id(axes)] = Titles(axes, self)
        if not titles.any_text():
            # Then matplotlib looks no further, either.
            place()
            self._end_space()
            return
        # In 3D, drawing the axes and measuring them for the titles move the same ticks to and fro:
        # they are one.
        together = self._space is not None and not self._space_kept
        if not together and titles.are_in_place():
            if self.comparing:
                self.misplaced += titles.place(place)
            self._end_space()
            return
        self._epoch += 1
        self._placing = None if together else titles
        titles.place(place)
        self._placing = None
        self._end_space()
        self._epoch += 1
        titles.remember()

    def measure(self, axis: Any, measure: Callable[[], Any]) -> Any:
        """The box of an axis; from memory where titles are placed and it has not changed."""
        return measure() if self._placing is None else self._placing.measure(axis, measure)

    def begin_space(self, axes: Any) -> bool:
        """Before a part of the panes, grids and axes of 3D axes; whether it must be drawn."""
        if self._space is None:
            if not self.gives_turns:
                return True
            self._reset_frame()
            self._end_loose()
            roots = tuple(axes._axis_map.values())
            self._space = self._node(roots[0], roots)
            self._spaces[id(axes)] = self._space
            self._at_turn = True
            self._space_kept = not self._space.is_due(self._epoch)
            if not self._space_kept:
                self._space.begin(self._epoch)
            elif self.comparing:
                self._space.begin_comparison()
        return not self._space_kept or self.comparing

    def watch_of(self, artist: Any) -> Watch | None:
        """The watch over an artist that has turns, drew the same twice, and has not changed."""
        node = self._node_of(artist)
        return None if node is None or node.is_due(self._epoch) else node.watch

    def has_turns(self, artist: Any) -> bool:
        """Whether `artist` was drawn at a turn of its own in the frame before."""
        return self._node_of(artist) is not None

    def is_due(self, node: ArtistNode) -> bool:
        """Whether `node` would be drawn if its turn were now."""
        return node.is_due(self._epoch)

    def is_as_drawn(self, axes: Any) -> bool:
        """Whether the same artists are in `axes` as when it was drawn."""
        owner, artists = self._owned.get(id(axes), (None, []))
        now = axes.get_children()
        return owner is axes and len(now) == len(artists) and all(map(is_, now, artists))

    def ground_of(self, owner: Any) -> Ground:
        """What the artists of an axes or figure are drawn from, up to date."""
        ground = self._grounds.get(id(owner))
        if ground is None or ground.owner is not owner:
            ground = self._grounds[id(owner)] = Ground(owner)
        ground.refresh(self._epoch)
        return ground

    def forget(self) -> None:
        """Take everything for changed."""
        self.nodes = []
        self._known.clear()
        self._grounds.clear()
        self._titles.clear()
        self._spaces.clear()

    def _turn(self, artist: Any) -> None:
        self._end_loose()
        node = self._node(artist, (artist,))
        renderer, recorder = self._renderer, self._renderer.recorder
        self._at_turn = True
        if node.is_due(self._epoch):
            node.begin(self._epoch)
            artist.draw(renderer)
            if not node.end(recorder.cut()):
                self._epoch += 1
                if node.is_unknown:
                    self._look_around()
        else:
            node.keep()
            if self.comparing:
                node.begin_comparison()
                artist.draw(renderer)
                node.end_comparison(recorder.cut())
        self._at_turn = False
        self._order.append(node)

    def _end_space(self) -> None:
        node, self._space = self._space, None
        if node is None:
            return
        self._at_turn = False
        recording = self._renderer.recorder.cut()
        if not self._space_kept:
            if not node.end(recording):
                self._epoch += 1
        else:
            node.keep()
            if self.comparing:
                node.end_comparison(recording)
        self._order.append(node)

    def _end_loose(self) -> None:
        """End a recording of what was drawn outside of every turn; it is drawn in every frame."""
        recorder = self._renderer.recorder
        if recorder.has_calls and not self._at_turn:
            node = self._node(self._owners[-1], ())
            node.take(recorder.cut())
            self._order.append(node)

    def _node(self, artist: Any, roots: tuple[Any, ...]) -> ArtistNode:
        """The node for this turn of `artist`: it may have several in one frame."""
        nodes = self._known.setdefault(id(artist), [])
        if nodes and nodes[0].artist is not artist:
            nodes.clear()
        for node in nodes:
            if node.frame_idx != self._frame_idx:
                break
        else:
            node = ArtistNode(artist, self.ground_of(self._owners[-1]), roots)
            nodes.append(node)
        node.frame_idx = self._frame_idx
        return node

    def _node_of(self, artist: Any) -> ArtistNode | None:
        nodes = self._known.get(id(artist))
        if nodes and nodes[0].artist is artist:
            return nodes[0]
        space = self._spaces.get(id(artist.axes))
        return space if space is not None and space.draws(artist) else None

    def _drop_others(self) -> None:
        """Let go of all that the figure no longer shows."""
        known: dict[int, list[ArtistNode]] = {}
        for node in self.nodes:
            known.setdefault(id(node.artist), []).append(node)
        self._known = known
        shown = {id(axes): axes for axes in _everything(self._figure)}
        for memory in (self._grounds, self._owned, self._titles, self._spaces):
            for key in [key for key in memory if key not in shown]:
                del memory[key]


def _aligned(figure: Any) -> Iterator[list[Any]]:
    """Groups of axes whose labels or titles are aligned."""
    for grouper in figure._align_label_groups.values():
        yield from (list(group) for group in grouper)
    for part in figure.subfigs:
        yield from _aligned(part)


def _everything(figure: Any) -> Iterator[Any]:
    """A figure, the figures in it, and all axes with the axes in them."""
    yield figure
    for part in figure.subfigs:
        yield from _everything(part)
    found = list(figure.axes)
    while found:
        axes = found.pop()
        yield axes
        found.extend(axes.child_axes)


def marks_of(artists: Iterable[Any]) -> Flags:
    """The stale flags of artists that nobody has set or reset since they were watched."""
    attributes: Iterator[dict[str, Any]] = (vars(artist) for artist in artists)
    return [(flags, flags["_stale"]) for flags in attributes if type(flags.get("_stale")) is Mark]


def put_back(marks: Iterable[tuple[dict[str, Any], Any]]) -> None:
    """Give stale flags back what stood in them."""
    for flags, mark in marks:
        flags["_stale"] = mark


def draws_alone(artist: Any) -> bool:
    """Whether drawing an artist of a known kind changes nothing that others are drawn from."""
    if isinstance(artist, Axis | QuiverKey) or not is_known(artist) or "draw" in vars(artist):
        return False
    norm = getattr(artist, "norm", None)
    # A norm that several share gets its limits from the first of them that is drawn.
    return norm is None or norm.scaled()


@contextlib.contextmanager
def _without_layout(figure: Any, *, spared: bool) -> Iterator[None]:
    """Spare `figure` a run of its layout engine."""
    if not spared:
        yield
        return
    attributes = vars(figure)
    engine = attributes["_layout_engine"]
    attributes["_layout_engine"] = None
    try:
        yield
    finally:
        if attributes["_layout_engine"] is None:
            attributes["_layout_engine"] = engine


@contextlib.contextmanager
def _replacing() -> Iterator[None]:
    """Have drawings with a `RecordingRenderer` go through its `FigureDrawing`."""
    with contextlib.ExitStack() as stack:
        for owner, name, make in _REPLACED:
            stack.enter_context(replaced(owner, name, make))
        space = sys.modules.get("mpl_toolkits.mplot3d.axis3d")
        if space is not None:
            for name, make in _REPLACED_IN_SPACE:
                stack.enter_context(replaced(space.Axis, name, make))
        yield


def _drawing(renderer: Any) -> FigureDrawing | None:
    return getattr(renderer, "drawing", None)


def _give_turns(draw_list: Any) -> Any:
    def draw(
        renderer: Any, parent: Any, artists: Any, suppress_composite: bool | None = None
    ) -> None:
        drawing = _drawing(renderer)
        if drawing is not None and suppress_composite is not False and drawing.begin_artists():
            drawing.draw_artists(parent, artists)
        else:
            draw_list(renderer, parent, artists, suppress_composite)

    return draw


def _place_titles(update: Any) -> Any:
    @functools.wraps(update)
    def place(self: Any, renderer: Any) -> None:
        drawing = _drawing(renderer)
        if drawing is None or not drawing.places_titles_of(self):
            update(self, renderer)
        else:
            drawing.place_titles(self, partial(update, self, renderer))

    return place


def _measure(get_tightbbox: Any) -> Any:
    @functools.wraps(get_tightbbox)
    def measure(self: Any, renderer: Any = None, **options: Any) -> Any:
        drawing = _drawing(renderer)
        if drawing is None or options:
            return get_tightbbox(self, renderer, **options)
        return drawing.measure(self, partial(get_tightbbox, self, renderer))

    return measure


def _in_space(draw: Any) -> Any:
    @functools.wraps(draw)
    def draw_part(self: Any, renderer: Any) -> None:
        drawing = _drawing(renderer)
        if drawing is None or drawing.begin_space(self.axes):
            draw(self, renderer)

    return draw_part


def _title_owner() -> type:
    """The class of axes that defines how titles are placed."""
    return next(kind for kind in Axes.__mro__ if "_update_title_position" in vars(kind))


_REPLACED: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (matplotlib.image, "_draw_list_compositing_images", _give_turns),
    (_title_owner(), "_update_title_position", _place_titles),
    (Axis, "get_tightbbox", _measure),
)
_REPLACED_IN_SPACE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("draw_pane", _in_space),
    ("draw_grid", _in_space),
    ("draw", _in_space),
    ("get_tightbbox", _measure),
)
