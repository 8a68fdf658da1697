"""What is simulated: the video, the cluster, what things cost and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from rayanim.engine.choose import STORE_BYTES_PER_S


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds and bytes that are not drawing.

    Attributes
    ----------
    submit_s, hear_s
        The driver's time to send one call, and to take one answer and note it.
    store_byte_s
        An actor's time per byte of raw frames that it puts into Ray's object store.
    wait_ref_s
        The driver's time per outstanding call in one turn of its loop.
    look_ref_s
        The same for a look at what is late, every quarter of a second.
    call_s
        Between the driver's sending and the actor's beginning, and back.
    part_s, part_frame_s, part_byte_s
        The encoder actor's time to take a part and write it, for each of its frames and bytes.
    link_bytes_per_s
        What the head's network takes.
    join_part_s, join_frame_s, join_byte_s
        The same to join a part that is in its memory.
    read_part_s, read_frame_s, read_byte_s
        The same to read one back that was not kept there.
    move_byte_s
        Moving a byte of the finished video, so that the index stands in front.
    actor_start_s
        From a place on a node to the first frame.
    detect_s
        Until the driver hears that a node is gone.
    """

    submit_s: float = 0.3e-3
    hear_s: float = 0.07e-3
    wait_ref_s: float = 0.9e-6
    look_ref_s: float = 3e-6
    call_s: float = 0.8e-3
    part_s: float = 0.5e-3
    part_frame_s: float = 2.4e-6
    part_byte_s: float = 2.2e-9
    link_bytes_per_s: float = 1.25e9
    join_part_s: float = 0.05e-3
    join_frame_s: float = 5.2e-6
    join_byte_s: float = 0.9e-9
    read_part_s: float = 0.05e-3
    read_frame_s: float = 3.4e-6
    read_byte_s: float = 1.65e-9
    move_byte_s: float = 0.7e-9
    actor_start_s: float = 1.3
    detect_s: float = 15.0
    store_byte_s: float = 1 / STORE_BYTES_PER_S


FREE = Costs(*[0.0] * 8, float("inf"), *[0.0] * 10)
"""Nothing costs anything: what is left is the closed form."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulated job.

    Attributes
    ----------
    frames, draw_s, encode_s, frame_bytes, raw_bytes
        The video: its length, seconds to draw and to encode a frame, and bytes of one encoded
        and of one that is not.
    scatter
        Standard deviation of a chunk's time, as a share of it.
    longest
        Frames of a segment at most; None for the plan's own rule.
    encoders
        Threads of the driver's process that encode.
    cores
        Cores of the one machine on which all of this runs, with their number of actors; None
        for a cluster, with a driver on a node of its own.
    ray_ready_s
        Until then the driver's process draws by itself.
    actors, actors_per_node
        The most actors, and how many a node holds.
    autoscaled
        Whether nodes come when actors wait for a place, and go when idle; all are there otherwise.
    node_start_s, node_idle_s
        Until a node has come, and until an idle one goes.
    loss_every_s, loss_share
        A loss of so many nodes, as a share of those there (one at least), so often; 0 for never.
    back_s
        Shortest and longest time until a lost node is there again.
    """

    frames: int
    actors: int
    draw_s: float = 0.0475
    encode_s: float = 0.0025
    frame_bytes: int = 4_000
    raw_bytes: int = 460_800
    scatter: float = 0.05
    longest: int | None = None
    encoders: int = 4
    cores: int | None = None
    ray_ready_s: float | None = None
    actors_per_node: int = 10
    autoscaled: bool = False
    node_start_s: float = 60.0
    node_idle_s: float = 60.0
    loss_every_s: float = 0.0
    loss_share: float = 0.0
    back_s: tuple[float, float] = (30.0, 120.0)
    seed: int = 0
    costs: Costs = field(default_factory=Costs)

    @property
    def frame_s(self) -> float:
        """Seconds to draw and encode a frame."""
        return self.draw_s + self.encode_s

    @property
    def nodes(self) -> int:
        """Nodes that hold all actors."""
        return -(-self.actors // self.actors_per_node)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.

    Attributes
    ----------
    written
        First and last positions of the chunks, in the order in which they were encoded.
    drawn_s, joined_s, took_s
        Until the last part was written, until all were joined, and until the video was finished.
    driver_busy_s, encoder_busy_s, link_busy_s
        Seconds in which each had something to do; moving the video not counted.
    node_s
        Seconds of nodes that were paid for.
    ends_job
        Chunks of which so many actors were lost that a real job ends; here it goes on.
    drawn_here, whole_segments
        Frames that the driver's process drew, and segments that actors encoded.
    most_inbox, most_encoder, most_early
        The most answers that waited for the driver, segments for the encoder, and parts to be
        joined.
    most_in_flight_bytes
        The most bytes that were drawn and not written.
    read_parts
        Parts that were read back to be joined.
    moved_bytes
        Bytes that came over the head's network.
    segments
        Segments of the video.
    samples
        Seconds, frames written, frames joined and actors that draw, now and then.
    """

    scenario: Scenario
    written: tuple[tuple[int, int], ...]
    drawn_s: float
    joined_s: float
    took_s: float
    driver_busy_s: float
    encoder_busy_s: float
    link_busy_s: float
    node_s: float
    ends_job: int
    drawn_here: int
    whole_segments: int
    most_inbox: int
    most_encoder: int
    most_early: int
    most_in_flight_bytes: int
    read_parts: int
    moved_bytes: int
    segments: int
    samples: tuple[tuple[float, int, int, int], ...]

    @property
    def of_ideal(self) -> float:
        """Frames per second until all is drawn, as a share of actors times one actor's."""
        ideal_s = self.scenario.frames * self.scenario.frame_s / self.scenario.actors
        return ideal_s / self.drawn_s

    @property
    def of_ideal_joined(self) -> float:
        """The same until the video is joined, but for moving it."""
        return self.of_ideal * self.drawn_s / self.joined_s

    @property
    def of_ideal_finished(self) -> float:
        """The same until the video is finished."""
        return self.of_ideal * self.drawn_s / self.took_s

    @property
    def megabytes_per_s(self) -> dict[str, float]:
        """What goes through the head's network and object store, and to and from its disk."""
        video = self.scenario.frames * self.scenario.frame_bytes / 1e6
        mean_part = video / max(1, self.segments)
        return {
            "network into the head, object store": self.moved_bytes / 1e6 / self.drawn_s,
            "disk, written: parts and video": 2 * video / self.joined_s,
            "disk, read back to be joined": self.read_parts * mean_part / self.joined_s,
        }

    @property
    def busy(self) -> dict[str, float]:
        """Shares of the time in which driver, encoder actor and head's network were busy."""
        return {
            "driver": self.driver_busy_s / self.drawn_s,
            "encoder": self.encoder_busy_s / self.joined_s,
            "network": self.link_busy_s / self.drawn_s,
        }
