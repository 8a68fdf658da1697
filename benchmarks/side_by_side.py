"""Runs rayanim and its peers on the same drawing code, in turn, and prints ratios.

README.md in this folder says how to read them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import peers
from contest import CASES, CONTESTANTS, Contestant, Ground, Outcome, run
from table import print_case


def main() -> int:
    """Run what the command line asks for; 1 if a run failed."""
    options = _options()
    python, ffmpeg_folder = peers.ready(options.peers)
    less = "" if options.less is None else f" less {options.less}"
    print(
        f"{options.frames} frames{less}, {options.rounds} round(s), "
        f"{options.cores or os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="side_by_side_") as folder:
        ground = Ground(Path(folder), python, ffmpeg_folder, options.limit, options.cores)
        for case in options.cases:
            of_case = _run_case(case, options, ground)
            print_case(case, options.frames, of_case)
            outcomes += of_case
    if options.json is not None:
        kept = {"frames": options.frames, "runs": [asdict(outcome) for outcome in outcomes]}
        options.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    return int(any(outcome.failure for outcome in outcomes))


def _run_case(case: str, options: argparse.Namespace, ground: Ground) -> list[Outcome]:
    """All contestants of a case, one after the other, as often as there are rounds."""
    outcomes = []
    for number in range(options.rounds):
        for contestant in CONTESTANTS:
            if case not in contestant.cases:
                continue
            if options.only and contestant.name not in options.only:
                continue
            for workers in contestant.workers:
                print(f"  round {number + 1}, {case}: {contestant.name} {workers}", file=sys.stderr)
                outcomes.append(_run_once(contestant, case, workers, options, ground))
                print(f"    {outcomes[-1].seconds:.1f} s", file=sys.stderr)
    return outcomes


def _run_once(
    contestant: Contestant, case: str, workers: str, options: argparse.Namespace, ground: Ground
) -> Outcome:
    """One run; less the time of a shorter one where start-up is to be left out."""
    outcome = run(contestant, case, options.frames, workers, ground)
    if options.less is None:
        return outcome
    short = run(contestant, case, options.less, workers, ground)
    return replace(
        outcome,
        seconds=max(1e-9, outcome.seconds - short.seconds),
        failure=outcome.failure or short.failure,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames of each video")
    parser.add_argument(
        "--cases", type=_cases, default=list(CASES), help=f"some of {','.join(CASES)}"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is run")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[], help="names of contestants"
    )
    parser.add_argument(
        "--peers",
        type=Path,
        default=peers.default_folder(),
        help="folder for the peers' environment (%(default)s)",
    )
    parser.add_argument(
        "--less",
        type=int,
        metavar="FRAMES",
        help="take off what a video of so many frames takes: what is left has no start-up",
    )
    parser.add_argument("--cores", type=int, help="cores that each run may use")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a run may take")
    parser.add_argument("--json", type=Path, help="also write all runs to this file")
    return parser.parse_args()


def _cases(text: str) -> list[str]:
    cases = text.split(",")
    unknown = sorted(set(cases) - set(CASES))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}"
        )
    return cases


if __name__ == "__main__":
    sys.exit(main())
