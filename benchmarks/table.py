"""Prints what came of a case: ratios first, and where rayanim's time went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from contest import CASES, CONTESTANTS, Outcome


def print_case(case: str, frames: int, outcomes: Iterable[Outcome]) -> None:
    """Print a line for each contestant of a case, and rayanim's stages."""
    outcomes = list(outcomes)
    best = best_seconds(outcomes)
    ours = best.get("rayanim")
    print(f"\n{case}: {CASES[case]}")
    print(f"  {'':31}{'our speed':>11}  {'workers':>7}  {'this run':>9}  x264 settings")
    for contestant in CONTESTANTS:
        if contestant.name not in best:
            continue
        workers, seconds = best[contestant.name]
        ratio = "" if ours is None or contestant.name == "rayanim" else f"{seconds / ours[1]:.2f}x"
        print(
            f"  {contestant.name:31}{ratio:>11}  {workers:>7}  {seconds:>7.1f} s  "
            f"{contestant.encoder}"
        )
    for outcome in outcomes:
        if outcome.failure:
            print(f"  FAILED: {outcome.name} with {outcome.workers} workers: {outcome.failure}")
    told = [outcome for outcome in outcomes if outcome.stages]
    if told:
        fastest = min(told, key=lambda outcome: outcome.seconds)
        print(f"  rayanim: {stages_text(fastest.stages, fastest.seconds)}")


def best_seconds(outcomes: Iterable[Outcome]) -> dict[str, tuple[str, float]]:
    """The best number of workers of each contestant, and its median over the rounds."""
    by_way: dict[tuple[str, str], list[float]] = {}
    failed = set()
    for outcome in outcomes:
        way = (outcome.name, outcome.workers)
        by_way.setdefault(way, []).append(outcome.seconds)
        if outcome.failure:
            failed.add(way)
    best: dict[str, tuple[str, float]] = {}
    for (name, workers), seconds in by_way.items():
        if (name, workers) in failed:
            continue
        middle = median(seconds)
        if name not in best or middle < best[name][1]:
            best[name] = (workers, middle)
    return best


def stages_text(stages: Mapping[str, Any], seconds: float) -> str:
    """Where rayanim's time went, as shares of the whole process's wall clock.

    Workers and the encoder work at the same time, so shares may exceed 100 % in sum.
    """
    where = f"on Ray with {stages['actors']} actors" if stages["engine"] == "ray" else "in process"
    parts = {
        "before the job": seconds - stages["elapsed_s"],
        "starting Ray": stages["start_s"],
        "drawing": stages["draw_s"] / max(1, stages["actors"]),
        "converting": stages["convert_s"] / max(1, stages["actors"]),
        "encoding": stages["encode_s"],
        "encoder waits": stages["wait_s"],
    }
    shares = ", ".join(f"{name} {100 * part / seconds:.0f} %" for name, part in parts.items())
    return f"{where} ({stages['reason']}); {stages['binding']} binds; {shares}"
