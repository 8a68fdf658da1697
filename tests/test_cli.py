"""The command: what it prints where, what it exits with, and what it leaves behind."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import click
import numpy as np
import psutil
import pytest
from numbered import Numbered, read_numbers
from PIL import Image

import rayanim
from rayanim.cli import main
from rayanim.cli.printing import Stopped, failure_of, in_options, stopping_on_signals
from rayanim.engine import cached, plain
from rayanim.errors import ClusterError, FrameError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import check_target

MODULES = os.pathsep.join([os.path.dirname(__file__), str(Path(rayanim.__file__).parents[1])])
"""Where a script in a process of its own finds the helpers of the tests, and this rayanim."""

COMMAND = [sys.executable, "-c", "from rayanim.cli import main; main()"]

CALLS = """
from numbered import Numbered
import rayanim
if __name__ == "__main__":
    print("hello")
    rayanim.produce(Numbered(12), 30, outfile="video.mp4", engine="local")
"""

DEFINES = """
from numbered import Numbered
class Video(Numbered):
    def __init__(self):
        super().__init__(12)
"""

TWO = """
from numbered import Numbered
import rayanim
class A(Numbered):
    pass
class B(Numbered):
    pass
def go():
    b = B(5)
    for thing, name in ((A(4), "a.mp4"), (b, "b.mp4")):
        rayanim.produce(thing, 30, outfile=name, engine="local")
go()
"""

FAILS = """
from numbered import Numbered
class Video(Numbered):
    def __init__(self):
        super().__init__(12, fail=7)
    def generate_at(self, time_ms):
        return super().generate_at(time_ms)
"""

SLOW = """
from pathlib import Path
from numbered import Numbered
class Video(Numbered):
    def __init__(self):
        super().__init__(5000, delay_s=0.01)
    def generate_at(self, time_ms):
        if time_ms > 300:
            Path("drawing").touch()
        return super().generate_at(time_ms)
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Writes a script into an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "script.py") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


def call(*args: str) -> int:
    """The exit code of the command, run in this process."""
    return main.main(list(args), standalone_mode=False)


