"""A job's metrics: their names, how they are counted, and what a node's endpoint serves of them."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jobs.head import Cluster, started_cluster
from numbered import read_numbers

from rayanim.engine import metrics
from rayanim.engine.draw import Timings
from rayanim.engine.metrics import JOB_LABELS, METRICS, MetricsExporter, increment
from rayanim.engine.plan import Segment
from rayanim.engine.stats import JobEvents, JobName, JobStats
from rayanim.events import (
    ChunkDrawn,
    JobResumed,
    Progressed,
    RayPassEnded,
    RayPassStarted,
    SegmentEncoded,
    SegmentRetried,
    SegmentStored,
)

ROOT = Path(__file__).parent.parent.parent
DASHBOARD = ROOT / "cluster" / "grafana" / "rayanim.json"
PAGE = ROOT / "docs" / "monitoring.md"
LIMIT_S = 90


def test_names_are_as_prometheus_wants_them() -> None:
    """Base units; ``_total`` of what only grows, and of nothing else."""
    for metric in METRICS:
        assert re.fullmatch(r"rayanim_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb)(_|$)", metric.name)
        assert metric.description


def test_a_job_has_few_series() -> None:
    """As many with 10,000 actors as with one: the labels are the job's, and stages."""
    assert len({(metric.name, metric.stage) for metric in METRICS}) == len(METRICS) < 20
    assert {name for metric in METRICS for name in metric.label_names} == {*JOB_LABELS, "stage"}


def test_a_count_that_begins_anew_never_goes_down() -> None:
    """A video that is begun anew is encoded once more: a counter that shrank would be a restart."""
    seen = [0, 10, 10, 25, 5, 30]
    added = [increment(before, now) for before, now in itertools.pairwise(seen)]
    assert added == [10, 0, 15, 5, 25]


class Instrument:
    """A metric of Ray's that keeps what it gets."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.calls = 0
        self.values: dict[tuple[str, ...], float] = {}

    def inc(self, value: float, labels: dict[str, str]) -> None:
        assert value > 0
        key = self._called(labels)
        self.values[key] = self.values.get(key, 0) + value

    def set(self, value: float, labels: dict[str, str]) -> None:
        self.values[self._called(labels)] = value

    def _called(self, labels: dict[str, str]) -> tuple[str, ...]:
        self.calls += 1
        if self.fails:
            raise ValueError("no metrics today")
        return tuple(labels.values())


@pytest.fixture
def instruments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Instrument]:
    """Stand in for Ray's."""
    made = {metric.name: Instrument() for metric in METRICS}
    monkeypatch.setattr(metrics, "_collects_metrics", lambda: True)
    monkeypatch.setattr(metrics, "_instruments", lambda: made)
    return made


def new_events() -> JobEvents:
    stats = JobStats(30)
    return JobEvents(stats, MetricsExporter(stats, JobName("wave", "7f")))


def test_counters_add_up_to_the_job_s_counts_and_gauges_end_at_nothing(
    instruments: dict[str, Instrument],
) -> None:
    """What was counted before Ray started is exported with the first values."""
    events = new_events()
    events.emit(JobResumed(frames=5, written_bytes=100))
    events.emit(ChunkDrawn.timed(Segment(0, 0, 10), Timings(2.0, 0.5, 10), actor=None))
    events.emit(RayPassStarted())
    events.emit(SegmentEncoded(segment=0, start=0, stop=10, encode_s=0.25, wait_s=0.125))
    events.emit(Progressed(alive=2, requested=3, target=4, queued_frames=5))
    values = {name: each.values for name, each in instruments.items()}
    assert values["rayanim_frames_drawn_total"] == {("wave", "7f"): 10}
    assert values["rayanim_frames_encoded_total"] == {("wave", "7f"): 10}
    assert values["rayanim_frames_left"] == {("wave", "7f"): 15}
    gauges = ("queued_frames", "actors_wanted", "actors_asked_for", "actors_alive")
    assert [values[f"rayanim_{name}"]["wave", "7f"] for name in gauges] == [5, 4, 3, 2]
    events.emit(SegmentRetried(segment=0, start=0, stop=8, reason="it died"))
    events.emit(ChunkDrawn.timed(Segment(0, 0, 8), Timings(1.0, 0.5, 8), actor=None))
    events.emit(SegmentStored(segment=1, start=10, stop=18, written_bytes=100, write_s=0.5))
    events.emit(RayPassEnded())
    assert values["rayanim_frames_drawn_total"] == {("wave", "7f"): 18}
    assert values["rayanim_segments_retried_total"] == {("wave", "7f"): 1}
    assert values["rayanim_stage_seconds_total"] == {
        ("wave", "7f", "draw"): 3.0,
        ("wave", "7f", "convert"): 1.0,
        ("wave", "7f", "encode"): 0.25,
        ("wave", "7f", "wait"): 0.125,
        ("wave", "7f", "write"): 0.5,
    }
    assert [values[f"rayanim_{name}"]["wave", "7f"] for name in gauges] == [0, 0, 0, 0]


