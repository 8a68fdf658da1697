"""One run of the command: the script, what it renders or defines, the report, the exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

from rayanim.cli.options import Options, resuming
from rayanim.cli.printing import (
    FAILED,
    Failure,
    WatchedStdout,
    failure_of,
    preview,
    stdout_kept_clean,
    stopping_on_signals,
    watched_stdout,
    write_json,
    write_text,
)
from rayanim.jobs.driver import EVENTS_VARIABLE, MarkedStream
from rayanim.overrides import Overrides, overriding
from rayanim.patching import Unsaved, patched
from rayanim.planning import PlannedVideo
from rayanim.report import Report
from rayanim.storage.address import Address
from rayanim.storage.video_folder import shown

if TYPE_CHECKING:
    from rayanim.preview.live_report import LiveReport

_logger = logging.getLogger("rayanim")

CORES_TO_START_EARLY = 4
"""Ray takes two cores while it starts; the script, and what it draws, the others."""


Show = Callable[[PlannedVideo, "Printer"], Report]
"""Shows a video instead of rendering it, until nobody looks at it any more."""


def run_script(
    script: Path, options: Options, show: Show | None = None, watch: LiveReport | None = None
) -> int:
    """Run `script` under `options`; with `show` its video is shown, and not rendered.

    `watch` is shown what is rendered.
    """
    with contextlib.ExitStack() as stack:
        if options.as_json:
            stream = stack.enter_context(stdout_kept_clean())
            # The script's own children must not mark what they print.
            mark = os.environ.pop(EVENTS_VARIABLE, "")
            printer: Printer = JsonPrinter(MarkedStream(stream, mark) if mark else stream)
        else:
            stdout = stack.enter_context(watched_stdout())
            printer = Printer(stdout, quiet=options.quiet, verbose=options.verbose)
        if options.videos_folder is not None:
            from rayanim.preview.submitted import ForwardedReport

            watch = ForwardedReport(printer.event)
        stack.enter_context(_logging(options))
        run = _Run(script, options, printer, show, watch)
        try:
            with stopping_on_signals():
                return run.run()
        # Every failure becomes a message and an exit code here.
        except BaseException as error:
            failure = failure_of(
                error, verbose=options.verbose, script=script, options=options.replacing
            )
            printer.failure(failure, error)
            if watch is not None:
                watch.fail(failure.text, is_stopped=isinstance(error, KeyboardInterrupt))
            return failure.exit_code


class Printer:
    """Prints for people: reports on standard output, all else on standard error."""

    def __init__(
        self, stdout: WatchedStdout, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._stdout = stdout
        self._quiet = quiet
        self._verbose = verbose
        self._finished: list[str] = []

    def progress(self) -> Any:
        """What shows the progress; None leaves it to the script."""
        from rayanim.progress import NoProgress

        return NoProgress() if self._quiet else None

    def report(self, report: Report) -> None:
        """A call was carried out; printed at the end, unless the script prints it itself."""
        # Its events were printed when they happened.
        self._stdout.expected.expect(replace(report, events=()).summary())
        if self._verbose and report.rendered:
            self._stdout.expected.expect(report.details())
        self._finished += [shown(each.output) for each in report.files]

    def event(self, name: str, values: dict[str, Any]) -> None:
        """Something for programs alone."""

    def end(self) -> None:
        """The script has ended: print the reports that it has not."""
        for text in self._stdout.expected.take_unprinted():
            if not self._quiet:
                write_text(sys.stdout, text)

    def notice(self, text: str) -> None:
        """Something that went otherwise than asked for."""
        if not self._quiet:
            write_text(sys.stderr, f"rayanim: {text}")

    def failure(self, failure: Failure, error: BaseException) -> None:
        """The run has failed, or was stopped."""
        self.end()
        write_text(sys.stderr, failure.text)
        for note in getattr(error, "__notes__", ()):
            # Python's own traceback has them.
            if str(note) not in failure.traceback_text:
                write_text(sys.stderr, f"rayanim: {note}")
        if isinstance(error, KeyboardInterrupt):
            write_text(sys.stderr, _stopped(self._finished))


class JsonPrinter(Printer):
    """Prints for programs: one JSON object per line on standard output."""

    def __init__(self, stdout: TextIO | MarkedStream) -> None:
        super().__init__(WatchedStdout(stdout))  # type: ignore[arg-type]

    def progress(self) -> Any:
        """JSON lines too."""
        from rayanim.progress import JsonProgress

        return JsonProgress(self._stdout)  # type: ignore[arg-type]

    def report(self, report: Report) -> None:
        """A line of its own, at once."""
        super().report(report)
        self.event("report", {**report.to_dict(), "text": report.summary()})

    def event(self, name: str, values: dict[str, Any]) -> None:
        """A line of its own, at once."""
        write_json(self._stdout, name, values)  # type: ignore[arg-type]

    def end(self) -> None:
        """Nothing: every report was printed at once."""

    def failure(self, failure: Failure, error: BaseException) -> None:
        """A line for programs, and the same text for people."""
        super().failure(failure, error)
        values = failure.to_dict()
        self.event("error", {**values, "text": values["text"] or "stopped"})


class _Run:
    """Runs the script and, where it renders nothing, what it defines."""

    def __init__(
        self,
        script: Path,
        options: Options,
        printer: Printer,
        show: Show | None,
        watch: LiveReport | None,
    ) -> None:
        self._script = script
        self._show = show
        self._watch = watch
        self._options = options
        self._printer = printer
        self._outputs: list[Address] = []
        self._passed_over: list[list[str]] = []
        self._unsaved = Unsaved()
        suffix = ".mp4" if options.still_number is None else ".png"
        self._default_output = Path((options.name or script.stem) + suffix)
        self._overrides = self._make_overrides()

    def run(self) -> int:
        from rayanim.cli.script import as_main, check_script

        check_script(self._script)
        self._options.check()
        if self._options.compare and self._options.dry_run:
            self._printer.notice("--compare has no effect with --dry-run, which draws no video.")
        # This process is ours, and a video needs no window.
        os.environ.setdefault("MPLBACKEND", "agg")
        with as_main(self._script, self._options.script_arguments) as module:
            in_force = overriding(self._overrides), patched(self._unsaved)
            with self._ray_started_early(), in_force[0], in_force[1]:
                exit_code = self._run_in(module)
            if exit_code == 0:
                self._printer.end()
                self._preview()
            return exit_code

    def _ray_started_early(self) -> contextlib.AbstractContextManager[None]:
        """Ray begins to start while the script is imported, where nothing says that it is not used.

        Not on few cores: there it takes them from the script.
        """
        from rayanim.engine.machine import usable_cores

        options, cores = self._options, usable_cores()
        actors = options.settings.most_actors(cores)
        is_whole_video = options.still_number is None and not options.dry_run and not self._show
        stays = options.settings.engine == "local" or actors == 1
        elsewhere = options.settings.cluster_address is not None or options.videos_folder
        is_early = cores >= CORES_TO_START_EARLY and sys.platform == "linux"
        if not is_early or stays or elsewhere or not is_whole_video:
            return contextlib.nullcontext()
        from rayanim.engine.warm import find, started_early

        found, why = find()
        if why is not None:
            self._printer.notice(f"The warm Ray is not used: {why}.")
        return started_early(actors) if found is None else contextlib.nullcontext()

    def _run_in(self, module: ModuleType) -> int:
        from rayanim.cli.script import execute

        if self._options.name is not None:
            self._overrides.wanted = lambda thing: self._is_wanted(thing, module)
        try:
            execute(module)
        except SystemExit as request:
            exit_code = _exit_code(request)
            if exit_code != 0:
                if self._watch is not None:
                    is_number = isinstance(request.code, int)
                    text = f"It has ended with exit code {exit_code}."
                    self._watch.fail(text if is_number else str(request.code))
                return exit_code
        if self._overrides.calls == 0:
            self._render_found(module)
        return 0

    def _render_found(self, module: ModuleType) -> None:
        from rayanim.cli.script import choose, render_found

        found = choose(
            module.__dict__,
            self._options.name,
            script=str(self._script),
            rendered=self._passed_over,
            shown=self._unsaved.by_figure(),
        )
        self._overrides.wanted = None
        # That is how a video ends that was shown.
        ending = contextlib.suppress(SystemExit) if self._show else contextlib.nullcontext()
        with ending:
            render_found(found, self._overrides.target(None) or self._default_output)

    def _is_wanted(self, thing: Any, module: ModuleType) -> bool:
        from rayanim.cli.script import names_of

        names = names_of(thing, module.__dict__)
        if self._options.name in names:
            return True
        self._passed_over.append(names)
        _logger.info("Skipped %s: only %s was requested.", names[0], self._options.name)
        return False

    def _make_overrides(self) -> Overrides:
        options, show = self._options, self._show
        arguments = options.arguments
        progress = self._printer.progress()
        if progress is not None:
            arguments["progress"] = progress
        return Overrides(
            outputs=options.outputs,
            default_output=self._default_output,
            folder=Path.cwd(),
            arguments=arguments,
            quality_fps=options.quality_fps,
            still_number=options.still_number,
            dry_run=options.dry_run,
            show=None if show is None else lambda plan: show(plan, self._printer),
            watch=self._watch,
            on_report=self._report,
            on_comparison=self._compared if options.compare else None,
            videos=options.videos_folder,
            whole_tracebacks=options.verbose,
            how_to_resume=f"run:\n  {options.resume_command or resuming(sys.argv)}",
        )

    def _report(self, report: Report) -> None:
        files = [each.output for each in report.files]
        self._outputs += files
        self._printer.report(report)
        if self._watch is not None:
            self._watch.finish(report)
        videos = self._options.videos_folder
        for each in files:
            if videos is not None and isinstance(each, Path):
                self._offer(each, videos)

    def _compared(self, text: str) -> None:
        self._printer.event("comparison", {"text": text})
        self._printer.notice(text)

    def _offer(self, video: Path, videos: Path) -> None:
        """Print, for whoever submitted this job, how the video can be fetched."""
        from rayanim.jobs.fetch import offer

        offered = offer(video.absolute(), videos)
        if offered is not None:
            self._printer.event("video", offered.to_dict())

    def _preview(self) -> None:
        for path in self._outputs if self._options.preview else ():
            why_not = preview(path)
            if why_not:
                self._printer.notice(why_not)


def _exit_code(request: SystemExit) -> int:
    """What Python makes of ``sys.exit(code)``."""
    if request.code is None or isinstance(request.code, int):
        return request.code or 0
    write_text(sys.stderr, str(request.code))
    return FAILED


def _stopped(finished: list[str]) -> str:
    if finished:
        return (
            f"rayanim: stopped. Finished before: {', '.join(finished)}. Nothing else was written."
        )
    return "rayanim: stopped. No video was written; an existing video was not changed."


@contextlib.contextmanager
def _logging(options: Options) -> Iterator[None]:
    """Show rayanim's log on standard error, unless the script configures logging itself."""
    level = logging.INFO if options.verbose else logging.WARNING
    handler = _LogHandler()
    before = _logger.level
    handler.setLevel(logging.ERROR if options.quiet else level)
    handler.setFormatter(logging.Formatter("rayanim: %(message)s"))
    _logger.addHandler(handler)
    if options.verbose:
        _logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(before)


class _LogHandler(logging.StreamHandler[TextIO]):
    """Standard error, silent where the root logger has handlers of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, once."""
        if not logging.getLogger().handlers:
            super().emit(record)