def start(*args: str) -> subprocess.Popen[str]:
    """The command in a process, and a group, of its own."""
    environment = {**os.environ, "PYTHONPATH": MODULES, "PYTHONUNBUFFERED": ""}
    return subprocess.Popen(
        [*COMMAND, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def run(*args: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command in a process of its own."""
    process = start(*args)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def test_help_loads_nothing_heavy():
    """--help and --version answer without Ray, matplotlib, FFmpeg or NumPy."""
    code = (
        "import sys\nfrom rayanim.cli import main\n"
        "helps = [[command, '--help'] for command in ('run', 'still', 'preview')]\n"
        "for args in (['--help'], ['--version'], *helps):\n"
        "    assert main.main(args, standalone_mode=False) == 0\n"
        "print({'ray', 'matplotlib', 'av', 'numpy', 'PIL', 'rich'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.rstrip().endswith("set()")
    assert "--frames" in done.stdout and "Exit codes" in done.stdout


def test_formats_are_listed(capsys):
    """Each of them can be asked for, with the codec that is named."""
    assert main.main(["--formats"], standalone_mode=False) == 0
    first, *rows, last = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["suffix", "--codec"]
    assert "H.264 being 1" in last
    found = {(suffix, codec): rest for suffix, codec, *rest in map(str.split, rows)}
    assert found[".gif", "gif"] == ["gif", "yes", "yes", "no", "no", "10"]
    assert found[".mp4", "h264"] == ["libx264", "no", "no", "aac", "yes", "1"]
    assert found[".webm", "vp9"][3] == "opus"
    assert {suffix for suffix, _ in found} >= {".webp", ".apng", ".avif", ".mov", ".mkv", "%d.png"}
    for suffix, codec in found:
        check_target(suffix, VideoSettings(codec=codec))


def test_no_arguments_show_the_help(capsys):
    """`rayanim` alone explains itself."""
    assert call() == 0
    assert "Commands:" in capsys.readouterr().out


def test_the_scripts_own_call_renders(script, capsys):
    """Progress goes to standard error, the script's words and the report to standard output."""
    assert call("run", script(CALLS)) == 0
    out, err = capsys.readouterr()
    assert out.startswith("hello\nvideo.mp4: 12 frames of 64x48 at 30 fps")
    assert "12/12 frames" in err
    assert read_numbers("video.mp4") == list(range(12))


def test_a_report_that_the_script_prints_is_not_printed_again(script, capsys):
    """Scripts that print their report say it once, however much they print after it."""
    text = CALLS.replace("rayanim.produce(", "print(rayanim.produce(").rstrip() + ")\n"
    text += "    print('more ' * 5000)\n"
    assert call("run", script(text), "--frames", "0-2") == 0
    assert capsys.readouterr().out.count("video.mp4: 3 frames") == 1


def test_options_take_precedence(script):
    """Output, rate and frames are the command's."""
    options = ["-o", "x/new.mkv", "--fps", "30000/1001", "--frames", "3,5-10x5", "-j", "50%"]
    assert call("run", script(CALLS), *options, "--crf", "20", "--preset", "fast") == 0
    assert read_numbers("x/new.mkv") == [3, 5, 10]
    with av.open("x/new.mkv") as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
    assert not Path("video.mp4").exists()


def test_a_definition_is_found_and_rendered_here(script):
    """Without a call the video goes into the current folder, by the script's name."""
    assert call("run", script(DEFINES), "--quiet", "--engine", "local") == 0
    assert read_numbers("script.mp4") == list(range(12))


def test_a_name_chooses_a_definition(script):
    """The video is called as the definition is."""
    text = DEFINES + "class Other(Video):\n    pass\n"
    assert call("run", script(text), "Other", "--quiet", "--engine", "local") == 0
    assert read_numbers("Other.mp4") == list(range(12))


def test_a_name_chooses_among_the_scripts_calls(script, caplog):
    """Calls for other videos are passed over, so -o can name the one."""
    assert call("run", script(TWO), "B", "-o", "only.mp4", "-v") == 0
    assert "Skipped A: only B was requested." in caplog.text
    assert read_numbers("only.mp4") == list(range(5))
    assert sorted(path.name for path in Path.cwd().glob("*.mp4")) == ["only.mp4"]


def test_several_definitions_are_listed(script, capsys):
    """An ambiguous script and an unknown name are usage errors, with what there is."""
    text = DEFINES + "class Other(Video):\n    pass\n"
    for extra in ([], ["Nobody"]):
        assert call("run", script(text), *extra) == 2
        err = capsys.readouterr().err
        assert err.startswith("rayanim: error: script.py ")
        assert "\n  Video  FrameGenerator class" in err and "\n  Other  " in err


def test_words_after_two_dashes_are_the_scripts(script, capsys):
    """They reach sys.argv unread, whatever they look like."""
    text = "import sys\nprint(sys.argv)\n" + DEFINES
    assert call("run", script(text), "Video", "--dry-run", "--", "-o", "x", "--", "y") == 0
    assert "['script.py', '-o', 'x', '--', 'y']" in capsys.readouterr().out


def test_a_dry_run_prints_the_plan_and_writes_nothing(script, capsys):
    """Video, size, rate, codec, frames and bounds are told; no file and no folder appears."""
    options = ["--dry-run", "-o", "deep/x.mp4", "-j", "3", "--engine", "auto"]
    assert call("run", script(CALLS), *options) == 0
    out = capsys.readouterr().out
    assert "deep/x.mp4: 12 frames of 64x48 at 30 fps (0.40 s), libx264 yuv420p, not written" in out
    assert "At most 3 render actors" in out
    assert [path.name for path in Path.cwd().iterdir()] == ["script.py"]


def test_json_is_all_there_is_on_standard_output(script):
    """Whatever the script or a program it starts prints, standard output is JSON lines."""
    text = "import os\nos.system('echo from a child')\n" + CALLS
    text += "    import sys\n    sys.__stdout__.write('past sys.stdout')\n"
    code, out, err = run("run", script(text), "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [events[0]["event"], events[-2]["event"], events[-1]["event"]] == [
        "start",
        "finish",
        "report",
    ]
    assert events[-2]["done"] == events[-1]["frames"] == 12
    assert "hello" in err and "from a child" in err and "past sys.stdout" in err


def test_json_tells_failures_too(script, capsys):
    """The last line is the error, with its frame and exit code."""
    assert call("run", script(FAILS), "--json", "--engine", "local") == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["error"], last["frame"]) == ("error", "FrameError", 7)
    assert last["exit_code"] == 1 and "no frame 7 today" in last["traceback"]


def test_quiet_prints_errors_only(script, capsys):
    """Nothing is said of a video that came out right."""
    assert call("run", script(DEFINES), "--quiet", "--engine", "local") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "options",
    [
        ["--fps", "0"],
        ["--fps", "nan"],
        ["-j", "0"],
        ["-j", "many"],
        ["--frames", "9-3"],
        ["-q", "x"],
        ["--crf", "high"],
        ["--crf", "99"],
        ["--bitrate", "-5"],
        ["--seed", "1.5"],
        ["--crf", "20", "--bitrate", "500"],
        ["-v", "--quiet", "-o", "video.mp4"],
        ["-o", "video.xyz"],
        ["-o", "video.mp4", "--codec", "cinepak"],
        ["-o", "."],
        ["-o", "script.py", "--no-overwrite"],
        ["--no-such-option"],
    ],
)
def test_bad_options_are_refused_before_the_script_runs(script, capsys, options):
    """Exit code 2, one message, and the script was not touched."""
    assert _code("run", script("open('ran', 'w')\n"), *options) == 2
    err = capsys.readouterr().err
    assert err.startswith("rayanim: error: ") and "Traceback" not in err
    assert not Path("ran").exists()


def _code(*args: str) -> int:
    """The exit code with which the process would end."""
    with pytest.raises(SystemExit) as caught:
        main.main(list(args))
    return int(caught.value.code or 0)


@pytest.mark.parametrize("name", ["missing.py", ".", "notebook.ipynb"])
def test_what_is_no_script_is_a_usage_error(script, capsys, name):
    """A missing file, a folder and a notebook are told apart from a script."""
    script("{}", "notebook.ipynb")
    assert call("run", name) == 2
    assert capsys.readouterr().err.startswith("rayanim: error: ")


def test_a_failed_frame_shows_the_users_own_code(script, capsys):
    """First the user's traceback, without rayanim's frames, then the frame's number."""
    assert call("run", script(FAILS), "--engine", "local") == 1
    err = capsys.readouterr().err
    assert 'script.py", line 7, in generate_at' in err
    assert "RuntimeError: no frame 7 today\nrayanim: error: Drawing frame 7 of Video" in err
    assert "draw_frame" not in err
    assert not list(Path.cwd().glob("*.mp4"))


def test_what_cannot_travel_is_named(script, capsys):
    """One message names the attribute; the pickler's own frames are left out."""
    text = DEFINES + "        self.lock = __import__('threading').Lock()\n"
    assert call("run", script(text), "--engine", "ray", "-j", "2") == 1
    err = capsys.readouterr().err
    assert "self.lock" in err and "Traceback" not in err


def test_a_class_that_cannot_be_made_shows_the_users_code(script, capsys):
    """What a found class raises is shown from the script's own lines on."""
    text = DEFINES + "        raise OSError('no data')\n"
    assert call("run", script(text)) == 1
    err = capsys.readouterr().err
    assert "script.py" in err.splitlines()[1] and err.endswith("OSError: no data\n")


def test_verbose_shows_everything(script, capsys):
    """Under -v rayanim's own frames are there too."""
    assert call("run", script(FAILS), "--engine", "local", "-v") == 1
    assert "in draw_frame" in capsys.readouterr().err


def test_a_bad_setting_in_the_script_names_its_line(script, capsys):
    """The script's own call is shown, and it is a usage error."""
    assert call("run", script(CALLS.replace("30, outfile", "0, outfile"))) == 2
    err = capsys.readouterr().err
    assert 'script.py", line 6' in err and "rayanim: error: fps must be above 0, got 0." in err


def test_an_option_does_not_hide_the_line_of_another_setting(script, capsys):
    """What the message speaks of is the script's own."""
    assert call("run", script(CALLS.replace("30, outfile", "'x', outfile")), "--crf", "20") == 2
    err = capsys.readouterr().err
    assert 'script.py", line 6' in err and "rayanim: error: fps must be" in err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "'.' is a folder. Name a file in it, such as video.mp4."),
        ("", "The output's name is empty. Name a file, such as wave.mp4."),
    ],
)
def test_an_output_without_a_name_is_refused(script, capsys, output, message):
    """A folder's name gets no suffix, and nothing is written."""
    assert _code("run", script(CALLS), "-o", output) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in Path.cwd().iterdir()] == ["script.py"]


