"""How quick each stage of a job is, and which of them bound it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

Binding = Literal["drawing", "converting", "encoding", "start-up"]

ADVICE: dict[Binding, str] = {
    "drawing": "a quicker drawing would help",
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
        Seconds in which finished parts were written, and joined; of all
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

    Parameters
    ----------
    stages
        Busy times of the job.
    elapsed_s
        Seconds from beginning to end.
    actors
        Render actors at the job's peak; 0 and 1 both mean one place that draws.
    encoded_by_actors
        Whether each actor encoded what it drew. Then the three are done in
        turn, and the longest is what binds.
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
