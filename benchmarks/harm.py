"""A small local cluster, a video whose actors note what they draw, and faults in mid-run."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

TESTS = Path(__file__).resolve().parent.parent / "tests"
if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))

from numbered import FPS, Numbered, in_actor  # noqa: E402

from rayanim.progress.base import ProgressState  # noqa: E402

SEGMENT = 10
ACTORS = 3
IN_HAND = 2 * SEGMENT
"""Frames that an actor holds at most: those that it draws, and those that wait there."""

LEFT_OUT = "left out"
"""What the engine says of a node that gets no more actors."""

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
WATCHFUL = {
    # A dead node is known to be dead after some 5 s rather than 15.
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 5,
}


class Traced(Numbered):
    """Numbered frames in the corner of a large picture; actors note which they draw.

    Ten frames are more than the 100 KiB up to which what was drawn needs no fetching.
    """

    frame_size = (320, 240)
    takes_its_time = False
    """Whether frames take a second in actors until a node is left out."""

    def __init__(self, n_frames: int, notes: Path, **how: Any) -> None:
        super().__init__(n_frames, **how)
        self.notes = notes

    def generate_at(self, time_ms: float) -> np.ndarray:
        if in_actor():
            with open(self.notes / f"drawn-{os.getpid()}", "a") as note:
                note.write(f"{round(time_ms * FPS / 1000)}\n")
            self.suffer()
            if self.takes_its_time and not (self.notes / LEFT_OUT).exists():
                time.sleep(1.0)
        small = super().generate_at(time_ms)
        frame = np.full((240, 320, 4), 255, np.uint8)
        frame[: small.shape[0], : small.shape[1]] = small
        return frame

    def suffer(self) -> None:
        """What goes wrong with each frame in an actor."""


def drawn_again(notes: Path) -> int:
    """Frames that actors drew once more. All draw the first one, to compare it."""
    drawn = Counter(
        int(line) for note in notes.glob("drawn-*") for line in note.read_text().split()
    )
    return sum(count - 1 for number, count in drawn.items() if number)


@contextlib.contextmanager
def small_cluster() -> Iterator[Any]:
    """A head without render actors, and a node for each of `ACTORS`; Ray's `Cluster`."""
    from ray.cluster_utils import Cluster

    # Actors unpickle these modules by reference.
    modules = (TESTS, TESTS / "farm", Path(__file__).parent)
    with (
        tempfile.TemporaryDirectory(prefix="rayanim-", dir="/tmp") as folder,
        _environment(
            RAY_TMPDIR=folder,
            PYTHONPATH=os.pathsep.join(str(each) for each in modules),
            # Four nodes on one machine: what starts has enough to do.
            RAY_enable_metrics_collection="0",
            RAY_worker_niceness="0",
        ),
    ):
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": WATCHFUL}
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, **head})
        try:
            for _ in range(ACTORS):
                cluster.add_node(**NODE)
            yield cluster
        finally:
            cluster.shutdown()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    kept = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def mend(cluster: Any) -> None:
    """Replace the nodes that have ended, and wait until the cluster has forgotten them."""
    for node in list(cluster.worker_nodes):
        if not processes_of(node):
            cluster.remove_node(node)
            cluster.add_node(**NODE)
    cluster.wait_for_nodes(timeout=60)


def processes_of(node: Any) -> list[psutil.Process]:
    """The living processes of a node: Ray's own there, and the workers."""
    found: list[psutil.Process] = []
    for pid in [each.process.pid for kind in node.all_processes.values() for each in kind]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found += [process, *process.children(recursive=True)]
    return found


def actors_of(nodes: Iterable[Any], name: str) -> list[psutil.Process]:
    """The actors on nodes whose process is called `name`: ``ray::Ren``, ``ray::Enc``."""
    found = []
    for node in nodes:
        for process in processes_of(node):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith(name):
                    found.append(process)
    return found


def send(processes: Iterable[psutil.Process], number: int) -> None:
    """Send a signal to all of them that are there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill_an_actor(cluster: Any) -> None:
    """End one render actor."""
    send(actors_of(cluster.worker_nodes, "ray::Ren")[:1], signal.SIGKILL)


def kill_the_encoder(cluster: Any) -> None:
    """End the encoder actor."""
    send(actors_of([cluster.head_node], "ray::Enc"), signal.SIGKILL)


def kill_two_nodes(cluster: Any) -> None:
    """End all that runs on two nodes, as a power cut does."""
    for node in list(cluster.worker_nodes)[:2]:
        send(processes_of(node), signal.SIGKILL)


def freeze_a_node(cluster: Any) -> None:
    """Stop all that runs on one node; it stays so."""
    send(processes_of(next(iter(cluster.worker_nodes))), signal.SIGSTOP)


def end_the_frozen(cluster: Any) -> None:
    """End nodes that `freeze_a_node` has stopped."""
    for node in cluster.worker_nodes:
        processes = processes_of(node)
        if processes and processes[0].status() == psutil.STATUS_STOPPED:
            send(processes, signal.SIGKILL)


class Once:
    """Progress that does `harm` when a quarter of the video is done.

    Parameters
    ----------
    harm
        What it does.
    notes
        Folder where it leaves a note as soon as a node is left out.

    Attributes
    ----------
    is_done
        Whether it has.
    began_s
        When the first frames came from actors; None before.
    """

    def __init__(self, harm: Callable[[], None], notes: Path) -> None:
        self._harm = harm
        self._notes = notes
        self.is_done = False
        self.began_s: float | None = None

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Nothing."""

    def update(self, state: ProgressState) -> None:
        """See how far the video is."""
        # The first frame is drawn in this process.
        if state.done > 1 and self.began_s is None:
            self.began_s = time.perf_counter()
        if not self.is_done and state.total and state.done >= state.total // 4:
            self.is_done = True
            self._harm()

    def message(self, text: str) -> None:
        """See what is told."""
        if LEFT_OUT in text:
            (self._notes / LEFT_OUT).touch()

    def finish(self, state: ProgressState) -> None:
        """Nothing."""

    def fail(self) -> None:
        """Nothing."""