@pytest.mark.parametrize("output", ["images/", "talk/index.m3u8"])
def test_a_folder_is_not_fetched_from_a_cluster(script, capsys, output):
    """It is said before anything is sent."""
    assert _code("submit", script(CALLS), "--fetch", "-o", output) == 2
    assert "--fetch brings one file, and" in capsys.readouterr().err


def test_a_folder_gets_an_image_for_each_frame(script, capsys):
    """And is named as it was asked for."""
    assert _code("run", script(CALLS), "-o", "images/") == 0
    assert len(list(Path("images").iterdir())) == 12
    shown = capsys.readouterr()
    assert "images/: 12 frames" in shown.out and "images/: 12/12 frames" in shown.err
    assert _code("run", script(CALLS), "-o", "talk/index.m3u8") == 0
    shown = capsys.readouterr()
    assert "talk/index.m3u8: 12 frames" in shown.out
    assert "talk/index.m3u8: 12/12 frames" in shown.err
    assert _code("run", script(CALLS), "-o", "images/a_%d.jpg", "--no-overwrite") == 0
    assert _code("run", script(CALLS), "-o", "images/a_%d.jpg", "--no-overwrite") == 2
    assert "has files of such names" in capsys.readouterr().err


def test_a_finished_video_cannot_be_resumed(script, capsys):
    """It is left alone, and the error says what to do."""
    path = script(CALLS)
    assert call("run", path) == 0
    before = Path("video.mp4").stat()
    capsys.readouterr()
    assert call("run", path, "--resume") == 2
    err = capsys.readouterr().err
    assert "There is nothing to resume" in err and "Leave out --resume" in err
    assert Path("video.mp4").stat() == before


@pytest.mark.parametrize("output", ["video.mp4", "images/"])
def test_what_may_not_be_replaced_is_said_in_the_words_of_who_said_so(script, capsys, output):
    """The option's name, or the argument's."""
    path = script(CALLS)
    assert call("run", path, "-o", output) == 0
    assert call("run", path, "-o", output, "--no-overwrite") == 2
    err = capsys.readouterr().err
    assert "and --no-overwrite keeps" in err and "overwrite=False" not in err
    path = script(CALLS.replace("engine=", "overwrite=False, engine="))
    assert call("run", path, "-o", output) == 2
    assert "and overwrite=False keeps" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--preset", "foo"], ["--frames", "0-99"], ["--codec", "foo"], ["--crf", "60"]],
)
def test_a_bad_option_does_not_blame_the_script(script, capsys, options):
    """What only the script's video can refuse is told without a line of the script."""
    assert call("run", script(CALLS), "--quiet", *options) == 2
    err = capsys.readouterr().err
    assert err.startswith("rayanim: error: ")
    assert "--crf" not in options or "--crf of libx264 must be" in err


