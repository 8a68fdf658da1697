"""Every kind of progress shows what it gets, where it belongs, and disturbs nobody."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.errors import SettingsError
from rayanim.progress import (
    BarProgress,
    BothProgress,
    CallbackProgress,
    JsonProgress,
    LineProgress,
    NoProgress,
    NotebookProgress,
    Progress,
    ProgressState,
    base,
    choose_progress,
)
from rayanim.progress.base import QuietStream
from rayanim.progress.reporters import in_notebook, shorten, status_text

ROOT = Path(__file__).parents[1]
STATE = ProgressState(126, 300, 48.06, 3.6, 2, 4, 12)
END = ProgressState(300, 300, 50.0, 0.0, 4, 4, 0)


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A stream whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Records(logging.Handler):
    """Keeps the records of a logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelname, record.getMessage()))


@pytest.fixture
def logger() -> logging.Logger:
    """A logger of its own, with a `Records` handler, that passes nothing on."""
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(Records())
    return logger


def records(logger: logging.Logger) -> list[tuple[str, str]]:
    handler = logger.handlers[0]
    assert isinstance(handler, Records)
    return handler.lines


# Words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (3723, "1:02:03"), (-1, "0:00")],
)
def test_durations(seconds: float, text: str) -> None:
    """Minutes and seconds, with hours where there are any; never 0:60."""
    assert base.duration(seconds) == text


def test_an_endless_duration_is_no_error() -> None:
    """Infinity, from a rate of nearly nothing, is shown as a very long time."""
    assert base.duration(float("inf")).startswith("277777:")


@given(st.floats(min_value=0, max_value=1e6))
def test_rates_have_no_exponent(number: float) -> None:
    """A rate reads as a number of a few digits and is right to 5 percent."""
    text = base.three_digits(number)
    assert "e" not in text
    if number >= 1e-4:
        assert float(text) == pytest.approx(number, rel=0.06)


def test_only_a_complete_job_is_at_100_percent() -> None:
    """299 999 of 300 000 frames are 99 %; of none there is no share."""
    assert base.percent(ProgressState(299_999, 300_000)) == "99%"
    assert base.percent(ProgressState(300_000, 300_000)) == "100%"
    assert base.percent(ProgressState(7, None)) is None
    assert base.percent(ProgressState(0, 0)) is None


def test_the_sentence_leaves_out_what_is_not_known() -> None:
    """No rate, time, share or actors are made up."""
    assert base.sentence(ProgressState(7), "a.mp4") == "a.mp4: 7 frames"
    assert base.sentence(STATE, "a.mp4") == (
        "a.mp4: 126/300 frames (42%), 48.1 frames/s, 0:04 left, 2/4 actors, 12 frames queued"
    )
    assert "left" not in base.sentence(END, "a.mp4")


# Lines


def test_lines_come_every_so_many_seconds() -> None:
    """However often there is an update, a line is written once per interval, and one at the end."""
    clock, stream = Clock(), io.StringIO()
    lines = LineProgress(None, 15, stream=stream, clock=clock)
    lines.start(300, "a.mp4")
    for _ in range(300):
        clock.now_s += 0.125
        lines.update(STATE)
    lines.finish(END)
    lines_written = stream.getvalue().splitlines()
    assert len(lines_written) == 3
    assert lines_written[-1].startswith("a.mp4: 300/300 frames (100%)")


def test_lines_go_to_the_logger(logger: logging.Logger) -> None:
    """With a logger nothing is written to the stream; per cent signs are no formats."""
    stream = io.StringIO()
    lines = LineProgress(logger, 0, stream=stream, clock=Clock())
    lines.start(300, "100%s.mp4")
    lines.update(STATE)
    lines.message("50 % of nothing")
    assert stream.getvalue() == ""
    assert records(logger)[0] == ("INFO", base.sentence(STATE, "100%s.mp4"))
    assert records(logger)[1] == ("WARNING", "50 % of nothing")


