"""Draws matplotlib's gallery with random changes, incrementally and in full, and compares.

Run it as a command: ``python tests/figure/gallery.py --seed 1 --frames 20``.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gallery_archive import NoGalleryError, fetch, provide_sample_data, scripts_of
from gallery_processes import end_with_parent

SCRIPT_LIMIT_S = 180.0
"""A script may take this long until its figures are made."""

WHOLE_LIMIT_S = 1800.0
"""A script's process is ended after this time, with all its figures."""

SETTINGS = {
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "agg",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""Variables with which a run can be repeated, threads of numpy's do not survive a fork."""


def main() -> int:
    """Run the fuzz; returns the exit status."""
    options = arguments().parse_args()
    if any(os.environ.get(name) != value for name, value in SETTINGS.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **SETTINGS})
    try:
        gallery = options.gallery or fetch(Path(tempfile.gettempdir()) / "matplotlib-gallery")
    except NoGalleryError as error:
        print(error)
        return 2
    provide_sample_data(gallery)
    chosen = choose(scripts_of(gallery), options)
    if not chosen:
        print(f"no script in {gallery} has a name like {options.scripts}")
        return 2
    _import_once()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    summary = Summary()
    started_s = time.monotonic()
    try:
        for script, records, took_s in run_all(chosen, options):
            if options.verbose:
                print(f"{took_s:6.1f} s {relative(script)}", flush=True)
            for line in summary.add(relative(script), records):
                print(line, flush=True)
    except KeyboardInterrupt:
        print("cut short")
    print(summary.text(time.monotonic() - started_s))
    if summary.failures:
        print(f"one script again: {again(options)}")
    return 1 if summary.failures else 0


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seed", type=int, default=1, help="what all random choices come from (default 1)")
    add("--frames", type=int, default=20, help="frames of each figure (default 20)")
    add("--scripts", default="*", metavar="GLOB", help="scripts whose path has this form")
    add("--sample", type=int, metavar="N", help="only N scripts, chosen at random by the seed")
    add("--figure", type=int, metavar="N", help="only the figure N of each script, from 0")
    add("--jobs", type=int, default=2, help="scripts at a time (default 2)")
    add("--gallery", type=Path, metavar="FOLDER", help="an unpacked gallery; else pip gets it")
    add("--guard", action=argparse.BooleanOptionalAction, default=False, help="as in production")
    add("--save", type=Path, metavar="FOLDER", help="write frames that differ there, as PNG")
    add("--fewest", action="store_true", help="find the fewest changes with which a figure fails")
    add("--verbose", action="store_true", help="print each script with the time that it took")
    return parser


def choose(scripts: list[Path], options: argparse.Namespace) -> list[Path]:
    """The scripts that the options ask for, in random order: a run cut short is a sample."""
    form = f"*{options.scripts}*"
    found = [each for each in scripts if fnmatch.fnmatch(relative(each), form)]
    random.Random(options.seed).shuffle(found)
    return found[: options.sample]


def relative(script: Path) -> str:
    """The path of a script inside the gallery."""
    return "/".join(script.parts[-3:]) if "galleries" in script.parts else script.name


def again(options: argparse.Namespace) -> str:
    """The command that repeats one script."""
    words = [f"--seed {options.seed} --frames {options.frames}"]
    words += ["--guard"] if options.guard else []
    words += [f"--gallery {options.gallery}"] if options.gallery else []
    return f"python tests/figure/gallery.py {' '.join(words)} --save FOLDER --scripts NAME"


def _import_once() -> None:
    """Import what most scripts need; each script is run in a fork of this process.

    The code under test is that of this repository, whatever is installed.
    """
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import matplotlib.animation
    import matplotlib.pyplot as plt
    import matplotlib.widgets  # noqa: F401

    importlib.import_module("gallery_pairs")
    importlib.import_module("gallery_scripts")
    plt.switch_backend("agg")
    _fill_caches()


def _fill_caches() -> None:
    """Draw texts in many fonts once, so that not every fork has to find and load them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    for family in ("sans-serif", "serif", "monospace"):
        for weight in ("normal", "bold"):
            for style in ("normal", "italic"):
                figure.text(0, 0, "a", family=family, weight=weight, style=style)
    for family in ("dejavusans", "dejavuserif", "cm", "stix"):
        figure.text(0, 0, r"$x_i^2 + \frac{1}{\alpha}$", math_fontfamily=family)
    FigureCanvasAgg(figure).draw()


Record = dict[str, object]


@dataclass
class _Running:
    script: Path
    log: Path
    started_s: float


def run_all(
    scripts: list[Path], options: argparse.Namespace
) -> Iterator[tuple[Path, list[Record], float]]:
    """Run scripts, some at a time; yields each with what it wrote and how long it took."""
    waiting = list(reversed(scripts))
    running: dict[int, _Running] = {}
    with tempfile.TemporaryDirectory(prefix="gallery-") as home:
        try:
            while waiting or running:
                while waiting and len(running) < options.jobs:
                    script = waiting.pop()
                    log = Path(home) / f"{len(waiting)}.jsonl"
                    pid = _start(script, log, options)
                    running[pid] = _Running(script, log, time.monotonic())
                for pid, each in list(running.items()):
                    ended, status = os.waitpid(pid, os.WNOHANG)
                    if ended or _too_long(pid, each):
                        del running[pid]
                        code = os.waitstatus_to_exitcode(status) if ended else -signal.SIGKILL
                        yield (
                            each.script,
                            _records(each.log, code),
                            time.monotonic() - each.started_s,
                        )
                time.sleep(0.01)
        finally:
            for pid in running:
                os.killpg(pid, signal.SIGKILL)


def _too_long(pid: int, running: _Running) -> bool:
    made = running.log.exists()
    if time.monotonic() - running.started_s < (WHOLE_LIMIT_S if made else SCRIPT_LIMIT_S):
        return False
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def _records(log: Path, code: int) -> list[Record]:
    lines = log.read_text().splitlines() if log.exists() else []
    records = [json.loads(line) for line in lines if line]
    if code == -signal.SIGKILL:
        records.append({"skipped": "takes too long"})
    elif code != 0:
        records.append({"skipped": f"its process ends with exit status {code}"})
    return records


def _start(script: Path, log: Path, options: argparse.Namespace) -> int:
    """Fork a process, with a group of its own, that runs one script and compares its figures."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_with_parent()
        noise = os.open(os.devnull, os.O_RDWR)
        os.dup2(noise, 0)
        os.dup2(noise, 1)
        if options.scripts == "*":
            os.dup2(noise, 2)
        run_script(script, log, options)
        code = 0
    except BaseException as error:
        broken = {"broken": "".join(traceback.format_exception(error)[-2:])}
        with log.open("a") as lines:
            lines.write(json.dumps(broken) + "\n")
        code = 0
    finally:
        os._exit(code)