def test_a_log_that_cannot_be_written_does_not_blame_the_script(script, capsys):
    """The file is the command's."""
    assert call("run", script(CALLS), "--quiet", "--log-json", "script.py/log") == 2
    assert capsys.readouterr().err.startswith("rayanim: error: ")


@pytest.mark.parametrize(
    ("options", "is_shown"), [(["address"], False), (["cluster"], False), ([], True)]
)
def test_an_address_of_the_command_s_does_not_blame_the_script(tmp_path, options, is_shown):
    """The script's line is shown only where the address may be its own."""
    path = tmp_path / "script.py"
    path.write_text("raise ClusterError('no cluster')\n")
    try:
        exec(compile(path.read_text(), path, "exec"), {"ClusterError": ClusterError})
    except ClusterError as error:
        failure = failure_of(error, script=path, options=options)
    assert bool(failure.traceback_text) == is_shown


def test_flags_are_named_as_they_were_given():
    """Unless there is no word for it; longer names that end alike stay."""
    options = [click.Option(["--cache/--no-cache"]), click.Option(["--resume"], is_flag=True)]
    with click.Context(click.Command("run", params=options)):
        for message, shown in {
            "cache=True or resume=True": "--cache or --resume",
            "cache=False and resume=False": "--no-cache and resume=False",
            "use_cache=True": "use_cache=True",
        }.items():
            assert in_options(message, {"cache", "resume"}) == shown
            assert in_options(message, ()) == message


def test_suggestions_are_kept(script, capsys):
    """A slip in a name gets the hint that Python gives."""
    assert call("run", script("speed = 3\nprint(sped)\n")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].endswith('script.py", line 2, in <module>')
    assert lines[-1] == "NameError: name 'sped' is not defined. Did you mean: 'speed'?"


@pytest.mark.parametrize("engine", ["local", "auto"])
def test_suggestions_are_kept_in_drawing_code(script, capsys, engine):
    """So does one in update(), in whose traceback rayanim's own frames are left out."""
    slip = (
        "import rayanim\nfrom matplotlib.figure import Figure\n"
        "class Video(rayanim.Animator):\n    n_frames = 3\n    fps = 5\n"
        "    def setup(self):\n        self.speed = 3\n        return Figure(figsize=(1, 1))\n"
        "    def update(self, frame_idx, params):\n        return self.sped\n"
    )
    assert call("run", script(slip), "--engine", engine) == 1
    err = capsys.readouterr().err
    assert "AttributeError: 'Video' object has no attribute 'sped'. Did you mean: 'speed'?" in err
    assert "draw_frame" not in err and err.count("Traceback") == 1


def test_a_traceback_without_the_users_lines_is_left_out(script, capsys):
    """A setup() with a wrong signature is said in one line."""
    text = (
        "import rayanim\nclass Video(rayanim.Animator):\n    n_frames = 3\n"
        "    def setup(self, extra):\n        pass\n    def update(self, p):\n        pass\n"
    )
    assert call("run", script(text)) == 1
    err = capsys.readouterr().err
    assert err == (
        "rayanim: error: Video.setup(self, extra) has the wrong arguments: "
        "it is called as setup(self).\n"
    )
    assert err.count("\n") == 1


def test_an_unknown_command_lists_those_there_are(capsys):
    """And a script's name gets the command that renders it."""
    assert call("wave.py") == 2
    assert capsys.readouterr().err == (
        "rayanim: error: There is no command 'wave.py'. The commands are "
        "run, still, preview, profile, doctor, warm, cache, submit, status, logs, watch, stop, "
        "fetch: rayanim run wave.py, for example.\n"
    )


def test_a_second_video_does_not_take_the_outputs_place(script, capsys):
    """-o goes to the first, which is whole and reported; the second is a usage error."""
    assert call("run", script(TWO), "-o", "only.mp4") == 2
    out, err = capsys.readouterr()
    assert "only.mp4: 4 frames" in out
    assert "-o only.mp4 went to the first" in err
    assert read_numbers("only.mp4") == list(range(4))
    assert sorted(path.name for path in Path.cwd().glob("*.mp4")) == ["only.mp4"]