def test_a_resumed_job_says_where_it_goes_on() -> None:
    """The first line of a resumed job comes at once and names what is there."""
    stream = io.StringIO()
    LineProgress(None, 15, stream=stream).start(300, "a.mp4", done=120)
    assert stream.getvalue() == "a.mp4: 120/300 frames (40%) are there already\n"


@pytest.mark.parametrize("every_s", [-1, float("nan"), "15", None, True])
def test_impossible_intervals_are_refused(every_s: Any) -> None:
    """What is no number of seconds is named in the error."""
    with pytest.raises(SettingsError, match=re.escape(repr(every_s))):
        LineProgress(None, every_s)


def test_a_reader_that_leaves_does_not_end_the_job() -> None:
    """A broken pipe, a closed stream and a missing character are no errors."""
    closed = io.StringIO()
    closed.close()
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    for stream in (Gone(), closed, narrow):
        for progress in (LineProgress(None, 0, stream=stream), JsonProgress(stream, every_s=0)):
            progress.start(300, "wellenlänge.mp4")
            progress.update(STATE)
            progress.finish(END)
    assert rb"wellenl\xe4nge" in narrow.buffer.getvalue()


# Callbacks


def test_a_callback_gets_each_change_once() -> None:
    """`(done, total)`, growing, without repetition, the last one with all frames."""
    calls: list[tuple[int, int | None]] = []
    progress = CallbackProgress(lambda done, total: calls.append((done, total)))
    progress.start(300, "a.mp4")
    for done in (0, 10, 10, 20):
        progress.update(ProgressState(done, 300))
    progress.finish(END)
    assert calls == [(10, 300), (20, 300), (300, 300)]


def test_a_callback_of_an_unknown_length() -> None:
    """The total is None until the iterable has ended."""
    calls: list[tuple[int, int | None]] = []
    progress = CallbackProgress(lambda done, total: calls.append((done, total)))
    progress.start(None, "a.mp4", done=5)
    progress.update(ProgressState(8))
    progress.finish(ProgressState(9))
    assert calls == [(5, None), (8, None), (9, 9)]


def test_an_exception_of_the_callback_goes_through() -> None:
    """The callback can stop the job."""

    def stop(done: int, total: int | None) -> None:
        raise InterruptedError(done)

    progress = CallbackProgress(stop)
    progress.start(300, "a.mp4")
    with pytest.raises(InterruptedError):
        progress.update(STATE)


# JSON


def test_json_lines_have_the_same_keys() -> None:
    """Every line is one JSON object; start, progress, message, finish and fail look alike."""
    stream = io.StringIO()
    progress = JsonProgress(stream, every_s=0, clock=Clock())
    progress.start(300, 'a "video"\n.mp4')
    progress.update(ProgressState(1, 300, float("inf"), float("nan")))
    progress.message("two\nlines")
    progress.finish(END)
    progress.fail()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["start", "progress", "message", "finish", "fail"]
    assert len({tuple(line) for line in lines}) == 1
    assert lines[1]["fps"] is None
    assert lines[2]["text"] == "two\nlines"
    assert lines[3]["done"] == 300
    assert all(line["label"] == 'a "video"\n.mp4' for line in lines)


def test_json_lines_are_throttled_and_the_last_state_is_not_lost() -> None:
    """1000 updates in 10 s are 50 lines, and the finish has the last state."""
    clock, stream = Clock(), io.StringIO()
    progress = JsonProgress(stream, clock=clock)
    progress.start(1000, "a")
    for done in range(1000):
        progress.update(ProgressState(done, 1000))
        clock.now_s += 0.01
    progress.finish(ProgressState(1000, 1000))
    lines = stream.getvalue().splitlines()
    assert 48 <= len(lines) <= 53
    assert json.loads(lines[-1])["done"] == 1000


# Notebooks


class Cell:
    """Stands in for a notebook's output: what is shown, and each replacement."""

    def __init__(self) -> None:
        self.pictures: list[Any] = []

    def show(self, picture: object) -> Cell:
        self.pictures.append(picture)
        return self

    def update(self, obj: object) -> None:
        self.pictures.append(obj)

    def html(self) -> str:
        text: str = self.pictures[-1]._repr_html_()
        return text