def run_script(script: Path, log: Path, options: argparse.Namespace) -> None:
    """Run one script and compare each of its figures; writes a line into `log` for each."""
    from gallery_pairs import Plan, compare_figure, fewest_changes, save_pictures
    from gallery_scripts import SkippedError, figures_of

    name = relative(script)
    try:
        made = figures_of(script, options.seed)
    except SkippedError as reason:
        log.write_text(json.dumps({"skipped": str(reason)}) + "\n")
        return
    with log.open("w", buffering=1) as lines:
        lines.write("\n")
        warnings.simplefilter("ignore")
        for number, figure in enumerate(made.figures):
            if options.figure not in (None, number):
                continue
            seed = f"{options.seed} {name} {number}"
            plan = Plan(seed, options.frames, options.guard, random.Random(seed).random() < 0.5)
            folder = log.with_suffix("") / str(number)
            folder.mkdir(parents=True)
            result = compare_figure(plan, number, figure, made.animations, folder)
            if options.save and result.failures:
                numbers = sorted({frame for _, frame, _ in result.failures})
                save_pictures(folder, options.save, f"{script.stem}-{number}", numbers)
            record = vars(result)
            if options.fewest and result.failures:
                needed = fewest_changes(plan, result, figure, made.animations, folder)
                record["needed"] = needed
            lines.write(json.dumps(record) + "\n")
            shutil.rmtree(folder)


class Summary:
    """Adds up what came of all scripts."""

    def __init__(self) -> None:
        self.scripts = self.figures = self.frames = self.incremental = 0
        self.in_full: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.figures_with: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()

    def add(self, script: str, records: list[Record]) -> Iterator[str]:
        """Count one script; yields a line for each failure."""
        self.scripts += 1
        for record in records:
            if "broken" in record:
                self.failures["the fuzz itself"] += 1
                yield f"the fuzz itself: {script}: {record['broken']}"
                continue
            if "skipped" in record:
                self.skipped[str(record["skipped"])] += 1
                continue
            if record["left_out"]:
                self.left_out[str(record["left_out"])] += 1
            self.figures += 1
            self.frames += record["frames"]
            self.incremental += record["incremental"]
            self.in_full.update(record["in_full"])
            if record["ends"]:
                self.ends[str(record["ends"])] += 1
            failures = record["failures"]
            self.figures_with.update({kind for kind, _, _ in failures})
            for kind, frame, text in failures:
                self.failures[kind] += 1
                yield f"{kind}: {script} figure {record['figure']} frame {frame}: {text}"
            if "needed" in record:
                yield f"    fewest changes: {record['needed']}"
            if failures:
                made = failures[0][2].rpartition(" | ")[2]
                self.changes.update({_kind_of(each) for each in made.split("; ")})

    def text(self, took_s: float) -> str:
        """The summary, on several lines."""
        ran = self.scripts - sum(self.skipped.values())
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = used.ru_utime + used.ru_stime
        lines = [
            f"{self.scripts} scripts in {took_s:.0f} s ({cpu_s:.0f} s of CPU): {ran} ran, "
            f"{self.figures} figures, {self.frames} frames, "
            f"{self.incremental} drawn incrementally",
            *_counts("drawn in full", self.in_full),
            *_counts("scripts skipped", self.skipped),
            *_counts("figures left out", self.left_out),
            *_counts("figures whose full draw raises after some change", self.ends),
            *_counts("changes in the first frame that fails", self.changes),
        ]
        for kind in sorted(self.failures):
            lines.append(f"{self.failures[kind]} x {kind}, in {self.figures_with[kind]} figures")
        if not self.failures:
            lines.append("no failure")
        return "\n".join(lines)


def _kind_of(change: str) -> str:
    """A change without its value: which setter of what, or which function."""
    return change.partition("=" if change.startswith(("set (", "rc (")) else " (")[0]


def _counts(title: str, counts: Counter[str]) -> list[str]:
    if not counts:
        return []
    return [f"{title}:", *(f"  {count:5} {name}" for name, count in counts.most_common())]


if __name__ == "__main__":
    sys.exit(main())