def test_a_script_that_raises_shows_its_traceback(script, capsys):
    """As Python would, from the script's first line on."""
    text = "def f():\n    return {}['x']\nf()\n"
    assert call("run", script(text)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('script.py", line 3, in <module>')
    assert lines[-1] == "KeyError: 'x'"


def test_a_syntax_error_shows_its_place(script, capsys):
    """File, line and caret."""
    assert call("run", script("x = 1\ndef f(:\n")) == 1
    err = capsys.readouterr().err
    assert 'script.py", line 2' in err and "    ^" in err and "SyntaxError" in err


@pytest.mark.parametrize(("value", "code"), [("3", 3), ("'sorry'", 1), ("None", 2), ("0", 2)])
def test_sys_exit_is_the_scripts_say(script, capsys, value, code):
    """Its code is passed on; a script that ends well has still to give a video."""
    assert call("run", script(f"import sys\nsys.exit({value})\n")) == code
    assert ("sorry" in capsys.readouterr().err) == (value == "'sorry'")


def test_an_existing_video_survives_a_failure(script):
    """The target is replaced whole or stays as it was."""
    Path("video.mp4").write_bytes(b"before")
    assert call("run", script(FAILS), "-o", "video.mp4", "--engine", "local") == 1
    assert Path("video.mp4").read_bytes() == b"before"
    assert call("run", script(DEFINES), "-o", "video.mp4", "--no-overwrite") == 2
    assert Path("video.mp4").read_bytes() == b"before"
    assert call("run", script(DEFINES), "-o", "video.mp4", "-y", "--engine", "local") == 0
    assert read_numbers("video.mp4") == list(range(12))


def test_still_draws_one_frame(script, capsys):
    """The frame of a script's own video, or of a definition, in the video's pixels."""
    for text, target in ((CALLS, "video.png"), (DEFINES, "script.png")):
        assert call("still", script(text), "--frame", "7") == 0
        with Image.open(target) as image:
            assert np.array_equal(np.asarray(image), Numbered(12).generate_at(7000 / 30))
    out = capsys.readouterr().out
    assert out.startswith("hello\nvideo.png: frame 7 in 64x48, png rgba, ") and "fps" not in out
    assert not list(Path.cwd().glob("*.mp4"))


@pytest.mark.parametrize(
    ("outfile", "options", "image"),
    [
        ("frames/%04d.png", (), "frames/0005.png"),
        ("frames/", (), "frames/000005.png"),
        ("frames/%d.jpg", (), "frames/5.jpg"),
        ("50%done.mp4", (), "50%done.png"),
        ("video.mp4", ("-o", "frames/"), "frames/000005.png"),
        ("frames/", ("-o", "frames/%d.png"), "frames/5.png"),
        ("frames/%d.png", ("-o", "100%%_%d.png"), "100%_5.png"),
    ],
)
def test_a_still_of_a_folder_of_images_is_one_of_them(script, outfile, options, image):
    """The others stay."""
    Path("frames").mkdir()
    for name in ("0000.png", "0005.png", "0.png", "000000.png"):
        Path("frames", name).write_text("mine")
    before = {path for path in Path().rglob("*") if path.suffix != ".py"}
    text = CALLS.replace("video.mp4", outfile)
    assert call("still", script(text), "--frame", "5", "--quiet", *options) == 0
    after = {path for path in Path().rglob("*") if path.suffix != ".py"}
    assert after == before | {Path(image)}
    assert all(path.is_dir() or path.read_text() == "mine" for path in before - {Path(image)})
    with Image.open(image) as found:
        shown = np.asarray(found.convert("RGBA")).astype(int)
    assert np.abs(shown - Numbered(12).generate_at(5000 / 30)).max() <= 40


def test_a_still_in_a_folder_of_images_is_protected(script, capsys):
    """As any is."""
    Path("frames").mkdir()
    Path("frames", "5.png").write_text("mine")
    options = ("--frame", "5", "--no-overwrite", "-o", "frames/%d.png")
    assert call("still", script(DEFINES), *options) == 2
    assert "5.png' exists" in capsys.readouterr().err
    assert Path("frames", "5.png").read_text() == "mine"


def test_a_still_without_transparency_has_the_videos_background(script, capsys):
    """What shows through in the video shows through in a JPEG; no image at all is said."""
    text = (
        "import rayanim, numpy\n"
        "def draw(frame):\n    return numpy.zeros((8, 8, 4), numpy.uint8)\n"
        "rayanim.produce(draw, n_frames=2, outfile='x.mp4', background='#ff8000')\n"
    )
    assert call("still", script(text), "--frame", "1", "-o", "x.jpg") == 0
    with Image.open("x.jpg") as image:
        assert np.abs(np.asarray(image).astype(int) - (255, 128, 0)).max() <= 4
    assert call("still", script(text), "--frame", "1", "-o", "x.mp4") == 2
    assert ".gif, or .jpg" in capsys.readouterr().err


def test_still_beyond_the_end_is_a_usage_error(script, capsys):
    """The message says which frames there are."""
    assert call("still", script(DEFINES), "--frame", "12", "-o", "x.png") == 2
    assert "frames 0 to 11" in capsys.readouterr().err
    assert not Path("x.png").exists()


def test_the_seed_can_be_given_and_taken_away(script, capsys):
    """The same number gives the same random drawing; none leaves the generators alone."""
    text = (
        "import random\nfrom rayanim.frame_gen import FrameGenerator\n"
        "class Noise(FrameGenerator):\n    duration = 100\n    frame_size = (8, 8)\n"
        "    def generate_at(self, time_ms):\n"
        "        return random.randbytes(256)\n"
    )
    name = script(text)
    for seed, target in (("1", "a.png"), ("1", "b.png"), ("2", "c.png"), ("none", "d.png")):
        assert call("still", name, "--frame", "1", "--seed", seed, "-o", target) == 0
    a, b, c, d = (Path(f"{name}.png").read_bytes() for name in "abcd")
    assert a == b and len({a, c, d}) == 3


def test_preview_without_a_desktop_says_so(script, capsys, monkeypatch):
    """The video is there all the same."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert call("run", script(CALLS), "-p") == 0
    assert "video.mp4 cannot be opened from here" in capsys.readouterr().err


def test_preview_opens_the_result(script, capfd, monkeypatch):
    """The platform's opener gets the finished file's name, and is cut off from this terminal."""
    opener = Path("xdg-open" if sys.platform != "darwin" else "open")
    opener.write_text(
        "#!/bin/sh\necho of the player; echo of the player >&2\n"
        'ps -o sid= -p $$ > session; cat > read; echo "$1" > opened.tmp; mv opened.tmp opened\n'
    )
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path.cwd()}:{os.environ['PATH']}")
    assert call("run", script(CALLS), "-p", "--quiet") == 0
    _wait_for(Path("opened"))
    assert Path("opened").read_text().strip() == "video.mp4"
    assert "player" not in "".join(capfd.readouterr()) and Path("read").read_text() == ""
    assert int(Path("session").read_text()) != os.getsid(0)


def _wait_for(path: Path, limit_s: float = 60.0) -> None:
    """Until `path` exists."""
    deadline_s = time.monotonic() + limit_s
    while not path.exists():
        if time.monotonic() > deadline_s:
            pytest.fail(f"{path} never came")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("engine", "number", "code"),
    [
        ("local", signal.SIGINT, 130),
        ("local", signal.SIGTERM, 143),
        pytest.param("ray", signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_run_cleanly(script, engine, number, code):
    """The exit code says which, the old video is untouched, no part and no process is left."""
    Path("video.mp4").write_bytes(b"before")
    process = start("run", script(SLOW), "-o", "video.mp4", "--engine", engine, "-j", "2")
    _wait_for(Path("drawing"))
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert (
        "No video was written; an existing video was not changed." in err
        and "Traceback" not in err
        and not out
    )
    assert Path("video.mp4").read_bytes() == b"before"
    assert not list(Path.cwd().glob("*.part"))
    assert not psutil.wait_procs(children, timeout=20)[1]


def test_a_second_ctrl_c_ends_at_once(script):
    """A script that holds on to the first one does not hold up the second; no part is left."""
    text = (
        "import time\nfrom pathlib import Path\nimport rayanim\nfrom numbered import Numbered\n"
        "class Video(Numbered):\n    def generate_at(self, time_ms):\n"
        "        try:\n            Path('running').touch()\n            time.sleep(600)\n"
        "        except KeyboardInterrupt:\n            Path('caught').touch()\n"
        "            time.sleep(600)\n"
    )
    process = start("run", script(text + "video = Video(9)\n"), "video", "--engine", "local")
    for sign in ("running", "caught"):
        _wait_for(Path(sign))
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Ended by the signal itself, which a shell shows as 130.
    assert process.returncode == -signal.SIGINT
    assert "press Ctrl-C again" in err and not out
    assert err.endswith("rayanim: ended at once; what was not finished is removed.\n")
    assert not list(Path.cwd().glob("video.mp4*"))


@pytest.mark.slow
def test_actors_render_what_the_script_defines(script):
    """Classes of the script travel to Ray's actors by value; every frame is there once."""
    helper = DEFINES.replace("super().__init__(12)", "super().__init__(COUNT)")
    text = f"import rayanim\nCOUNT = 40\n{helper}"
    code, out, err = run("run", script(text), "--engine", "ray", "-j", "2", "-o", "video.mp4")
    assert code == 0, err
    assert "on Ray" in out
    assert read_numbers("video.mp4") == list(range(40))


@pytest.mark.parametrize("verbose", [False, True])
def test_an_actor_s_traceback_names_the_lines_of_the_script(tmp_path, verbose):
    """Pickled code and pickled errors have lost their files; what stands nowhere stays."""
    path = tmp_path / "script.py"
    path.write_text("def f(i):\n    return [j / 0 for j in (i,)]\nx = 1\n")
    sent = '  File "<dynamic-code>", line {}, in {}\n'
    text = f"{sent.format(2, 'f')}{sent.format(3, 'f')}{sent.format(2, 'elsewhere')}"
    text = f"Traceback (most recent call last):\n{text}ZeroDivisionError: 7\n"
    error = pickle.loads(pickle.dumps(FrameError("Frame 7", frame=7, traceback_text=text)))
    shown = failure_of(error, verbose=verbose, script=path).traceback_text
    assert shown.startswith(
        "Traceback (most recent call last):\n"
        f'  File "{path}", line 2, in f\n    return [j / 0 for j in (i,)]\n'
        f"{sent.format(3, 'f')}{sent.format(2, 'elsewhere')}ZeroDivisionError: 7\n"
    )
    assert "RemoteError" not in shown


def test_an_interrupt_that_stands_for_a_signal_is_that_signal():
    """Ray turns whatever a signal raised into its own interrupt; exit code and notes are kept."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        with pytest.raises(Stopped) as caught, stopping_on_signals():
            with pytest.raises(Stopped):
                signal.raise_signal(signal.SIGTERM)
            error = KeyboardInterrupt()
            error.add_note("2 finished segments are kept")
            raise error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert caught.value.exit_code == 143
    assert caught.value.__notes__ == ["2 finished segments are kept"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["preview", "x.py", "--port", "abc"], "'--port': it must be a whole number, got 'abc'."),
        (["run", "x.py", "--crf", "999"], "(VP9, AV1), got 999."),
        (
            ["run", "x.py", "--actor-memory", "3"],
            "error: --actor-memory must be a whole number of "
            "bytes, at least 16777216 (16 MiB), got 3.",
        ),
        (
            ["run", "x.py", "--min-workers", "5", "--max-workers", "2"],
            "error: --min-workers=5 is above --max-workers=2.",
        ),
    ],
)
def test_settings_are_named_as_the_options_and_shown_as_they_were_written(capsys, words, message):
    """And what they must be is said in plain words."""
    assert call(*words) == 2
    assert capsys.readouterr().err.endswith(f"{message}\n")


def test_an_option_of_the_script_s_own_gets_the_hint_where_it_goes(script, capsys):
    """It is no slip in one of ours."""
    assert call("run", script(CALLS), "--freq", "3") == 2
    err = capsys.readouterr().err
    assert "No such option '--freq'" in err
    assert err.endswith("go after two dashes: rayanim run SCRIPT -- --freq\n")


def test_a_second_name_gets_the_hint_where_the_script_s_arguments_go(script, capsys):
    """As an unknown option does."""
    assert call("run", script(CALLS), "a", "c") == 2
    err = capsys.readouterr().err
    assert "Got unexpected extra argument (c)" in err
    assert err.endswith("Arguments of the script go after two dashes: rayanim run SCRIPT -- c\n")


def test_an_output_without_a_suffix_gets_one(script):
    """That of a video, as ``outfile="name"`` does, or of a still."""
    assert call("run", script(CALLS), "-o", "folder/name", "--quiet") == 0
    assert read_numbers("folder/name.mp4") == list(range(12))
    assert call("still", script(CALLS), "-o", "name", "--quiet") == 0
    with Image.open("name.png") as image:
        assert np.array_equal(np.asarray(image), Numbered(12).generate_at(0))


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".eps"])
def test_a_still_is_no_vector_drawing(script, capsys, suffix):
    """It would hold an image; the message says what writes vectors."""
    assert call("still", script(CALLS), "-o", f"name{suffix}") == 2
    assert f"fig.savefig('figure{suffix}') in the script" in capsys.readouterr().err
    assert not Path(f"name{suffix}").exists()


FIGURE = """
import rayanim
from matplotlib.figure import Figure
class Video(rayanim.Animator):
    def setup(self):
        return Figure(figsize=(2, 1))
    def update(self, frame_idx, params):
        pass
if __name__ == "__main__":
    Video().make_video("video.mp4", n_frames=2, engine="local"OPTIONS)
"""


@pytest.mark.parametrize("options", ["", ", savefig_params={'dpi': 70}"])
def test_dpi_sets_the_size_of_figures(script, options):
    """Of a video and of a still, whatever the script asks for."""
    name = script(FIGURE.replace("OPTIONS", options))
    assert call("run", name, "--dpi", "50", "--quiet") == 0
    with av.open("video.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (100, 50)
    assert call("still", name, "--dpi", "30", "--quiet") == 0
    with Image.open("video.png") as image:
        assert image.size == (60, 30)


def test_dpi_and_quality_exclude_each_other(script, capsys):
    """Both set the size."""
    assert call("run", script(CALLS), "--dpi", "50", "-q", "l") == 2
    assert "exclude each other" in capsys.readouterr().err


def test_help_is_grouped(capsys):
    """Each option stands in one section, and the common ones come first."""
    assert call("run", "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "Output:",
        "Frames:",
        "Encoding:",
        "Where it is drawn:",
        "Stopping and resuming:",
        "Cluster:",
        "The page:",
        "Messages:",
    ]
    options = [line.split()[0] for line in lines if line.startswith("  -")]
    assert options[0] == "-o," and len(options) == len(set(options))
    assert "--address" in options[lines.count("") : -5]
    assert not any(line.startswith("  SCRIPT") for line in lines[lines.index("Output:") :])


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ((), "Example: rayanim run wave.py -o wave.mp4"),
        (("run",), "Keep the segment files after the video is complete."),
        (("run",), "NAME selects one video, a variable or a class"),
        (("run",), "otherwise the code that the script passes to sys.exit"),
        (("still",), "Replace an existing file (the default), or refuse."),
        (("submit",), "Memory of the job's driver."),
        (("fetch",), "Download JOB's finished video."),
        (("preview",), "Print the page's address, and open no browser."),
        (("doctor",), "report what is wrong and how to fix it"),
        (("run",), "Take unchanged segments from the cache"),
        (("cache",), "When it is full, those that were not used for the longest time go first."),
        (("warm",), "End when no job has used it for so long: 90s, 30m or 2h."),
    ],
)
def test_help_says_what_an_option_does(capsys, command, text):
    """In whole phrases that are understood alone."""
    assert _code(*command, "--help") == 0
    assert text in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("text", ["5", "m", "-5m", "5d", ""])
def test_a_time_needs_a_number_and_a_unit(capsys, text):
    """Minutes or seconds are not guessed."""
    assert call("warm", f"--for={text}") == 2
    assert "A time is a number and a unit, such as 30m or 2h" in capsys.readouterr().err


NOTICE = """
import rayanim
from matplotlib.figure import Figure
class Piling(rayanim.Animator):
    def setup(self):
        self.figure = Figure(figsize=(1, 1))
        self.axes = self.figure.subplots()
        return self.figure
    def update(self, frame_idx, params):
        self.axes.plot([0, frame_idx], [0, 1])
if __name__ == "__main__":
    Piling().make_video("video.mp4", n_frames=60, engine="local")
"""


def test_a_notice_is_printed_once(script, capsys):
    """When it happens, and not again in the report."""
    assert call("run", script(NOTICE)) == 0
    out, err = capsys.readouterr()
    assert (out + err).count("Artists pile up") == 1


def test_an_imported_class_is_rendered_by_its_name(script):
    """From a package beside the script."""
    Path("shapes").mkdir()
    Path("shapes", "__init__.py").write_text("")
    Path("shapes", "video.py").write_text(DEFINES)
    name = script("from shapes.video import Video\n")
    code, _, err = run("run", name)
    assert code == 2 and f"name it: rayanim run {name} Video" in err
    code, _, err = run("run", name, "Video", "--engine", "local")
    assert code == 0, err
    assert read_numbers("Video.mp4") == list(range(12))


def test_an_imported_class_that_needs_arguments_is_not_recommended(script):
    """One that can be rendered is, also where another name was asked for."""
    needs = DEFINES.replace("class Video", "class Sized").replace("(self):", "(self, size):")
    Path("shapes.py").write_text(f"{needs}{DEFINES}")
    code, _, err = run("run", script("from shapes import Sized\n"))
    assert code == 2 and "Sized" not in err
    name = script("from shapes import Sized, Video\n")
    code, _, err = run("run", name)
    assert code == 2 and "only imports Video." in err and f"rayanim run {name} Video" in err
    code, _, err = run("run", name, "Other")
    assert code == 2 and "\n  Video" in err and "Sized" not in err


def test_ctrl_c_in_a_plain_script_is_one_line(script):
    """Not our frames; the process ends as after any interrupt, and says how to go on."""
    name = script(SLOW + 'import rayanim\nrayanim.produce(Video(), 30, outfile="video.mp4")\n')
    environment = {**os.environ, "PYTHONPATH": MODULES}
    process = subprocess.Popen(
        [sys.executable, name], stderr=subprocess.PIPE, text=True, env=environment
    )
    _wait_for(Path("drawing"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    last = err.splitlines()[-1]
    assert last.startswith("rayanim: stopped.") and "Traceback" not in err
    kept = list(Path.cwd().glob("video.mp4.parts/*.part"))
    assert last.endswith("To go on from there, give resume=True.") == bool(kept)


@pytest.mark.parametrize("options", [[], ["-v"]])
def test_what_is_kept_is_told_once(script, capsys, options):
    """By Python's traceback under -v, else after the message."""
    text = FAILS.replace("fail=7", "fail=11")
    options = [*options, "--engine", "local", "--segment-frames", "10"]
    assert call("run", script(text), *options) == 1
    assert capsys.readouterr().err.count("1 finished segment is kept in") == 1


def test_a_note_of_the_script_s_own_is_printed_once(script, capsys):
    """The traceback has it."""
    text = "error = ValueError('x')\nerror.add_note('see the manual')\nraise error\n"
    assert call("run", script(text)) == 1
    assert capsys.readouterr().err.count("see the manual") == 1


def test_the_command_that_resumes_can_be_pasted(script):
    """It stands on a line of its own, quoted for a shell."""
    options = ["-o", "my video.mp4", "--engine", "local", "--segment-frames", "10", "--quiet"]
    process = start("run", script(SLOW.replace("300", "2000")), *options)
    _wait_for(Path("drawing"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"finished segments? (is|are) kept in '.*my video\.mp4\.parts'\.", err)
    [line] = [each for each in err.splitlines() if each.startswith("  rayanim run")]
    assert line.startswith("  rayanim run script.py -o 'my video.mp4'")
    assert shlex.split(line)[1:] == ["run", "script.py", *options, "--resume"]


PLAIN = """
import numpy as np
import rayanim
def frame(number):
    return np.full((48, 64, 3), number, np.uint8)
rayanim.produce(frame, 30, n_frames=12, outfile="video.mp4", engine="local")
"""


def test_the_cache_is_shown_and_cleared(script, capsys, tmp_path, monkeypatch):
    """Without `--cache` it is left alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # What pytest has loaded is not the script's.
    for module in (cached, plain):
        monkeypatch.setattr(module, "own_files", lambda: {"__main__": script(PLAIN)})
    assert call("run", script(PLAIN), "-o", "one.mp4", "--quiet") == 0
    assert call("cache") == 0
    folder = tmp_path / "rayanim" / "segments"
    assert capsys.readouterr().out.endswith(f"{folder}: 0 segments, 0 bytes of at most 2.00 GiB.\n")
    assert call("run", script(PLAIN), "-o", "one.mp4", "--quiet", "--cache") == 0
    assert call("cache") == 0
    assert "1 segment, " in capsys.readouterr().out
    assert call("run", script(PLAIN), "-o", "one.mp4", "--cache") == 0
    assert "came from the cache" in capsys.readouterr().out
    assert call("cache", "--clear") == 0
    assert capsys.readouterr().out.startswith("Removed 1 segment, ")
    assert not folder.exists()
