"""Who takes part in which case, and how one of them is run and checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

SIZES = {
    "wave": (640, 480),
    "panels": (2000, 400),
    "sleep": (160, 120),
    "square": (640, 480),
    "sweep": (1920, 1080),
    "sweep_kept": (1920, 1080),
    "heavy": (1920, 1080),
}
"""(width, height) in pixels of the videos, by case."""

CASES: Mapping[str, str] = {
    "wave": "a line moves in one axes, matplotlib, 640x480",
    "panels": "five axes, one of them in 3D, matplotlib, 2000x400",
    "square": "a red square, Pillow, 640x480",
    "sweep": "a line sweep whose script builds a figure per frame, matplotlib, 1920x1080",
    "sweep_kept": "the same sweep with a figure that is kept, matplotlib, 1920x1080",
    "heavy": "14 panels that are filled anew in each update, matplotlib, 1920x1080",
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to make a video.

    Attributes
    ----------
    name
        What the table calls it.
    script
        The file in this folder that runs it.
    cases
        The cases that it can be given unchanged.
    workers
        The numbers of workers it is tried with; the best one counts.
    encoder
        Its x264 settings, which are its own defaults.
    own_environment
        Whether it runs in the peers' environment.
    """

    name: str
    script: str
    cases: tuple[str, ...]
    workers: tuple[str, ...]
    encoder: str
    own_environment: bool = False


CONTESTANTS = (
    Contestant("rayanim", "run_rayanim.py", tuple(CASES), ("auto",), "crf 24.4, medium+"),
    Contestant(
        "parallel-matplotlib-animation",
        "run_parallel_animate.py",
        ("wave", "panels", "sweep_kept", "heavy", "sleep"),
        ("1", "2"),
        "crf 20, slow",
        own_environment=True,
    ),
    Contestant(
        "pympanim",
        "run_pympanim.py",
        ("square", "sweep"),
        ("1", "2"),
        "crf 23, medium",
        own_environment=True,
    ),
    Contestant(
        "Animation.save",
        "run_animation_save.py",
        ("wave", "panels", "sweep_kept", "heavy"),
        ("1",),
        "crf 23, medium",
    ),
    Contestant("serial loop", "run_serial.py", tuple(CASES), ("1",), "crf 24.4, medium+"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a contestant.

    Attributes
    ----------
    seconds
        Wall clock of the whole process: interpreter, imports and start-up included.
    failure
        Why the run does not count; None if it does.
    stages
        What rayanim's report says of its stages; empty for the others.
    """

    case: str
    name: str
    workers: str
    seconds: float
    failure: str | None = None
    stages: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where runs happen.

    Attributes
    ----------
    folder
        For videos; each is removed once it was checked.
    peers_python
        The interpreter of the peers' environment.
    ffmpeg_folder
        A folder with a program called ffmpeg.
    limit_s
        Seconds after which a run is given up.
    cores
        How many of the machine's cores a run may use; None for all.
    """

    folder: Path
    peers_python: Path
    ffmpeg_folder: Path
    limit_s: float = 1800.0
    cores: int | None = None

    def confine(self) -> None:
        """Keep this process, a contestant's before it begins, to the cores."""
        if self.cores is not None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: self.cores])


def run(contestant: Contestant, case: str, frames: int, workers: str, ground: Ground) -> Outcome:
    """Run a contestant as a process of its own and check what it wrote."""
    output = ground.folder / f"{case}.mp4"
    output.unlink(missing_ok=True)
    python = str(ground.peers_python) if contestant.own_environment else sys.executable
    command = [python, str(HERE / contestant.script), case, str(frames), str(output), workers]
    environment = {**os.environ, "PATH": f"{ground.ffmpeg_folder}:{os.environ.get('PATH', '')}"}
    # Bytecode is kept, as that of installed packages is.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    try:
        process = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=ground.limit_s,
            preexec_fn=ground.confine,
        )
    except subprocess.TimeoutExpired:
        return Outcome(
            case, contestant.name, workers, ground.limit_s, f"not done after {ground.limit_s:g} s"
        )
    seconds = time.perf_counter() - began
    failure = check(output, frames, SIZES[case])
    if process.returncode:
        told = process.stderr.strip().splitlines() or ["no message"]
        failure = f"exit code {process.returncode}: {told[-1]}"
    output.unlink(missing_ok=True)
    stages = json.loads(process.stdout.splitlines()[-1]) if _tells(contestant, failure) else {}
    return Outcome(case, contestant.name, workers, seconds, failure, stages)


def _tells(contestant: Contestant, failure: str | None) -> bool:
    return contestant.name == "rayanim" and failure is None


def check(video: Path, frames: int, size: tuple[int, int]) -> str | None:
    """What is wrong with a video: it must decode to so many H.264 frames of this size."""
    import av

    if not video.is_file():
        return "wrote no file"
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        found = sum(1 for _ in container.decode(stream))
        codec, found_size = stream.codec_context.name, (stream.width, stream.height)
    # parallel-matplotlib-animation enlarges frames to whole macroblocks.
    sizes = (size, tuple(-(-side // 16) * 16 for side in size))
    if found != frames or found_size not in sizes or codec != "h264":
        return f"{found} frames of {found_size} in {codec}, not {frames} of {size} in h264"
    return None
