"""Turns what the engine counted into the report that the caller gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayanim.report import Report
from rayanim.stages import StageRates, binding_stage

if TYPE_CHECKING:
    from rayanim.farm.job import Outcome
    from rayanim.storage.address import Address


def report_of(target: Address, outcome: Outcome) -> Report:
    """The report of a job whose film is at `target` now."""
    tally, spec = outcome.tally, outcome.spec
    ways = tally.timings.account.ways
    elapsed_s = tally.elapsed_s
    by_actors = tally.transport == "segments" and outcome.engine == "ray"
    stages = StageRates.measured(
        tally.frames - tally.resumed_frames,
        draw_s=tally.timings.draw_s,
        convert_s=tally.timings.convert_s,
        encode_s=tally.encode_s,
        wait_s=tally.wait_s,
        write_s=tally.write_s,
    )
    return Report(
        output=target,
        frames=tally.frames,
        elapsed_s=elapsed_s,
        size=spec.size,
        rate=spec.rate,
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=outcome.file_bytes,
        engine="ray" if outcome.engine == "ray" else "local",
        engine_reason=outcome.engine_reason,
        transport=tally.transport,
        transport_reason=tally.transport_reason,
        resumed_frames=tally.resumed_frames,
        actors_peak=tally.actors_peak,
        start_s=tally.start_s,
        stages=stages,
        binding=binding_stage(stages, elapsed_s, tally.actors_peak, encoded_by_actors=by_actors),
        drawn_in_parts=ways.in_parts,
        drawn_in_full=tuple(sorted(ways.in_full.items(), key=lambda item: -item[1])),
        actor_changes=tuple(tally.changes),
        fleet_sizes=tuple(tally.fleet.sizes),
        nodes_peak=tally.fleet.nodes_peak,
        node_hours=tally.fleet.node_hours,
        events=tuple(tally.events),
        settings=outcome.settings,
        peak_rss_bytes=tuple(sorted(tally.peak_rss_bytes.items())),
    )
