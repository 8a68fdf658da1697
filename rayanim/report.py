"""The report of a finished job: the video, the time it took and where that went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal, Self

from rayanim.player import leave_out_figures, safe, video_html
from rayanim.progress.base import duration, size_text, three_digits
from rayanim.settings import PerformanceSettings
from rayanim.storage.address import Address
from rayanim.storage.video_folder import is_image, shown


@dataclass(frozen=True, slots=True)
class ActorChange:
    """One decision of the controller.

    Parameters
    ----------
    at_s
        Seconds after the job began.
    actors
        Render actors wanted from then on.
    reason
        Why, for people.
    """

    at_s: float
    actors: int
    reason: str


@dataclass(frozen=True, slots=True)
class FleetSize:
    """How many actors there were, and on how many nodes.

    Parameters
    ----------
    at_s
        Seconds after the job began.
    actors
        Render actors that could draw from then on.
    nodes
        Nodes on which render actors ran, those included that only started.
    """

    at_s: float
    actors: int
    nodes: int


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a job made beside the first; its attributes are those of `Report`."""

    output: Address
    size: tuple[int, int]
    codec: str
    pixel_format: str
    file_bytes: int
    tracks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`."""
        lists = {"size": list(self.size), "tracks": list(self.tracks)}
        return asdict(self) | {"output": str(self.output), **lists}


Binding = Literal["drawing", "script", "converting", "encoding", "start-up"]

SCRIPT = "the script's own code"

ADVICE: dict[Binding, str] = {
    "drawing": "drawing less would help",
    "script": "a quicker update() would help",
    "converting": "smaller frames would help",
    "encoding": "a faster preset or codec would help",
}


@dataclass(frozen=True, slots=True)
class StageRates:
    """How quick each stage is, and for how long it was busy.

    Parameters
    ----------
    draw_fps, convert_fps, encode_fps
        Frames per second of one busy worker of the stage; None where nothing
        was measured.
    draw_s, convert_s, encode_s
        Seconds that all workers of the stage together were busy.
    wait_s
        Seconds that the encoder waited for frames.
    write_s
        Seconds in which finished segments were written, and joined; of all
        threads together.
    """

    draw_fps: float | None = None
    convert_fps: float | None = None
    encode_fps: float | None = None
    draw_s: float = 0.0
    convert_s: float = 0.0
    encode_s: float = 0.0
    wait_s: float = 0.0
    write_s: float = 0.0

    @classmethod
    def measured(
        cls,
        frames: int,
        *,
        draw_s: float = 0.0,
        convert_s: float = 0.0,
        encode_s: float = 0.0,
        wait_s: float = 0.0,
        write_s: float = 0.0,
    ) -> Self:
        """The rates of stages that each took `frames` frames in the given seconds."""
        draw_fps, convert_fps, encode_fps = (
            frames / busy_s if frames and busy_s > 0 else None
            for busy_s in (draw_s, convert_s, encode_s)
        )
        rates = (draw_fps, convert_fps, encode_fps)
        return cls(*rates, draw_s, convert_s, encode_s, wait_s, write_s)


def binding_stage(
    stages: StageRates, elapsed_s: float, actors: int, *, encoded_by_actors: bool = False
) -> Binding:
    """Which stage bound the job: making the others quicker would not have helped.

    The longest of three times is what binds. The first is the busy time of
    drawing and converting, which one actor does in turn, shared among the
    actors; it is named after the larger of the two. The second is that of the
    one encoder; the third, start-up, is what the other two leave of the whole.
    As drawing and encoding run side by side, that remainder is the least it
    can be: start-up is named only where it is certain. Between equals drawing
    comes first.

    0 and 1 `actors` both mean one place that draws. Where each actor encoded what
    it drew, the three are done in turn, and the longest is what binds.
    """
    if encoded_by_actors:
        return _longest_in_turn(stages, elapsed_s, actors)
    actors_s = (stages.draw_s + stages.convert_s) / max(1, actors)
    rest_s = elapsed_s - actors_s - stages.encode_s
    if rest_s > max(actors_s, stages.encode_s):
        return "start-up"
    if stages.encode_s > actors_s:
        return "encoding"
    return "converting" if stages.convert_s > stages.draw_s else "drawing"


def _longest_in_turn(stages: StageRates, elapsed_s: float, actors: int) -> Binding:
    times_s: dict[Binding, float] = {
        "drawing": stages.draw_s,
        "converting": stages.convert_s,
        "encoding": stages.encode_s,
    }
    actors_s = sum(times_s.values()) / max(1, actors)
    if elapsed_s - actors_s > actors_s:
        return "start-up"
    return max(times_s, key=lambda name: times_s[name])


EVENTS_SHOWN = 3

_SETTINGS = frozenset(vars(PerformanceSettings()))


class _SettingsOf:
    """Lets a report stand in for its settings, which pympanim's `produce` returns."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in _SETTINGS:
            return getattr(self.settings, name)
        raise AttributeError(f"A {type(self).__name__} has no attribute {name!r}.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SETTINGS:
            setattr(self.settings, name, value)
        elif hasattr(self, name):
            raise FrozenInstanceError(f"A report's {name} cannot be assigned, got {value!r}.")
        else:
            object.__setattr__(self, name, value)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return dict(vars(self.settings))


def _by_names(*names: str) -> Callable[[tuple[tuple[Any, ...], ...]], list[dict[str, Any]]]:
    """Makes a dictionary of each tuple."""
    return lambda rows: [dict(zip(names, row, strict=True)) for row in rows]


def _as_dicts(values: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [asdict(value) for value in values]


def _as_json(convert: Callable[[Any], Any]) -> dict[str, Callable[[Any], Any]]:
    """Metadata of a field: what makes of its value what JSON can hold."""
    return {"as_json": convert}


@dataclass(slots=True, kw_only=True, repr=False)
class Report(_SettingsOf):
    """What a job made, how quickly, and why not quicker.

    The settings that were found can also be read and assigned on the report
    itself, such as ``report.num_workers``, and ``vars(report)`` are they.
    Nothing else of it can be changed.

    Parameters
    ----------
    output
        The finished file: a path, or the URL of a store.
    frames
        Frames that it was made from.
    elapsed_s
        Seconds from the call to the finished file.
    size
        (width, height) of the video in pixels.
    rate
        Frames per second of the video.
    length_s
        Seconds that the video plays where its frames do not all last the same, else None.
    shown
        How frames are shown where not simply one after the other: held, forward and back.
    tracks
        The sound and the subtitles in the file, in words.
    codec, pixel_format
        FFmpeg's names for what was written.
    file_bytes
        Size of the file; 0 where none was written.
    engine, engine_reason
        Where the frames were drawn, in this process or on Ray, and why.
    transport, transport_reason
        What went to the encoder, ``segments`` or ``frames``, and why.
    resumed_frames
        Frames in segments that an earlier job had finished.
    cached_frames
        How many of those came from the cache.
    cache_reason
        Why none did, as far as there is something to say: what has changed since the last
        time, or what the script does that the cache cannot follow.
    actors_peak
        The most render actors that were up at once; 0 in this process.
    start_s
        Seconds until an actor drew its first frame: the start of Ray.
    stages
        What each stage took.
    binding
        The stage that bound the job, see `binding_stage`; ``script`` is
        drawing of which the script's own code takes most.
    incremental_frames
        Frames of figures that were drawn incrementally: only what changed.
        Frames without a figure are neither in it nor in `full_frames`.
    full_frames
        (reason, frames) of those that were drawn in full, most frames first.
    audited_frames
        Frames that were drawn again in full and compared.
    actor_changes
        The controller's decisions that changed the number of actors.
    fleet_sizes
        How many actors there were over time, and on how many nodes; none where
        all was drawn in this process.
    nodes_peak
        The most nodes on which there were actors at once.
    node_hours
        Time for which actors held nodes, of all nodes together, in hours. What
        nodes take to start and to go again is the cluster's.
    events
        What went wrong and was mended, in words.
    settings
        The performance settings that the run found; they can be saved and
        given to the next run.
    peak_rss_bytes
        (process name, peak resident bytes) of each process of the job.
    rendered
        False for a dry run or a still.
    others
        The other files of a run with several outputs.
    """

    output: Address = field(metadata=_as_json(str))
    frames: int
    elapsed_s: float
    size: tuple[int, int] = field(metadata=_as_json(list))
    rate: Fraction = field(metadata=_as_json(str))
    codec: str
    pixel_format: str
    file_bytes: int
    engine: Literal["local", "ray"] = "local"
    engine_reason: str = ""
    transport: str = "frames"
    transport_reason: str = ""
    resumed_frames: int = 0
    cached_frames: int = 0
    cache_reason: str = ""
    actors_peak: int = 0
    start_s: float = 0.0
    stages: StageRates = field(default_factory=StageRates, metadata=_as_json(asdict))
    binding: Binding = "drawing"
    incremental_frames: int = 0
    full_frames: tuple[tuple[str, int], ...] = field(
        default=(), metadata=_as_json(_by_names("reason", "frames"))
    )
    audited_frames: int = 0
    actor_changes: tuple[ActorChange, ...] = field(default=(), metadata=_as_json(_as_dicts))
    fleet_sizes: tuple[FleetSize, ...] = field(default=(), metadata=_as_json(_as_dicts))
    nodes_peak: int = 0
    node_hours: float = 0.0
    events: tuple[str, ...] = field(default=(), metadata=_as_json(list))
    settings: PerformanceSettings = field(
        default_factory=PerformanceSettings, metadata=_as_json(PerformanceSettings.to_dict)
    )
    peak_rss_bytes: tuple[tuple[str, int], ...] = field(
        default=(), metadata=_as_json(_by_names("process", "bytes"))
    )
    rendered: bool = True
    length_s: float | None = None
    shown: str = ""
    tracks: tuple[str, ...] = field(default=(), metadata=_as_json(list))
    others: tuple[OutputFile, ...] = field(
        default=(), metadata=_as_json(lambda files: [each.to_dict() for each in files])
    )

    @property
    def files(self) -> list[OutputFile]:
        """All files that were made."""
        own = (self.output, self.size, self.codec, self.pixel_format, self.file_bytes, self.tracks)
        return [each for each in (OutputFile(*own), *self.others) if each.file_bytes]

    @property
    def fps(self) -> float:
        """Frames that this job rendered per second, start-up included."""
        rendered = self.frames - self.resumed_frames
        return rendered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def video_s(self) -> float:
        """Length of the video in seconds."""
        return float(self.frames / self.rate) if self.length_s is None else self.length_s

    @property
    def binding_text(self) -> str:
        """The stage that bound the job, as a sentence that says what would help."""
        if self.binding == "start-up":
            return "starting and finishing took longer than drawing or encoding"
        alone = self.binding == "encoding" and self.transport == "frames"
        actors = "" if self.engine == "local" or alone else "more actors or "
        not_actors = ", more actors would not" if alone else ""
        stage: str = self.binding
        if self._is_shared():
            stage = "drawing and converting together"
        elif self.binding == "script":
            stage = SCRIPT
        return f"{stage} took longest; {actors}{ADVICE[self.binding]}{not_actors}"

    def summary(self) -> str:
        """Three lines for people: the video, the time, the bottleneck.

        And one for each other output, and one for events.
        """
        videos = [self._video_line(), *map(_output_line, self.others), *self._without_tracks()]
        if not self.rendered:
            return "\n".join(videos)
        lines = [*videos, self._time_line()]
        if not self._is_finished_before:
            lines.append(self._bottleneck_line())
        return "\n".join(lines + ([_events_line(self.events)] if self.events else []))

    __str__ = summary

    def details(self) -> str:
        """What else there is to read of a rendered video, one fact a line."""
        return "\n".join(self._details()) if self.rendered else ""

    def __repr__(self) -> str:
        size = f"{plural(self.frames, 'frame')}, {seconds_text(self.video_s)}"
        return f"<{type(self).__name__} {shown(self.output)}: {size}>"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that JSON can hold; rates as ``"30000/1001"``.

        ``fps``, ``video_s`` and ``binding_text`` are in it as well. Nothing
        bound a video that was not rendered: ``binding`` and ``binding_text``
        are None then.
        """
        values = {
            each.name: each.metadata.get("as_json", lambda value: value)(getattr(self, each.name))
            for each in fields(Report)
        }
        values |= {"fps": self.fps, "video_s": self.video_s, "binding_text": self.binding_text}
        if not self.rendered:
            values |= {"binding": None, "binding_text": None}
        return values

    @property
    def _is_finished_before(self) -> bool:
        """Whether no frame was rendered: all segments were there."""
        return 0 < self.frames == self.resumed_frames

    @property
    def _is_encoded_by_actors(self) -> bool:
        return self.engine == "ray" and self.transport == "segments"

    def _is_shared(self) -> bool:
        """Whether drawing and converting bound the job together, and neither by itself."""
        stages = self.stages
        if self._is_encoded_by_actors:
            # In turn with the other two: the longest of the three is what binds.
            return False
        alone_s = max(stages.draw_s, stages.convert_s) / max(1, self.actors_peak)
        return self.binding in ("drawing", "converting") and alone_s < stages.encode_s

    def _video_line(self) -> str:
        width, height = self.size
        how = f", {self.shown}" if self.shown else ""
        text = (
            f"{shown(self.output)}: {plural(self.frames, 'frame')} of {width}x{height} at "
            f"{_rate_text(self.rate)} fps{how} ({seconds_text(self.video_s)}), "
        )
        return text + _file_text(self)

    def _without_tracks(self) -> Iterator[str]:
        """A line for the outputs that lack sound or text that others have; images aside."""
        files = [(self.output, self.tracks), *((each.output, each.tracks) for each in self.others)]
        files = [each for each in files if not is_image(each[0])]
        lacks = []
        for kind in ("sound", "subtitles"):
            without = [
                shown(at) for at, tracks in files if not any(kind in each for each in tracks)
            ]
            if 0 < len(without) < len(files):
                lacks.append(f"no {kind} in {', '.join(without)}")
        if lacks:
            text = "; ".join(lacks)
            yield f"{text[0].upper()}{text[1:]}."

    def _time_line(self) -> str:
        source = "the cache" if self.cached_frames else "an earlier run"
        if self._is_finished_before:
            return f"Finished in {seconds_text(self.elapsed_s)}: all frames came from {source}."
        where = "in this process"
        if self.engine == "ray":
            nodes = f" on {self.nodes_peak} nodes" if self.nodes_peak > 1 else ""
            where = f"on Ray with up to {plural(self.actors_peak, 'actor')}{nodes}"
        why = f" ({self.engine_reason})" if self.engine_reason else ""
        text = (
            f"Rendered in {seconds_text(self.elapsed_s)} ({three_digits(self.fps)} frames/s), "
            f"drawn {where}{why}."
        )
        if self.resumed_frames:
            text += f" {plural(self.resumed_frames, 'frame')} came from {source}."
        elif self.cache_reason:
            text += f" Reused no segment: {self.cache_reason}."
        return text

    def _bottleneck_line(self) -> str:
        stages = self.stages
        each = " per actor" if self.actors_peak > 1 else ""
        encoder = each if self._is_encoded_by_actors else ""
        rates = {
            name: (three_digits(fps), of)
            for name, fps, of in (
                ("drawing", stages.draw_fps, each),
                ("conversion", stages.convert_fps, each),
                ("encoding", stages.encode_fps, encoder),
            )
            if fps
        }
        name = "conversion" if self.binding == "converting" else str(self.binding)
        first = ""
        if self._is_shared():
            name = "drawing and conversion together"
        elif name in rates:
            rate, of = rates.pop(name)
            first = f"{rate} frames/s{of}"
        elif self.binding == "script":
            name = SCRIPT
            if "drawing" in rates:
                rate, of = rates.pop("drawing")
                first = f"with drawing {rate} frames/s{of}"
        others = ", ".join(
            # The first rate of all has the unit.
            f"{stage} {rate}{'' if first or number else ' frames/s'}{of}"
            for number, (stage, (rate, of)) in enumerate(rates.items())
        )
        shown = "; ".join(part for part in (first, others) if part)
        return f"Bottleneck: {name}{f' ({shown})' if shown else ''}.{self._redrawn_text()}"

    def _redrawn_text(self) -> str:
        """How figures were drawn, as a sentence; nothing where there were none."""
        in_full = sum(frames for _, frames in self.full_frames)
        if self.incremental_frames:
            of_all = self.incremental_frames + in_full
            text = f" Redrew only what changed in {self.incremental_frames} of {of_all} frames."
            return (
                f"{text} Audited {plural(self.audited_frames, 'frame')}."
                if self.audited_frames
                else text
            )
        if in_full:
            return f" Drew {plural(in_full, 'frame')} in full ({self.full_frames[0][0]})."
        return ""

    def _details(self) -> Iterator[str]:
        if self._is_finished_before:
            return
        rendered_s = float((self.frames - self.resumed_frames) / self.rate)
        ratio = rendered_s / self.elapsed_s if self.elapsed_s > 0 else 0.0
        yield f"Speed: {three_digits(ratio)} times real time."
        yield f"{self.binding_text[0].upper()}{self.binding_text[1:]}."
        if self.stages.wait_s:
            yield f"The encoder waited {seconds_text(self.stages.wait_s)} for frames."
        if self.start_s:
            yield f"The first actor could draw after {seconds_text(self.start_s)}."
        if self.nodes_peak > 1:
            yield f"Nodes were in use for {three_digits(self.node_hours)} node-hours in all."
        yield from in_full_text(self.full_frames)
        if self.transport_reason:
            how = "Segments were encoded one by one and joined"
            if self.transport == "frames":
                how = "All frames went through one encoder"
            yield f"{how}: {self.transport_reason}."

    def _repr_html_(self) -> str:
        """The video where a browser can play it, and the summary."""
        leave_out_figures()
        return (
            f"{video_html(self.output, self.size[0])}"
            f'<pre style="white-space: pre-wrap">{safe(str(self))}</pre>'
        )


def _output_line(file: OutputFile) -> str:
    width, height = file.size
    return f"{shown(file.output)}: {width}x{height}, {_file_text(file)}"


def _file_text(file: Report | OutputFile) -> str:
    """What is in a file, and its size."""
    size = size_text(file.file_bytes) if file.file_bytes else "not written"
    return ", ".join((f"{file.codec} {file.pixel_format}", *file.tracks, size))


def _events_line(events: tuple[str, ...]) -> str:
    more = len(events) - EVENTS_SHOWN
    shown = "; ".join(" ".join(event.split()).rstrip(".") for event in events[:EVENTS_SHOWN])
    return shown + (f"; and {more} more." if more > 0 else ".")


def plural(number: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def in_full_text(full_frames: Sequence[tuple[str, int]]) -> Iterator[str]:
    """How many frames were drawn in full, and why, as a sentence; nothing where none was."""
    if not full_frames:
        return
    in_full = plural(sum(frames for _, frames in full_frames), "frame")
    counted = len(full_frames) > 1
    why = ", ".join(f"{why} ({frames})" if counted else why for why, frames in full_frames)
    yield f"Drew {in_full} in full: {why}."


def _rate_text(rate: Fraction) -> str:
    """``30``, ``12.5``, or ``30000/1001`` where no short decimal is exact."""
    short = f"{float(rate):g}"
    return short if Fraction(short) == rate else str(rate)


def seconds_text(seconds: float) -> str:
    """Seconds as ``9.40 s`` or ``1:40``."""
    return f"{three_digits(seconds)} s" if seconds < 99.95 else duration(seconds)
