"""Simulates short videos on one machine with 16 cores, against parallel-matplotlib-animation.

``PYTHONPATH=benchmarks python -m simulation.many_cores``

The scheduler is the engine's own; what a frame, an import and Ray take was measured on
two cores (`Video`, and the constants below). The peer is a formula: it imports, forks its
workers, draws every frame in full, keeps it as a file, and encodes all of them at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulation.job import simulate
from simulation.scenario import Costs, Result, Scenario

CORES = 16

LENGTHS = (300, 3_000)


@dataclass(frozen=True, slots=True)
class Video:
    """Seconds that a frame takes, and its bytes in yuv420p.

    `peer_draw_s` is a full draw, whose pixels are kept in a file. `peer_feed_s` is what it
    takes to read them and pass them on to FFmpeg, `peer_encode_s` the processor time of
    libx264 with the preset slow. These two were measured for the wave, and are taken to grow
    with the pixels.
    """

    draw_s: float
    encode_s: float
    raw_bytes: int
    peer_draw_s: float
    peer_feed_s: float
    peer_encode_s: float


VIDEOS = {
    "wave": Video(3e-3, 2.5e-3, 460_800, 24e-3, 0.75e-3, 8e-3),
    "panels": Video(14e-3, 3e-3, 1_200_000, 93e-3, 2.0e-3, 21e-3),
}


@dataclass(frozen=True, slots=True)
class Ray:
    """Seconds from the start of the process until Ray is there, and to stop it at the end."""

    ready_s: float
    stop_s: float


RAYS = {"cold": Ray(2.1, 1.4), "warm": Ray(0.06, 0.0)}
"""``ray.init()`` and ``ray.shutdown()``; attaching to a Ray that runs already."""

ACTOR_START_S = 0.4

IMPORT_S, PEER_IMPORT_S = 0.65, 0.45
"""Python, matplotlib and the package. As the peer's feeding and encoding, processor time on a
machine with other work, by the ratio of a full draw of the wave on it (46 to 58 ms) and on a
quiet one (24 ms)."""

FORK_S = 0.01
"""The peer's workers are forks, one after the other: they import nothing."""

USED_BY_X264 = 0.75
"""Share of the cores that one encoder uses."""


def our_seconds(video: Video, frames: int, ray: Ray) -> tuple[float, Result]:
    """The whole process; this process draws until Ray is there, and further where that pays."""
    result = simulate(
        Scenario(
            frames,
            CORES,
            draw_s=video.draw_s,
            encode_s=video.encode_s,
            raw_bytes=video.raw_bytes,
            cores=CORES,
            actors_per_node=CORES,
            ray_ready_s=max(0.0, ray.ready_s - IMPORT_S),
            costs=replace(Costs(), actor_start_s=ACTOR_START_S),
        )
    )
    # A Ray that nothing was drawn on is dropped, and not waited for.
    stop_s = ray.stop_s if result.drawn_here < frames else 0.0
    return IMPORT_S + result.took_s + stop_s, result


def peer_seconds(video: Video, frames: int) -> float:
    """The whole process with a worker for each core."""
    drawing_s = -(-frames // CORES) * video.peer_draw_s
    encoding_s = frames * max(video.peer_feed_s, video.peer_encode_s / (USED_BY_X264 * CORES))
    return PEER_IMPORT_S + CORES * FORK_S + drawing_s + encoding_s


def main() -> None:
    """Print a line for each video."""
    print(f"Simulated, not measured: one machine with {CORES} cores.")
    for name, video in VIDEOS.items():
        for frames in LENGTHS:
            peer_s = peer_seconds(video, frames)
            for label, ray in RAYS.items():
                our_s, result = our_seconds(video, frames, ray)
                print(
                    f"{name}, {frames:,} frames, Ray {label}: {our_s:.1f} s, {result.drawn_here:,} "
                    f"frames drawn in process, {result.whole_segments} segments encoded by actors; "
                    f"parallel-matplotlib-animation {peer_s:.1f} s: {peer_s / our_s:.2f} times as "
                    "fast",
                    flush=True,
                )


if __name__ == "__main__":
    main()