def test_the_notebook_bar_replaces_itself_five_times_a_second() -> None:
    """Of 100 updates in 2 s about ten are shown, and always the last state."""
    clock, cell = Clock(), Cell()
    bar = NotebookProgress(cell.show, clock=clock)
    bar.start(300, "a.mp4")
    for done in range(100):
        clock.now_s += 0.02
        bar.update(ProgressState(done, 300))
    assert 9 <= len(cell.pictures) <= 12
    bar.finish(END)
    assert '<progress value="300" max="300"' in cell.html()
    assert "finished" in repr(cell.pictures[-1])


def test_the_notebook_bar_without_a_total() -> None:
    """The bar has no value while the job runs, and stands still no longer than that."""
    cell = Cell()
    bar = NotebookProgress(cell.show, clock=Clock())
    bar.start(None, "a.mp4")
    assert "<progress style" in cell.html()
    bar.fail()
    assert "<progress" not in cell.html()
    assert "stopped" in cell.html()


def test_the_notebook_bar_escapes_and_bounds_its_messages() -> None:
    """Labels and messages are text, and only the newest are kept."""
    cell = Cell()
    bar = NotebookProgress(cell.show, clock=Clock())
    bar.start(3, "<b>.mp4")
    for number in range(100):
        bar.message(f"<i>{number}")
    assert "<b>" not in cell.html()
    assert "<i>" not in cell.html()
    assert "&lt;i&gt;99" in cell.html()
    assert "&lt;i&gt;79<" not in cell.html()


def test_a_kernel_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell with a kernel is a notebook; IPython's terminal shell and plain Python are not."""
    ipython: Any = ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not in_notebook()
    ipython.get_ipython = lambda: None
    assert not in_notebook()
    ipython.get_ipython = lambda: SimpleNamespace()
    assert not in_notebook()
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    assert in_notebook()
    assert isinstance(choose_progress(), NotebookProgress)


# The choice


def test_the_place_decides(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar on a terminal, lines elsewhere, and lines for the logger in addition."""
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(choose_progress(stream=Terminal()), BarProgress)
    assert isinstance(choose_progress(stream=io.StringIO()), LineProgress)
    assert isinstance(choose_progress(stream=io.StringIO(), notebook=True), NotebookProgress)
    both = choose_progress(stream=Terminal(), logger=logger)
    assert isinstance(both, BothProgress)
    assert [type(other) for other in both.others] == [BarProgress, LineProgress]


def test_no_bar_where_the_cursor_cannot_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dumb terminal shows lines; NO_COLOR is about colours alone."""
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_progress(stream=Terminal()), LineProgress)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert isinstance(choose_progress(stream=Terminal()), BarProgress)


def test_the_wish_decides() -> None:
    """False is silent, a function is called, a Progress is taken as it is."""
    own = JsonProgress(io.StringIO())
    assert type(choose_progress(False, stream=Terminal())) is NoProgress
    assert isinstance(choose_progress(lambda done, total: None), CallbackProgress)
    assert choose_progress(own) is own


@pytest.mark.parametrize("wish", ["bar", 1, BarProgress, object()])
def test_other_wishes_are_refused(wish: object) -> None:
    """A class in place of an object, or anything else, is named in the error."""
    with pytest.raises(SettingsError, match="progress must be"):
        choose_progress(wish)


