"""Draws a figure by matplotlib's own code, and spares it the artists that have not changed.

The real ``Figure.draw`` runs in every frame, so the order of drawing, limits,
aspects, layouts and titles are matplotlib's. Only the loop over the sorted
artists of a figure or axes is replaced: each artist, when it is its turn, is either
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
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.quiver import QuiverKey
from matplotlib.text import Annotation, Text

from rayanim.figure.changes import (
    Backoff,
    Flags,
    SharedInputs,
    Watch,
    is_known,
    marks_of,
    restore_flags,
)
from rayanim.figure.cleared import AxisMemory, stands_alone
from rayanim.figure.global_inputs import GlobalInputs
from rayanim.figure.kept_layout import AxesLayout, Titles
from rayanim.figure.layout import every_axes, subfigures_of
from rayanim.figure.private import replaced
from rayanim.figure.recorder import (
    Box,
    Recording,
    RecordingRenderer,
    inside,
    overlap,
    union,
    widened,
)

OWNERS = (Axes, FigureBase)
"""Artists that draw others."""


class FigureDrawing:
    """Draws one figure, frame by frame, into recordings.

    Whether an artist changed is found out once in each *epoch*. A new epoch begins at each
    frame, and in a frame whenever code of matplotlib's or of an artist's ran that may have
    changed what others are drawn from: what was found out before it does not count any more.
    """

    def __init__(self, figure: Figure) -> None:
        self.nodes: list[ArtistNode] = []
        self.order_changed = True
        self.comparing = False
        self.misplaced: list[Any] = []
        self.direct: str | None = None
        self._figure = figure
        self._layout = AxesLayout(figure, self)
        self._nodes_by_id: dict[int, list[ArtistNode]] = {}
        self.axes_3d = Axes3DDrawing(self)
        self._shared: dict[int, SharedInputs] = {}
        self._global = GlobalInputs()
        self._aligned: list[list[Any]] = []
        self._children: dict[int, tuple[Any, list[Any]]] = {}
        self._titles: dict[int, Titles] = {}
        self._memories: dict[int, AxisMemory] = {}
        self._global_version = 0
        self._frame_idx = 0
        self._epoch = 0
        # While a frame is drawn:
        self._renderer: Any = None
        self._order: list[ArtistNode] = []
        self._owners: list[Any] = []
        self._is_in_node = False
        self._placing: Titles | None = None
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
            with _methods_replaced():
                self._epoch += 1
                self._check_global_inputs()
                is_laid_out = self._layout.begin()
                self._epoch += 1
                with _without_layout(self._figure, spared=is_laid_out and not compare):
                    self._figure.draw(renderer)
                self.store_loose_calls()
        except BaseException:
            renderer.end_filters()
            raise
        finally:
            recorder.mode = "pass"
            recorder.cut()
            self._renderer = renderer.drawing = None
            self._is_in_node, self.axes_3d.node, self._placing = False, None, None
            self._frame_flags = []
        self.order_changed = self._order != self.nodes
        self.nodes = self._order
        if self.order_changed:
            self._drop_what_is_gone()
        if not self._layout.end(spared=is_laid_out and not compare) and is_laid_out:
            self.misplaced.append("axes that the layout engine moves")

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

    # The owners of artists: figures and axes.

    @property
    def makes_nodes(self) -> bool:
        """Whether artists that are drawn now are recorded each in a node of its own."""
        return not (self._is_in_node or self.direct is not None or self._renderer.filtering)

    def begin_artists(self) -> bool:
        """Before the sorted artists of an owner; whether they are drawn here, in nodes."""
        self.axes_3d.end()
        self.restore_frame_flags()
        return self.makes_nodes

    def draw_artists(self, owner: Any, artists: Iterable[Any]) -> None:
        """Draw the sorted artists of an axes or figure, those that changed."""
        self._children[id(owner)] = (owner, owner.get_children())
        for artist in artists:
            if not self.makes_nodes:
                artist.draw(self._renderer)
            elif isinstance(artist, OWNERS):
                self._draw_owner(artist)
            else:
                self._draw_artist(artist)

    def _draw_owner(self, owner: Any) -> None:
        """Draw axes or a figure by their own code, which comes back for the artists in them."""
        self.store_loose_calls()
        # Its limits and place may be brought up to date now.
        self._epoch += 1
        self._owners.append(owner)
        if isinstance(owner, Axes) and type(owner).draw is not Axes.draw:
            # What they set on their own frame whenever they are drawn sets stale flags, too:
            # there the values alone show changes.
            self._frame_flags = marks_of((owner.patch, *owner.spines.values()))
        owner.draw(self._renderer)
        self.axes_3d.end()
        self.store_loose_calls()
        self._remember(owner)
        self._owners.pop()

    def restore_frame_flags(self) -> None:
        """Have what axes set on their own frame in every draw look as it did before."""
        restore_flags(self._frame_flags)
        self._frame_flags = []

    # Nodes.

    def _draw_artist(self, artist: Any) -> None:
        if is_hidden(artist):
            node = self._node(artist, (artist,))
            node.hide()
            self._order.append(node)
            return
        node = self.begin_node(artist, (artist,))
        if node.is_drawn or self.comparing:
            artist.draw(self._renderer)
        self.end_node(node)
        if node.is_unknown:
            self._check_global_inputs()

    def begin_node(self, artist: Any, roots: tuple[Any, ...]) -> ArtistNode:
        """What is drawn until `end_node` is recorded in the node of `artist`."""
        self.store_loose_calls()
        node = self._node(artist, roots)
        self._is_in_node = True
        if node.is_due(self._epoch):
            node.begin(self._epoch)
        else:
            node.keep()
            if self.comparing:
                node.begin_comparison()
        return node

    def end_node(self, node: ArtistNode) -> None:
        """After its artists were drawn, or were not where they have not changed."""
        recording = self._renderer.recorder.cut()
        self._is_in_node = False
        if node.is_drawn:
            if not node.end(recording):
                self._epoch += 1
        elif self.comparing:
            node.end_comparison(recording)
        self._order.append(node)

    def store_loose_calls(self) -> None:
        """Store what an owner drew between its artists; that is drawn in every frame."""
        recorder = self._renderer.recorder
        if recorder.has_calls and not self._is_in_node:
            node = self._node(self._owners[-1], ())
            node.store(recorder.cut())
            self._order.append(node)

    def _node(self, artist: Any, roots: tuple[Any, ...]) -> ArtistNode:
        """The node for `artist` now: it may be drawn several times in one frame."""
        nodes = self._nodes_by_id.get(id(artist))
        if nodes is None or nodes[0].artist is not artist:
            nodes = self._nodes_by_id[id(artist)] = []
        for node in nodes:
            if node.frame_idx != self._frame_idx:
                break
        else:
            node = ArtistNode(artist, self.shared_inputs_of(self._owners[-1]), roots)
            nodes.append(node)
        node.frame_idx = self._frame_idx
        return node

    def _node_of(self, artist: Any) -> ArtistNode | None:
        nodes = self._nodes_by_id.get(id(artist))
        if nodes and nodes[0].artist is artist:
            return nodes[0]
        return self.axes_3d.node_of(artist)

    def has_node(self, artist: Any) -> bool:
        """Whether `artist` was recorded on its own in the frame before."""
        return self._node_of(artist) is not None

    def watch_of(self, artist: Any) -> Watch | None:
        """The watch over an artist that has a node, drew the same twice, and has not changed."""
        node = self._node_of(artist)
        return None if node is None or node.is_due(self._epoch) else node.watch

    def is_due(self, node: ArtistNode) -> bool:
        """Whether `node` would be drawn if it were its turn now."""
        return node.is_due(self._epoch)

    # What artists are drawn from beside themselves.

    def _check_global_inputs(self) -> None:
        """Take everything for changed where something outside of the artists changed."""
        aligned, self._aligned = self._aligned, _aligned(self._figure)
        if self._global.changed() or aligned != self._aligned:
            self._global_version += 1
            for shared in self._shared.values():
                shared.forget()

    def shared_inputs_of(self, owner: Any) -> SharedInputs:
        """What the artists of an axes or figure are drawn from, up to date."""
        shared = self._shared.get(id(owner))
        if shared is None or shared.owner is not owner:
            shared = self._shared[id(owner)] = SharedInputs(owner)
        shared.refresh(self._epoch)
        return shared

    def has_same_children(self, axes: Any) -> bool:
        """Whether the same artists are in `axes` as when it was drawn."""
        owner, children = self._children.get(id(axes), (None, []))
        now = axes.get_children()
        return owner is axes and len(now) == len(children) and all(map(is_, now, children))

    def _drop_what_is_gone(self) -> None:
        """Let go of all that the figure no longer shows."""
        by_id: dict[int, list[ArtistNode]] = {}
        for node in self.nodes:
            by_id.setdefault(id(node.artist), []).append(node)
        self._nodes_by_id = by_id
        figure = self._figure
        owners = (figure, *subfigures_of(figure), *every_axes(figure.axes))
        shown = set(map(id, owners))
        by_owner = (self._shared, self._children, self._titles, self._memories)
        for kept in (*by_owner, self.axes_3d.nodes):
            for key in [key for key in kept if key not in shown]:
                del kept[key]

    # Axis objects that were cleared.

    def _recall(self, axes: Any, *, has_titles: bool) -> None:
        """Before the axis objects of `axes` are measured or drawn: give back what is known."""
        if not stands_alone(axes):
            self._memories.pop(id(axes), None)
            return
        memory = self._memory_of(axes)
        if memory is None:
            memory = self._memories[id(axes)] = AxisMemory(axes)
        nodes = [self._node_of(axis) for axis in memory.axis_objects]
        watch = memory.begin(
            self.shared_inputs_of(axes),
            # Titles measure the axis objects before they are drawn.
            (self._global_version, has_titles),
            [None if node is None else node.recording for node in nodes],
            compare=self.comparing,
        )
        if watch is not None:
            for node in filter(None, nodes):
                node.recall(watch, self._frame_idx)

    def _remember(self, axes: Any) -> None:
        """After all in `axes` was drawn."""
        memory = self._memory_of(axes)
        if memory is not None and self.makes_nodes:
            self._note_draw(memory)
            memory.end_frame()

    def _note_draw(self, memory: AxisMemory) -> None:
        nodes = [self._node_of(axis) for axis in memory.axis_objects]
        now = [node for node in nodes if node is not None and node.frame_idx == self._frame_idx]
        if not any(node.is_drawn for node in now):
            return
        recordings = [node.recording for node in now if node.is_drawn]
        recordings += [None] * (len(nodes) - len(recordings))
        self._epoch += 1
        if not memory.end(self.shared_inputs_of(memory.axes), recordings):
            self.misplaced += memory.axis_objects

    def _memory_of(self, axes: Any) -> AxisMemory | None:
        memory = self._memories.get(id(axes))
        return memory if memory is not None and memory.axes is axes else None

    def _measure_once(self, axis: Any, measure: Callable[[], Any]) -> Any:
        memory = self._memory_of(axis.axes)
        if memory is None or axis.axes is not self._owners[-1]:
            return measure()
        if id(axis) not in memory.boxes:
            memory.boxes[id(axis)] = measure()
        return memory.boxes[id(axis)]

    # Titles.

    def places_titles_of(self, axes: Any) -> bool:
        """Whether the titles of `axes` are placed now because it is drawn, and not measured."""
        # A layout engine measures axes that it moves to and fro.
        is_drawn = self.axes_3d.node is not None or self.makes_nodes
        return axes is self._owners[-1] and is_drawn

    def place_titles(self, axes: Any, place: Callable[[], None]) -> None:
        """Have matplotlib put the titles of `axes` above what is there, where that may matter."""
        self.restore_frame_flags()
        titles = self._titles.get(id(axes))
        if titles is None or titles.axes is not axes:
            titles = self._titles[id(axes)] = Titles(axes, self)
        self._recall(axes, has_titles=titles.any_text())
        if not titles.any_text():
            # Then matplotlib looks no further, either.
            place()
            self.axes_3d.end()
            return
        # In 3D, drawing the axes and measuring them for the titles move the same ticks to and fro:
        # they are one.
        together = self.axes_3d.is_drawn
        if not together and titles.are_in_place():
            if self.comparing:
                self.misplaced += titles.place(place)
            self.axes_3d.end()
            return
        self._epoch += 1
        self._placing = None if together else titles
        titles.place(place)
        self._placing = None
        self.axes_3d.end()
        self._epoch += 1
        titles.remember()

    def measure(self, axis: Any, measure: Callable[[], Any]) -> Any:
        """The box of an axis; from memory where titles are placed and it has not changed."""
        if self._placing is None:
            return measure()
        return self._placing.measure(axis, partial(self._measure_once, axis, measure))


class Axes3DDrawing:
    """Draws the panes, grids and axis objects of 3D axes.

    Their axes draw them part by part and not among the sorted artists. All parts of one axes
    are recorded in one node, which ends with the first thing that is not such a part.
    """

    def __init__(self, drawing: FigureDrawing) -> None:
        self.node: ArtistNode | None = None
        self.nodes: dict[int, ArtistNode] = {}
        self._drawing = drawing

    @property
    def is_drawn(self) -> bool:
        """Whether such parts are being drawn now because something in them changed."""
        return self.node is not None and self.node.is_drawn

    def begin_part(self, axes: Any) -> bool:
        """Before a part is drawn; whether it must be."""
        drawing = self._drawing
        if self.node is None:
            if not drawing.makes_nodes:
                return True
            drawing.restore_frame_flags()
            roots = tuple(axes._axis_map.values())
            self.node = self.nodes[id(axes)] = drawing.begin_node(roots[0], roots)
        return self.node.is_drawn or drawing.comparing

    def end(self) -> None:
        """All parts of one axes are drawn."""
        node, self.node = self.node, None
        if node is not None:
            self._drawing.end_node(node)

    def node_of(self, artist: Any) -> ArtistNode | None:
        """The node that `artist` is a part of."""
        node = self.nodes.get(id(artist.axes))
        return node if node is not None and node.draws(artist) else None


NOTHING = Recording((), None, None)
"""What an artist draws that is not visible."""


class ArtistNode:
    """An artist, or several that only make sense together, with what they drew last."""

    def __init__(
        self, artist: Any, shared: SharedInputs, roots: tuple[Any, ...] | None = None
    ) -> None:
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
        self._shared = shared
        self._shared_version = -1
        self._watch: Watch | None = None
        self._settled = False
        self._recalled_idx = -1
        self._came_back = False
        self._changed = True
        self._epoch = -1
        self._alone = False
        self._began_s = 0.0
        self._marks: Flags = []
        self._backoff = Backoff()
        self._touched: Box | None = None

    @property
    def watch(self) -> Watch | None:
        """The watch over what it was last drawn from, None where drawing it again may differ."""
        return self._watch if self._settled else None

    @property
    def is_drawn(self) -> bool:
        """Whether it is drawn in this frame, and not kept as it was."""
        return bool(self.drawn_for)

    def changed(self, epoch: int) -> bool:
        """Whether anything that it is drawn from changed since it was drawn."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._shared.refresh(epoch)
            self._changed = (
                self._watch is None
                or self._shared.version != self._shared_version
                or self._watch.changed()
            )
        return self._changed

    def is_due(self, epoch: int) -> bool:
        """Whether it must be drawn: it changed, or it is not known that drawing changes nothing."""
        is_known = self._settled or self._recalled_idx == self.frame_idx
        return self.changed(epoch) or not is_known

    def recall(self, watch: Watch, frame_idx: int) -> None:
        """It is again what it was when it was drawn last: that is kept in this frame."""
        self._watch, self._shared_version = watch, self._shared.version
        self._settled, self._epoch, self._recalled_idx = False, -1, frame_idx

    def begin(self, epoch: int) -> None:
        """Before it is drawn: watch what it is drawn from."""
        self.drawn_for = "change" if self.changed(epoch) else "doubt"
        if self._changed:
            self._watch = None
            if self._shared.is_watched and not self._backoff.skips():
                self._watch = Watch(self._roots, self._shared)
        # Drawing resets stale flags in which others may see whether somebody has set them.
        self._marks = marks_of(self._roots)
        self._alone = draws_alone(self.artist)
        self._began_s = time.perf_counter()

    def end(self, recording: Recording) -> bool:
        """After it was drawn; False where that may have changed what others are drawn from."""
        self.cost_s = time.perf_counter() - self._began_s
        before, recorded = self._watch, self.recording
        restore_flags(self._marks)
        self.store(recording)
        self._epoch = -1
        if before is None:
            return not self.is_unknown and self._alone
        self.is_unknown = before.reason is not None
        if self.is_unknown:
            self._backoff.skip_longest()
            self._watch = None
            return False
        self._watch = Watch(self._roots, self._shared)
        self._shared_version = self._shared.version
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
        """After it was drawn so."""
        self.fresh = recording
        restore_flags(self._marks)

    @property
    def stands_for_artists(self) -> bool:
        """Whether it stands for artists, and not for what an owner draws between them."""
        return bool(self._roots)

    def draws(self, artist: Any) -> bool:
        """Whether `artist` is one of those that are drawn here."""
        return any(artist is root for root in self._roots)

    def keep(self) -> None:
        """It has not changed and is not drawn."""
        self.dirty = False
        self.drawn_for = ""
        self._backoff.reset()

    def hide(self) -> None:
        """It is not visible: it draws nothing, and nothing is known of what it is drawn from."""
        if self.recording is NOTHING:
            self.dirty = False
            return
        self.store(NOTHING)
        self.drawn_for, self.fresh = "", None
        self._watch, self._epoch, self._settled = None, -1, False
        # One that comes and goes, as in an ArtistAnimation, is not worth watching.
        self._backoff.skip_next()

    @property
    def is_over(self) -> bool:
        """Whether it is hidden, and has not come back after it was hidden before.

        In an ArtistAnimation each artist is shown once.
        """
        return self.recording is NOTHING and not self._came_back

    def store(self, recording: Recording) -> None:
        """Store what it drew in this frame."""
        if self.recording is NOTHING and self.moved_at is not None:
            self._came_back = recording is not NOTHING or self._came_back
        self.dirty = not recording.same_as(self.recording)
        if self.dirty and self.recording is not None:
            self.moved_at = self.frame_idx
        # Stored where it is the same, too: its clip paths may be others, with the same points.
        self.recording = recording

    def replay(self) -> None:
        """Draw what it drew last."""
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


