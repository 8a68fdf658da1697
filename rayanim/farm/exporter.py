"""Hands a job's counts to Ray's metrics, which every node serves to Prometheus.

Only the driver does so: one process has the counts of the whole job. Without
Ray nothing happens, and where Ray collects no metrics nothing but one look.
Whatever fails here ends the metrics and not the job.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rayanim.farm.metrics import JOB_LABELS, METRICS, Metric, increment

if TYPE_CHECKING:
    from rayanim.farm.job import Tally
    from rayanim.farm.naming import JobName

_logger = logging.getLogger("rayanim")

LOOK_S = 1.0
"""Seconds between two looks; Ray passes metrics on every ten seconds."""


class Exporter:
    """The metrics of one job.

    Parameters
    ----------
    name
        What the job is called.
    """

    def __init__(self, name: JobName) -> None:
        self._labels = dict(zip(JOB_LABELS, (name.film, name.run), strict=True))
        self._instruments: dict[str, Any] = {}
        self._counted: dict[Metric, float] = {}
        self._next_look_s = 0.0

    def begin(self) -> None:
        """Ray is there, and actors are about to draw."""
        if not self._instruments:
            with self._harmless():
                if _collects_metrics():
                    self._instruments = _instruments()

    def look(self, tally: Tally) -> None:
        """Tell what is counted now, unless the last time was just now."""
        if not self._instruments or (now_s := time.perf_counter()) < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_S
        self._tell(tally)

    def end(self, tally: Tally) -> None:
        """Tell what was counted in all; of what is at this moment nothing is left."""
        if self._instruments:
            self._tell(tally, is_over=True)
        self._next_look_s = 0.0

    def _tell(self, tally: Tally, *, is_over: bool = False) -> None:
        with self._harmless():
            for metric in METRICS:
                value = 0.0 if is_over and metric.kind == "gauge" else metric.read(tally)
                if value is not None:
                    self._set(metric, value)

    def _set(self, metric: Metric, value: float) -> None:
        instrument = self._instruments[metric.name]
        labels = self._labels if metric.stage is None else {**self._labels, "stage": metric.stage}
        if metric.kind == "gauge":
            instrument.set(value, labels)
            return
        added = increment(self._counted.get(metric, 0.0), value)
        self._counted[metric] = value
        # A counter of Ray's takes no 0: the series begins with the first that is counted.
        if added > 0:
            instrument.inc(added, labels)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # whatever Ray's metrics raise: the film is what counts
            self._instruments = {}
            _logger.debug("The job's metrics end here.", exc_info=True)


def _instruments() -> dict[str, Any]:
    from ray.util.metrics import Counter, Gauge

    classes = {"counter": Counter, "gauge": Gauge}
    return {
        metric.name: classes[metric.kind](metric.name, metric.description, metric.label_names)
        for metric in METRICS
    }


def _collects_metrics() -> bool:
    """Whether this node serves metrics: Ray puts -1 in the place of a port where it does not."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return any(
        node["NodeID"] == here and node.get("MetricsExportPort", -1) > 0 for node in ray.nodes()
    )