def test_a_quick_loop_exports_once_a_second(
    instruments: dict[str, Instrument],
) -> None:
    """The driver's loop turns hundreds of times a second."""
    events = new_events()
    events.emit(RayPassStarted())
    for alive in range(1, 100):
        events.emit(Progressed(alive=alive))
    assert instruments["rayanim_actors_alive"].calls == 1


def test_metrics_that_fail_end_alone(instruments: dict[str, Instrument]) -> None:
    """The job goes on, and they are not tried again."""
    failing = instruments["rayanim_frames_drawn_total"] = Instrument(fails=True)
    events = new_events()
    events.emit(RayPassStarted())
    events.emit(ChunkDrawn.timed(Segment(0, 0, 8), Timings(1.0, 0.5, 8), actor=None))
    events.emit(Progressed())
    events.emit(RayPassEnded())
    assert failing.calls == 1


def test_nothing_is_exported_before_ray_is_there_or_where_it_collects_none(
    instruments: dict[str, Instrument], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in process pays nothing for metrics."""
    events = new_events()
    events.emit(Progressed(alive=1))
    monkeypatch.setattr(metrics, "_collects_metrics", lambda: False)
    events.emit(RayPassStarted())
    events.emit(Progressed(alive=1))
    events.emit(RayPassEnded())
    assert [each.calls for each in instruments.values()] == [0] * len(instruments)


def exposed_names() -> set[str]:
    """The names that Ray serves ours under."""
    return {f"ray_{metric.name}" for metric in METRICS}


def panels() -> list[dict[str, Any]]:
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def test_the_dashboard_s_queries_are_of_metrics_that_are_exported() -> None:
    """Every panel asks for ours, by labels that they have, and no metric is left out."""
    asked_for = set()
    labels = {*JOB_LABELS, "stage"}
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            names = set(re.findall(r"\bray_\w+", query))
            assert names and names <= exposed_names(), query
            asked_for |= names
            grouped = re.findall(r"by \(([^)]*)\)", query)
            assert {name for by in grouped for name in by.split(", ")} <= labels, query
            assert query.count("{") == len(re.findall(r"\bray_\w+", query)), query
            for matchers in re.findall(r"{([^}]*)}", query):
                assert matchers == 'video=~"$video", run=~"$run"', query
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels, target
    assert asked_for == exposed_names()


def test_the_dashboard_takes_any_prometheus() -> None:
    """Its data source is a variable; whoever imports it chooses theirs."""
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert list(variables) == ["datasource", "video", "run"]
    assert variables["datasource"]["type"] == "datasource"
    sources = [each["datasource"] for each in [variables["video"], variables["run"], *panels()]]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
    assert dashboard["id"] is None
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_page_lists_each_metric_with_what_it_means() -> None:
    """Under the name that Ray serves it by."""
    page = PAGE.read_text()
    for metric in METRICS:
        assert f"`ray_{metric.name}`" in page
        assert metric.description in page


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node whose agent serves metrics; processes pass theirs on every second."""
    pytest.importorskip(
        "ray.dashboard.optional_deps",
        reason="a node that serves metrics needs pip install '.[cluster]'",
        exc_type=ImportError,
    )
    with started_cluster(
        tmp_path_factory.mktemp("home"),
        nodes=1,
        PYTHONPATH=str(ROOT / "tests"),
        RAY_enable_metrics_collection="1",
        RAY_metrics_report_interval_ms="1000",
    ) as found:
        yield found


def wait_until(is_so: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    """What `is_so` gives as soon as it is true, while the process lives."""
    deadline_s = time.monotonic() + LIMIT_S
    while not (found := is_so()):
        assert process.poll() is None and time.monotonic() < deadline_s
        time.sleep(0.1)
    return found


# Frame 100 waits to be seen, in the middle of the video; frame 20 kills its actor once.
DRIVER = """
import json, sys, time
from pathlib import Path
from numbered import FPS, Numbered
import rayanim

address, folder = sys.argv[1], Path(sys.argv[2])

class Watched(Numbered):
    def generate_at(self, time_ms):
        while round(time_ms * FPS / 1000) == 100 and not (folder / "seen").exists():
            time.sleep(0.05)
        return super().generate_at(time_ms)

def write_endpoint(done, total):
    import ray
    if ray.is_initialized() and not (folder / "endpoint").exists():
        node = ray.nodes()[0]
        endpoint = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        (folder / "endpoint.new").write_text(endpoint)
        (folder / "endpoint.new").rename(folder / "endpoint")

report = rayanim.produce(
    Watched(120, kill=(20,), scratch=folder),
    FPS,
    outfile=folder / "wave.mp4",
    address=address,
    engine="ray",
    workers=2,
    segment_frames=12,
    progress=write_endpoint,
)
(folder / "report.json").write_text(json.dumps(report.to_dict()))
"""


@dataclass(frozen=True, slots=True)
class Values:
    """What was read at a node's endpoint: value by metric, and by stage for the seconds."""

    values: dict[str, float]
    labels: dict[str, str]


def read(endpoint: str) -> Values:
    with urllib.request.urlopen(endpoint, timeout=10) as answer:
        text = answer.read().decode()
    values, labels = {}, {}
    for name, given, value in re.findall(r"^ray_rayanim_(\w+){(.*)} (\S+)$", text, re.MULTILINE):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', given))
        assert labels["video"] == "wave"
        values[labels.get("stage", name)] = float(value)
    return Values(values, labels)


@pytest.mark.timeout(2 * LIMIT_S)
def test_a_node_s_endpoint_says_what_the_report_says(head: Cluster, tmp_path: Path) -> None:
    """During the run there are actors and frames; afterwards every count is the report's."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, head.gcs, str(tmp_path)],
        env=head.environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until((tmp_path / "endpoint").exists, driver)
        endpoint = (tmp_path / "endpoint").read_text()

        def all_but_what_is_held_back() -> dict[str, float] | None:
            values = read(endpoint).values
            return values if values.get("frames_left", 120) <= 24 else None

        during = wait_until(all_but_what_is_held_back, driver)
        assert during["actors_wanted"] >= during["actors_alive"] >= 1
        assert during["actors_asked_for"] >= during["actors_alive"]
        assert during["frames_drawn_total"] >= during["frames_encoded_total"] >= 96
        (tmp_path / "seen").touch()
        assert driver.wait(LIMIT_S) == 0
    finally:
        driver.kill()
        driver.wait()
    report = json.loads((tmp_path / "report.json").read_text())
    assert read_numbers(tmp_path / "wave.mp4") == list(range(120))
    after = read(endpoint).values
    assert (after["frames_drawn_total"], after["frames_encoded_total"]) == (120, report["frames"])
    retried = sum("drawn again" in event for event in report["events"])
    assert after["segments_retried_total"] == retried == 1
    stages = report["stages"]
    for stage in ("draw", "convert", "encode", "wait", "write"):
        assert after[stage] == pytest.approx(stages[f"{stage}_s"], rel=1e-6), stage
        assert after[stage] > 0
    # What is no more: nobody has it wanted, asked for or alive.
    gauges = ("frames_left", "queued_frames", "actors_wanted", "actors_asked_for", "actors_alive")
    assert {name: after.get(name, 0) for name in gauges} == dict.fromkeys(gauges, 0)