ENDS_AT_ONCE = frozenset(
    [
        Line2D.draw,
        PathCollection.draw,
        LineCollection.draw,
        QuadMesh.draw,
        AxesImage.draw,
        Patch.draw,
        Text.draw,
        Annotation.draw,
    ]
)
"""Draws of matplotlib's that end at once where the artist is not visible: not all do."""


def is_hidden(artist: Any) -> bool:
    """Whether drawing an artist draws nothing, because it is not visible."""
    attributes = vars(artist)
    return (
        attributes.get("_visible") is False
        and "draw" not in attributes
        and type(artist).draw in ENDS_AT_ONCE
        and is_known(artist)
    )


def draws_alone(artist: Any) -> bool:
    """Whether drawing an artist of a known kind changes nothing that others are drawn from."""
    if isinstance(artist, Axis | QuiverKey) or not is_known(artist) or "draw" in vars(artist):
        return False
    norm = getattr(artist, "norm", None)
    # A norm that several share gets its limits from the first of them that is drawn.
    return norm is None or norm.scaled()


def _aligned(figure: Any) -> list[list[Any]]:
    """Groups of axes whose labels or titles are aligned."""
    figures = (figure, *subfigures_of(figure))
    groupers = [grouper for each in figures for grouper in each._align_label_groups.values()]
    return [list(group) for grouper in groupers for group in grouper]


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


