"""What a finished job tells: the film, the time it took and where that went."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal

from rayanim.actor_history import ActorChange, FleetSize
from rayanim.film_html import film_html, safe
from rayanim.progress.wording import duration, three_digits
from rayanim.settings import PerformanceSettings
from rayanim.stages import ADVICE, Binding, StageRates
from rayanim.storage.address import Address

EVENTS_IN_SUMMARY = 3


_SETTINGS = frozenset(each.name for each in fields(PerformanceSettings))


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
        Frames in it.
    elapsed_s
        Seconds from the call to the finished file.
    size
        (width, height) of the film in pixels.
    rate
        Frames per second of the film.
    codec, pixel_format
        FFmpeg's names for what was written.
    file_bytes
        Size of the file; 0 where none was written.
    engine, engine_reason
        Where the frames were drawn, in this process or on Ray, and why.
    transport, transport_reason
        What went to the encoder, ``segments`` or ``frames``, and why.
    resumed_frames
        Frames that were taken up from an earlier job's parts.
    actors_peak
        The most render actors that were up at once; 0 in this process.
    start_s
        Seconds until an actor drew its first frame: the start of Ray.
    stages
        What each stage took.
    binding
        The stage that bound the job, see `binding_stage`.
    drawn_in_parts
        Frames of figures of which only what changed was drawn. Frames without
        a figure are neither in it nor in `drawn_in_full`.
    drawn_in_full
        (reason, frames) of those that were drawn whole, most frames first.
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
    """

    output: Address
    frames: int
    elapsed_s: float
    size: tuple[int, int]
    rate: Fraction
    codec: str
    pixel_format: str
    file_bytes: int
    engine: Literal["local", "ray"] = "local"
    engine_reason: str = ""
    transport: str = "frames"
    transport_reason: str = ""
    resumed_frames: int = 0
    actors_peak: int = 0
    start_s: float = 0.0
    stages: StageRates = field(default_factory=StageRates)
    binding: Binding = "drawing"
    drawn_in_parts: int = 0
    drawn_in_full: tuple[tuple[str, int], ...] = ()
    actor_changes: tuple[ActorChange, ...] = ()
    fleet_sizes: tuple[FleetSize, ...] = ()
    nodes_peak: int = 0
    node_hours: float = 0.0
    events: tuple[str, ...] = ()
    settings: PerformanceSettings = field(default_factory=PerformanceSettings)
    peak_rss_bytes: tuple[tuple[str, int], ...] = ()
    rendered: bool = True

    @property
    def fps(self) -> float:
        """Frames that this job rendered per second, start-up included."""
        rendered = self.frames - self.resumed_frames
        return rendered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def film_s(self) -> float:
        """Length of the film in seconds."""
        return float(self.frames / self.rate)

    @property
    def binding_text(self) -> str:
        """The stage that bound the job, as a sentence that says what would help."""
        if self.binding == "start-up":
            return "starting and finishing took longer than drawing or encoding"
        alone = self.binding == "encoding" and self.transport == "frames"
        actors = "" if self.engine == "local" or alone else "more actors or "
        not_actors = ", more actors would not" if alone else ""
        return f"{self._longest()} took longest; {actors}{ADVICE[self.binding]}{not_actors}"

    def summary(self) -> str:
        """Three lines for people: the film, the time, where it went; a fourth for events."""
        if not self.rendered:
            return self._film_line()
        lines = [self._film_line(), self._time_line(), self._stages_line()]
        return "\n".join(lines + ([_events_line(self.events)] if self.events else []))

    __str__ = summary

    def __repr__(self) -> str:
        told = f"{_plural(self.frames, 'frame')}, {_seconds_text(self.film_s)}"
        return f"<{type(self).__name__} {self.output}: {told}>"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that JSON can hold; rates as ``"30000/1001"``.

        Nothing bound a film that was not rendered: ``binding`` and
        ``binding_text`` are None then.
        """
        return {
            "output": str(self.output),
            "frames": self.frames,
            "elapsed_s": self.elapsed_s,
            "fps": self.fps,
            "film_s": self.film_s,
            "size": list(self.size),
            "rate": str(self.rate),
            "codec": self.codec,
            "pixel_format": self.pixel_format,
            "file_bytes": self.file_bytes,
            "engine": self.engine,
            "engine_reason": self.engine_reason,
            "transport": self.transport,
            "transport_reason": self.transport_reason,
            "resumed_frames": self.resumed_frames,
            "actors_peak": self.actors_peak,
            "start_s": self.start_s,
            "stages": {name: getattr(self.stages, name) for name in StageRates.__slots__},
            "binding": self.binding if self.rendered else None,
            "binding_text": self.binding_text if self.rendered else None,
            "drawn_in_parts": self.drawn_in_parts,
            "drawn_in_full": [
                {"reason": reason, "frames": frames} for reason, frames in self.drawn_in_full
            ],
            "actor_changes": [
                {"at_s": change.at_s, "actors": change.actors, "reason": change.reason}
                for change in self.actor_changes
            ],
            "fleet_sizes": [
                {"at_s": size.at_s, "actors": size.actors, "nodes": size.nodes}
                for size in self.fleet_sizes
            ],
            "nodes_peak": self.nodes_peak,
            "node_hours": self.node_hours,
            "events": list(self.events),
            "settings": self.settings.to_dict(),
            "peak_rss_bytes": [
                {"process": process, "bytes": peak_bytes}
                for process, peak_bytes in self.peak_rss_bytes
            ],
            "rendered": self.rendered,
        }

    def _longest(self) -> str:
        """The stage that bound the job, or two where neither took longest by itself."""
        stages = self.stages
        alone_s = max(stages.draw_s, stages.convert_s) / max(1, self.actors_peak)
        if self.binding != "encoding" and alone_s < stages.encode_s:
            return "drawing and converting together"
        return self.binding

    def _film_line(self) -> str:
        width, height = self.size
        text = (
            f"{self.output}: {_plural(self.frames, 'frame')} of {width}x{height} at "
            f"{_rate_text(self.rate)} fps ({_seconds_text(self.film_s)}), "
            f"{self.codec} {self.pixel_format}, "
        )
        return text + (size_text(self.file_bytes) if self.file_bytes else "not written")

    def _time_line(self) -> str:
        rendered_s = float((self.frames - self.resumed_frames) / self.rate)
        ratio = rendered_s / self.elapsed_s if self.elapsed_s > 0 else 0.0
        where = "in this process"
        if self.engine == "ray":
            where = f"on Ray with up to {_plural(self.actors_peak, 'actor')}{self._nodes_text()}"
        return (
            f"Rendered in {_seconds_text(self.elapsed_s)}: {three_digits(self.fps)} frames/s, "
            f"{three_digits(ratio)} times real time, {where}"
            + (f" ({self.engine_reason})." if self.engine_reason else ".")
            + (
                f" {_plural(self.resumed_frames, 'frame')} were there already."
                if self.resumed_frames
                else ""
            )
        )

    def _nodes_text(self) -> str:
        """On how many nodes they were, where that was more than one."""
        if self.nodes_peak < 2:
            return ""
        return f" on {self.nodes_peak} nodes for {three_digits(self.node_hours)} node-hours"

    def _stages_line(self) -> str:
        stages = self.stages
        rates = [
            f"{verb} {three_digits(fps)}"
            for verb, fps in (
                ("draws", stages.draw_fps),
                ("converts", stages.convert_fps),
                ("encodes", stages.encode_fps),
            )
            if fps
        ]
        told = f" One worker {', '.join(rates)} frames/s." if rates else ""
        waited = f" The encoder waited {_seconds_text(stages.wait_s)}." if stages.wait_s else ""
        bound = f"{self.binding_text[0].upper()}{self.binding_text[1:]}."
        return f"{bound}{told}{waited}{self._ways_text()}"

    def _ways_text(self) -> str:
        """How figures were drawn, as a sentence; nothing where there were none."""
        whole = ", ".join(f"{frames} ({why})" for why, frames in self.drawn_in_full)
        if not (self.drawn_in_parts or whole):
            return ""
        return f" Frames drawn in parts: {self.drawn_in_parts}{whole and f'; in full: {whole}'}."

    def _repr_html_(self) -> str:
        """The film where a browser can play it, and the summary."""
        return (
            f"{film_html(self.output, self.size[0])}"
            f'<pre style="white-space: pre-wrap">{safe(str(self))}</pre>'
        )


def _events_line(events: tuple[str, ...]) -> str:
    more = len(events) - EVENTS_IN_SUMMARY
    told = "; ".join(" ".join(event.split()).rstrip(".") for event in events[:EVENTS_IN_SUMMARY])
    return told + (f"; and {more} more." if more > 0 else ".")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _rate_text(rate: Fraction) -> str:
    """``30``, ``12.5``, or ``30000/1001`` where no short decimal is exact."""
    short = f"{float(rate):g}"
    return short if Fraction(short) == rate else str(rate)


def _seconds_text(seconds: float) -> str:
    return f"{three_digits(seconds)} s" if seconds < 99.95 else duration(seconds)


def size_text(size_bytes: int) -> str:
    """Bytes as ``999 bytes``, ``2.00 KiB`` or ``5.00 MiB``."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size_bytes} bytes" if unit == "bytes" else f"{three_digits(size)} {unit}"
        size /= 1024
    return f"{three_digits(size)} GiB"