def test_true_is_never_silent(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where None would say nothing, True finds a stream."""
    logger.setLevel(logging.ERROR)
    stream = io.StringIO()
    choose_progress(True, logger=logger, stream=stream).finish(END)
    assert "300/300" in stream.getvalue()
    monkeypatch.setattr(sys, "stderr", None)
    choose_progress(None).finish(END)
    choose_progress(True).finish(END)
    assert capsys.readouterr().out.count("300/300") == 1


def test_all_kinds_keep_the_protocol() -> None:
    """Each implementation is a Progress, an arbitrary function is not."""
    stream = io.StringIO()
    kinds = (
        NoProgress(),
        LineProgress(),
        CallbackProgress(print),
        JsonProgress(),
        NotebookProgress(Cell().show),
        BarProgress(stream),
        BothProgress(),
    )
    assert all(isinstance(kind, Progress) for kind in kinds)
    assert not isinstance(print, Progress)


def test_a_bar_leaves_streams_that_others_have_set_meanwhile(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the process, and those of log handlers; its own it takes back."""
    before, theirs = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", before)
    monkeypatch.setattr(sys, "stderr", before)
    moved, kept = logging.StreamHandler(before), logging.StreamHandler(before)
    monkeypatch.setattr(logger, "handlers", [moved, kept])
    bar = BarProgress(before, logger=logger)
    bar.start(300, "wave.mp4")
    assert before not in (sys.stdout, sys.stderr, moved.stream, kept.stream)
    sys.stdout = theirs
    moved.setStream(theirs)
    bar.finish(END)
    assert (sys.stdout, moved.stream) == (theirs, theirs)
    assert (sys.stderr, kept.stream) == (before, before)


def test_choosing_loads_no_rich() -> None:
    """Until a bar is shown, neither rich nor IPython is imported."""
    code = (
        "import sys, rayanim.progress as p; p.choose_progress(); p.BarProgress();"
        "print([m for m in ('rich', 'IPython', 'ray', 'av', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout == "[]\n"


# The bar's line


@given(
    st.builds(
        ProgressState,
        done=st.integers(0, 10**7),
        total=st.none() | st.integers(0, 10**7),
        fps=st.none() | st.floats(0, 1e5),
        eta_s=st.none() | st.floats(0, 1e6),
        actors_alive=st.integers(0, 2000),
        actors_target=st.integers(0, 2000),
        queued_frames=st.integers(0, 10**5),
    ),
    st.integers(24, 200),
)
def test_the_status_fits_any_terminal(state: ProgressState, width: int) -> None:
    """No state is wider than its room, and the count is always there."""
    text = status_text(state, "0:03 left", width)
    assert len(text) <= width
    assert base.count(state) in text


def test_little_room_still_tells_how_long() -> None:
    """On a narrow terminal the count and the time left remain, on an ordinary one everything."""
    assert status_text(STATE, "0:04 left", 22) == "126/300  0:04 left"
    assert (
        status_text(STATE, "0:04 left", 60)
        == " 42%  126/300  48.1 fps  0:04 left  2/4 actors  12 queued"
    )


def test_the_bar_keeps_its_length() -> None:
    """Digits that come and go do not make the bar jump."""
    states = [ProgressState(d, 300, 48.1, 9 - d / 40, 4, 4, d % 30) for d in range(1, 300)]
    assert len({len(status_text(state, "0:09 left", 60)) for state in states}) == 1


@given(st.text(max_size=50), st.integers(8, 30))
def test_labels_are_shortened_in_the_middle(text: str, width: int) -> None:
    """A label has no control characters and at most the given length."""
    short = shorten(text, width)
    assert len(short) <= width
    assert short.isprintable()


def test_a_label_keeps_its_suffix() -> None:
    """The end of a long file name, its suffix, stays readable."""
    assert shorten("a_rather_long_name.mp4", 16) == "a_rathe...me.mp4"


# Sharing the terminal


def test_a_stream_without_encoding_is_written_to() -> None:
    """A stream of one's own needs no more than write and flush."""

    class Plain:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    plain: Any = Plain()
    QuietStream(plain).write("ä")
    assert plain.text == "ä"


SCRIPT = """
import logging, sys
from rayanim.progress import BarProgress, ProgressState, choose_progress
logging.basicConfig()
streams = sys.stdout, sys.stderr
bar = choose_progress()
print(type(bar).__name__)
bar.start(TOTAL, "wave.mp4", done=30)
bar.update(ProgressState(60, TOTAL, 48.1, 5.0, 2, 4, 12))
print("[red]printed[/x]")
print("to stderr", file=sys.stderr)
logging.warning("logged")
bar.message("a message")
print("a [tail]", end="")
ENDING
assert (sys.stdout, sys.stderr) == streams
assert logging.getLogger().handlers[0].stream is sys.stderr
print("|after")
"""


class Screen:
    """A terminal that knows what a one-line bar needs: lines, carriage return, erasing."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = [""]
        self.cursor_shown = True

    def feed(self, text: str) -> None:
        for token in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|[\r\n]|[^\r\n\x1b]+", text):
            if token == "\n":
                self.rows.append("")
            elif token == "\x1b[2K":
                self.rows[-1] = ""
            elif token in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor_shown = token.endswith("h")
            elif token[0] not in "\r\x1b":
                self.rows[-1] += token
                assert len(self.rows[-1]) <= self.width, self.rows[-1]


def on_terminal(
    ending: str, *, width: int = 80, longest: int = 0, total: str = "300", **env: str
) -> Screen:
    """What a terminal of `width` columns shows after `SCRIPT`; rows may be `longest` wide."""
    code = SCRIPT.replace("TOTAL", total).replace("ENDING", ending)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=clean | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | env,
    )
    os.close(theirs)
    chunks = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:  # Linux's way to say that the other end is closed
        pass
    process.wait(timeout=30)
    os.close(ours)
    screen = Screen(longest or width)
    screen.feed(b"".join(chunks).decode())
    return screen


FINISH = "bar.finish(ProgressState(300, 300, 50.0, 0.0, 4, 4, 0))"


@pytest.mark.parametrize("width", [80, 40])
def test_the_bar_on_a_real_terminal(width: int) -> None:
    """Prints, log lines and messages stand above one bar, whole and in order."""
    screen = on_terminal(FINISH, width=width)
    assert screen.rows[:6] == [
        "BarProgress",
        "[red]printed[/x]",
        "to stderr",
        "WARNING:root:logged",
        "a message",
        "a [tail]",
    ]
    assert "300/300" in screen.rows[6]
    assert "━" in screen.rows[6]
    assert screen.rows[7:] == ["|after", ""]
    assert screen.cursor_shown


def test_a_long_line_above_the_bar_is_not_wrapped() -> None:
    """It can be copied, and searched for, as it was printed."""
    screen = on_terminal(f"print('word ' * 40)\n{FINISH}", longest=300)
    assert "a [tail]" + "word " * 40 in screen.rows


def test_a_failed_bar_stays_where_it_stopped() -> None:
    """The bar of a failed job is left at its last state, and says that it stopped."""
    bar = on_terminal("bar.fail(); bar.fail()").rows[6]
    assert "60/300" in bar
    assert "stopped after" in bar


def test_a_bar_that_nobody_ends() -> None:
    """A job that dies of an exception leaves the traceback, one bar and a cursor."""
    screen = on_terminal("raise RuntimeError('boom')")
    assert any(row == "RuntimeError: boom" for row in screen.rows)
    assert sum("60/300" in row for row in screen.rows) == 1
    assert screen.cursor_shown


def test_a_bar_without_a_total() -> None:
    """An iterable of unknown length shows a count, no share and no bar."""
    bar = on_terminal("bar.fail()", total="None").rows[6]
    assert "60 frames" in bar
    assert "%" not in bar
    assert "━" not in bar


def test_a_dumb_terminal_gets_lines() -> None:
    """Nothing that moves a cursor reaches a terminal that has none."""
    screen = on_terminal(FINISH, TERM="dumb")
    assert screen.rows[0] == "LineProgress"
    assert any("300/300 frames (100%)" in row for row in screen.rows)


def test_an_ascii_terminal_gets_an_ascii_bar() -> None:
    """Where the terminal has no line characters the bar is made of hyphens."""
    screen = on_terminal(FINISH, PYTHONIOENCODING="ascii")
    assert "----" in screen.rows[6]