def _methods_replaced() -> contextlib.AbstractContextManager[None]:
    """Have drawings with a `RecordingRenderer` go through its `FigureDrawing`."""
    axis_3d: Any = sys.modules.get("mpl_toolkits.mplot3d.axis3d")
    in_3d = () if axis_3d is None else _REPLACED_IN_3D
    return replaced(*_REPLACED, *((axis_3d.Axis, name, make) for name, make in in_3d))


def _drawing(renderer: Any) -> FigureDrawing | None:
    return getattr(renderer, "drawing", None)


def _draw_in_nodes(draw_list: Any) -> Any:
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


def _in_3d(draw: Any) -> Any:
    @functools.wraps(draw)
    def draw_part(self: Any, renderer: Any) -> None:
        drawing = _drawing(renderer)
        if drawing is None or drawing.axes_3d.begin_part(self.axes):
            draw(self, renderer)

    return draw_part


def _title_owner() -> type:
    """The class of axes that defines how titles are placed."""
    return next(kind for kind in Axes.__mro__ if "_update_title_position" in vars(kind))


_REPLACED: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (matplotlib.image, "_draw_list_compositing_images", _draw_in_nodes),
    (_title_owner(), "_update_title_position", _place_titles),
    (Axis, "get_tightbbox", _measure),
)
_REPLACED_IN_3D: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("draw_pane", _in_3d),
    ("draw_grid", _in_3d),
    ("draw", _in_3d),
    ("get_tightbbox", _measure),
)
