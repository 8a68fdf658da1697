"""Unchanged animations of matplotlib's: the frames that `Animation.save` gives."""

from __future__ import annotations

import base64
import contextlib
import gc
import io
import pickle
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from animation_patterns import COME_ONCE, PATTERNS, SAVED_WITH, X
from lossless import LOSSLESS, assert_same_pixels, grabbed
from matplotlib.animation import (
    AbstractMovieWriter,
    Animation,
    FFMpegWriter,
    FuncAnimation,
    PillowWriter,
    writers,
)
from matplotlib.lines import Line2D
from PIL import Image
from samples import sampled

import rayanim
from rayanim.animations import AnimationFeed, AnimationSource, SavedAnimation
from rayanim.cli import main
from rayanim.errors import NotPicklableError, SettingsError
from rayanim.patching import NotOursError, mapped_options, register_writer
from rayanim.settings import RenderSettings

NEVER_SENT = {"a_lock_in_reach"}
"""Those that cannot be pickled."""


@pytest.fixture(autouse=True)
def no_figures() -> Iterator[None]:
    """No figure of one test is there in the next."""
    plt.close("all")
    yield
    plt.close("all")
    mpl.rcdefaults()


def source_of(animation: Any, **saved_with: Any) -> AnimationSource:
    dpi = saved_with.get("dpi", animation._fig.dpi)
    settings = RenderSettings(
        dpi=dpi, fps=30, savefig_params=saved_with.get("savefig_kwargs"), sequential=True, seed=None
    )
    return AnimationSource(SavedAnimation(animation), settings)


def drawn(source: AnimationSource) -> list[np.ndarray]:
    """All frames of a source, as the engine draws them in this process."""
    feed = AnimationFeed(source, None)
    frames: list[np.ndarray] = []
    while len(batch := feed.take(1)):
        (number,) = batch.numbers
        if not frames:
            source.open(None)
            source.measure(number, None)
        frames.append(source.draw(number, None).copy())
    source.close()
    return frames


@pytest.mark.parametrize("name", sampled(PATTERNS, list(PATTERNS)[::5]))
def test_a_script_s_frames_are_those_of_matplotlib(name):
    """Number, order and every pixel, on the script's own figure, and by what is sent to actors.

    An actor draws later frames first and earlier ones after them.
    """
    expected = grabbed(PATTERNS[name](), **SAVED_WITH[name])
    plt.close("all")
    source = source_of(PATTERNS[name](), **SAVED_WITH[name])
    packed = None if name in COME_ONCE | NEVER_SENT else pickle.dumps(source)
    found = drawn(source)
    assert [frame.shape for frame in found] == [frame.shape for frame in expected]
    different = [at for at, frame in enumerate(found) if (frame != expected[at]).any()]
    assert different == []
    plt.close("all")
    if packed is not None:
        sent = pickle.loads(packed)
        assert sent.n_frames == len(expected)
        sent.open(None)
        for number in (2, 3, 1, len(expected) - 1):
            np.random.rand()
            assert np.array_equal(sent.draw(number, None), expected[number]), number
        sent.close()


@pytest.mark.parametrize("name", sorted(NEVER_SENT))
def test_what_an_actor_cannot_draw_is_not_sent(name):
    """The reason names what it is."""
    source = source_of(PATTERNS[name]())
    with pytest.raises(NotPicklableError, match="lock"):
        pickle.dumps(source)


def test_large_arrays_are_sent() -> None:
    """Of more than 64 KB, which pickle hands over as they lie in memory."""
    fig, ax = plt.subplots()
    mesh = ax.pcolormesh(np.zeros((120, 120)))
    animation = FuncAnimation(fig, lambda i: mesh.set_array(np.full((120, 120), i)), frames=2)
    copied = pickle.loads(pickle.dumps(source_of(animation)))
    assert copied.n_frames == 2


@pytest.mark.parametrize("name", sorted(COME_ONCE))
def test_frames_that_come_once_stay_in_one_process(name):
    """A generator is read by nobody but the script's own process."""
    assert "generator" in str(source_of(PATTERNS[name]()).stays)


ON_ACTORS = (
    "global_random_numbers",
    "state_in_a_simulation",
)


@pytest.mark.parametrize("name", sampled(ON_ACTORS, ["state_in_a_simulation"]))
def test_two_actors_make_matplotlib_s_video(name, on_ray, tmp_path):
    """The frames in the file, and the script's random numbers after it."""
    expected = grabbed(PATTERNS[name]())
    after = np.random.rand(), random.random()
    plt.close("all")
    report = rayanim.save(
        PATTERNS[name](), tmp_path / "a.mp4", engine="ray", workers=2, progress=False, **LOSSLESS
    )
    assert report.engine == "ray"
    assert_same_pixels(tmp_path / "a.mp4", expected)
    assert (np.random.rand(), random.random()) == after or name != "global_random_numbers"


def ended(script: str, *options: str) -> int:
    """Run a script by the command, in this process; the exit code."""
    Path("old.py").write_text("import matplotlib.pyplot as plt\n" + script, encoding="utf-8")
    return int(main.main(["run", "old.py", *options], standalone_mode=False))


def run(script: str, *options: str) -> None:
    """Run a script by the command."""
    assert ended(script, *options) == 0


def read(path: str) -> tuple[int, float, dict[str, str]]:
    """Frames, rate and metadata of a video."""
    with av.open(path) as container:
        frames = sum(1 for _ in container.decode(video=0))
        return frames, float(container.streams.video[0].average_rate), dict(container.metadata)


LINE = """
from matplotlib.animation import FuncAnimation
fig, ax = plt.subplots(figsize=(2, 2))
line, = ax.plot([0, 1], [0, 1])
seen = []
def update(i):
    seen.append(i)
    line.set_ydata([i, 0])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["rayanim"])
    return tmp_path


def test_the_command_makes_what_a_script_saves(folder, capsys):
    """Each file of its own, in a loop too; what the script reads and prints afterwards is right."""
    run(
        LINE
        + "for name in ('a', 'b'):\n"
        + "    ani = FuncAnimation(fig, update, frames=4, interval=50)\n"
        + "    ani.save(f'{name}.mp4', metadata={'title': name})\n"
        + "print('seen', seen)\n"
    )
    assert read("a.mp4")[:2] == (4, 20.0) and read("b.mp4")[2]["title"] == "b"
    assert "seen [0, 0, 1, 2, 3, 0, 0, 1, 2, 3]\n" in capsys.readouterr().out


def test_matplotlib_is_as_before_after_a_run(folder):
    """The command patches it for the time of the script alone."""
    before = vars(Animation)["save"], vars(Animation)["__init__"], AbstractMovieWriter.saving
    run(LINE + "FuncAnimation(fig, update, frames=2).save('a.mp4')")
    assert (vars(Animation)["save"], vars(Animation)["__init__"]) == before[:2]
    assert AbstractMovieWriter.saving == before[2]


def test_a_command_that_fails_before_drawing_does_not_warn_of_that(folder, recwarn):
    """The animation was saved: it is no mistake of the script's."""
    script = LINE + "ani = FuncAnimation(fig, update, frames=2)\nani.save('a.mp4')"
    assert ended(script, "--hold", "900=1s") == 2
    gc.collect()
    assert not [each for each in recwarn if "without rendering" in str(each.message)]


COUNTED = """
from matplotlib.animation import FuncAnimation
fig, ax = plt.subplots(figsize=(2, 1))
def update(i):
    ax.clear()
    ax.plot([0, i])
"""


def test_frames_are_compared_with_those_of_matplotlib(folder, capsys):
    """And what the script draws afterwards is not changed by that."""
    saved = "ani = FuncAnimation(fig, update, frames=5)\nani.save('a.mp4', fps=5)\n"
    run(COUNTED + saved + "print(ax.lines[0].get_ydata())", "--compare")
    shown = capsys.readouterr()
    assert "a.mp4: Animation.save draws the same pixels in 5 of 5 frames compared." in shown.err
    assert "[0 4]" in shown.out
    assert read("a.mp4")[0] == 5


def test_a_frame_that_is_not_matplotlib_s_ends_the_command(folder, capsys):
    """A script that does not draw the same each time shows it."""
    script = (
        "import time\n"
        + COUNTED.replace("[0, i]", "[0, time.perf_counter() % 1]")
        + "FuncAnimation(fig, update, frames=3).save('a.mp4', fps=5)\n"
    )
    assert ended(script, "--compare") == 1
    assert "a.mp4: frame 0 is not the one that Animation.save draws" in capsys.readouterr().err


def test_what_cannot_be_copied_is_not_compared(folder, capsys):
    """The reason is given, and the video is made all the same."""
    script = COUNTED + "FuncAnimation(fig, update, frames=iter(range(5))).save('a.mp4', fps=5)"
    run(script, "--compare")
    assert "a.mp4: not compared, for its frames come from a generator" in capsys.readouterr().err
    assert read("a.mp4")[0] == 5


def test_where_nothing_is_drawn_nothing_is_compared(folder, capsys, monkeypatch):
    """Which is no error."""
    monkeypatch.setattr("rayanim.animations.AnimationSource.save_as_matplotlib", lambda *_: None)
    run(COUNTED + "FuncAnimation(fig, update, frames=2).save('a.mp4', fps=5)\n", "--compare")
    assert "a.mp4: not compared, for Animation.save draws no frame" in capsys.readouterr().err


def test_only_animations_are_compared(folder, capsys):
    """Anything else is refused before a frame is drawn; a dry run compares nothing."""
    script = (
        "import rayanim\ndef draw(number):\n    raise SystemExit('drawn')\n"
        "rayanim.produce(draw, n_frames=2, outfile='a.mp4')\n"
    )
    assert ended(script, "--compare") == 2
    shown = capsys.readouterr().err
    assert "--compare is for animations of matplotlib's" in shown
    assert "drawn" not in shown
    run(COUNTED + "FuncAnimation(fig, update, frames=5).save('a.mp4')", "--compare", "--dry-run")
    assert "--compare has no effect with --dry-run" in capsys.readouterr().err


def test_a_script_that_only_shows_is_rendered(folder):
    """Also from within a function, and with all animations of the figure."""
    text = (
        "def script():\n"
        + "".join(f"    {line}\n" for line in LINE.splitlines())
        + "    one = FuncAnimation(fig, update, frames=4)\n"
        + "    two = FuncAnimation(fig, lambda i: ax.set_title(str(i)), frames=3)\n"
        + "    plt.show()\n"
        + "script()\n"
    )
    run(text)
    assert read("old.mp4")[:2] == (3, 5.0)
    run(text, "-o", "other.mov")
    assert read("other.mov")[0] == 3


def test_of_an_animation_without_end_the_first_frames_are_rendered(folder, caplog):
    """matplotlib would save it for ever; whoever wants other frames names them."""
    run(LINE + "ani = FuncAnimation(fig, update, interval=20)\nplt.show()\n")
    assert read("old.mp4")[:2] == (100, 50.0)
    assert "first 100 frames are rendered" in caplog.text
    caplog.clear()
    run(LINE + "FuncAnimation(fig, update).save('a.mp4')\n", "--frames", "99-102")
    assert read("a.mp4")[0] == 4 and not caplog.text


def test_one_of_several_is_chosen_by_its_name(folder):
    """As for all other sources; so are some of the frames, and one of them as an image."""
    script = (
        LINE
        + "first = FuncAnimation(fig, update, frames=4)\n"
        + "second = FuncAnimation(fig, update, frames=6)\n"
        + "first.save('first.mp4')\nsecond.save('second.mp4')\n"
    )
    run(script, "second", "--frames", "1-3")
    assert not Path("first.mp4").exists() and read("second.mp4")[0] == 3
    command = ["still", "old.py", "first", "--frame", "2", "-o", "two.png"]
    assert main.main(command, standalone_mode=False) == 0
    drawn = np.asarray(Image.open("two.png"))
    run(script, "first", "--dry-run")
    assert not Path("first.mp4").exists()
    fig, ax = plt.subplots(figsize=(2, 2))
    (line,) = ax.plot([0, 1], [0, 1])
    expected = grabbed(FuncAnimation(fig, lambda i: line.set_ydata([i, 0]), frames=4))
    assert np.array_equal(drawn, expected[2])


def test_what_cannot_be_mapped_is_left_to_matplotlib(folder, caplog, monkeypatch):
    """The whole call, with one line that says why."""
    left: list[tuple[str, object]] = []
    monkeypatch.setattr(
        Animation, "save", lambda self, name, **rest: left.append((name, rest["extra_args"]))
    )
    run(LINE + "FuncAnimation(fig, update, frames=2).save('a.mp4', extra_args=['-vf', 'negate'])")
    run(LINE + "FuncAnimation(fig, update, frames=2).save('a.wmv')")
    assert left == [("a.mp4", ["-vf", "negate"]), ("a.wmv", None)]
    said = caplog.text
    assert "a.mp4 is left to matplotlib: rayanim has no counterpart to '-vf negate'." in said
    assert "a.wmv is left to matplotlib: No video format has the suffix '.wmv'." in said


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("-vcodec libx264 -pix_fmt yuv420p", {"codec": "libx264", "pixel_format": "yuv420p"}),
        ("-crf 18 -preset slow -tune animation", {"crf": 18.0, "preset": "slow"}),
        ("-b:v 2M -movflags +faststart -threads 4", {"bitrate": 2000.0}),
        ("-r 30 -loop 0", {}),
        ("-vf pad=ceil(iw/2)*2:ceil(ih/2)*2", {"odd_size": "pad"}),
    ],
)
def test_options_of_ffmpeg_have_counterparts(options, arguments):
    """Those that scripts use."""
    assert mapped_options(options.split(), 30) == arguments


@pytest.mark.parametrize(
    "options", ["-r 60", "-loop 3", "-vf hflip", "-b:v much", "-filter_complex x"]
)
def test_options_without_a_counterpart_are_not_guessed(options):
    """They change what is seen."""
    with pytest.raises(NotOursError):
        mapped_options(options.split(), 30)


def test_writers_that_are_made_already_are_understood(folder):
    """With all that was given to them; together with options for a writer, as matplotlib says."""
    fig, ax = plt.subplots(figsize=(2, 2))
    animation = FuncAnimation(fig, lambda i: ax.set_xlim(0, i + 1), frames=3)
    writer = FFMpegWriter(fps=12, metadata={"artist": "me"}, bitrate=500)
    rayanim.save(animation, "a.mp4", writer=writer, progress=False)
    frames, rate, metadata = read("a.mp4")
    assert (frames, rate, metadata["artist"]) == (3, 12.0, "me")
    with pytest.raises(RuntimeError, match="fps"):
        rayanim.save(animation, "a.mp4", writer=writer, fps=3)
    with pytest.raises(TypeError, match="dpi"):
        rayanim.save(animation, "a.mp4", savefig_kwargs={"dpi": 3})


def test_matplotlib_s_registry_has_a_writer_of_rayanim_s(folder):
    """Its frames are those of any other writer, in ``save`` and in loops."""
    register_writer()
    make = PATTERNS["places_in_pixels"]
    expected = grabbed(make(), dpi=150)
    make().save("a.mp4", writer="rayanim", dpi=150, extra_args=LOSSLESS_ARGS)
    assert_same_pixels("a.mp4", expected)
    fig, ax = plt.subplots(figsize=(2, 2))
    with writers["rayanim"](fps=10).saving(fig, "loop.mp4", 50) as writer:
        for number in range(5):
            ax.set_title(str(number))
            writer.grab_frame()
    assert read("loop.mp4")[:2] == (5, 10.0)


LOSSLESS_ARGS = ["-crf", "0", "-pix_fmt", "yuv444p", "-preset", "ultrafast"]


def test_loops_that_grab_frames_need_no_ffmpeg_under_the_command(folder):
    """The writer that the script made takes the frames; without a patch it is matplotlib's."""
    run(
        "from matplotlib.animation import FFMpegWriter\n"
        "fig, ax = plt.subplots(figsize=(2, 2))\n"
        "writer = FFMpegWriter(fps=15, metadata={'title': 'loop'}, bitrate=900)\n"
        "with writer.saving(fig, 'loop.mp4', 100):\n"
        "    for number in range(5):\n"
        "        ax.set_title(str(number))\n"
        "        writer.grab_frame()\n"
    )
    frames, rate, metadata = read("loop.mp4")
    assert (frames, rate, metadata["title"]) == (5, 15.0, "loop")


def test_a_notebook_patches_and_goes_back(folder):
    """`patch` and `unpatch`, as often as one likes."""
    before = vars(Animation)["save"]
    rayanim.patch()
    rayanim.patch()
    fig, ax = plt.subplots(figsize=(2, 2))
    FuncAnimation(fig, lambda i: ax.set_xlim(0, i + 1), frames=3).save("a.mp4")
    rayanim.unpatch()
    rayanim.unpatch()
    assert read("a.mp4")[0] == 3 and vars(Animation)["save"] is before


def test_the_progress_callback_is_called_as_by_matplotlib(folder):
    """Before each frame, with its number and their total."""
    calls: list[tuple[int, int | None]] = []
    rayanim.save(
        PATTERNS["closure_sets_data"](),
        "a.mp4",
        progress=False,
        progress_callback=lambda number, total: calls.append((number, total)),
    )
    assert calls == [(number, 6) for number in range(6)]


def test_errors_are_of_the_script_s_own_classes(folder):
    """An ``except`` around ``save`` catches what it caught before."""
    fig = plt.figure()

    def update(i):
        raise LookupError(i)

    with pytest.raises(LookupError), rayanim_patched():
        FuncAnimation(fig, update, frames=3, init_func=lambda: None).save("a.mp4")
    with pytest.raises(RuntimeError, match="sequence of Artist"), rayanim_patched():
        FuncAnimation(fig, lambda i: None, frames=3, blit=False)
        animation = PATTERNS["blit_with_init_func"]()
        animation._func = lambda i: None
        animation.save("a.mp4")


@contextlib.contextmanager
def rayanim_patched() -> Iterator[None]:
    rayanim.patch()
    try:
        yield
    finally:
        rayanim.unpatch()


def test_a_generator_with_repeat_false_keeps_its_first_frame(folder):
    """matplotlib takes it for the first draw, and it is lost."""
    fig = plt.figure()
    drawn_from: list[str] = []
    animation = FuncAnimation(fig, drawn_from.append, iter("abc"), repeat=False, save_count=9)
    assert len(drawn(source_of(animation))) == 3
    assert drawn_from == ["a", "a", "b", "c"]


def test_the_figure_is_the_script_s_own_afterwards(folder):
    """With its canvas and dpi, in the last frame's state, and ready to be shown."""
    animation = PATTERNS["closure_sets_data"]()
    fig = animation._fig
    canvas, dpi, ids = fig.canvas, fig.dpi, fig.canvas.callbacks.callbacks["draw_event"]
    assert len(ids) == 1
    rayanim.save(animation, "a.mp4", dpi=150, progress=False)
    assert (fig.canvas, fig.dpi) == (canvas, dpi) and "draw_idle" not in vars(canvas)
    assert len(fig.canvas.callbacks.callbacks["draw_event"]) == 1
    assert np.array_equal(fig.axes[0].lines[0].get_ydata(), np.sin(X + 5 / 5))


def test_pages_and_unknown_writers_get_the_same_frames_sooner(folder):
    """matplotlib makes the page or calls the writer, of frames that are drawn incrementally."""

    class Own(PillowWriter):
        pass

    made: list[list[Any]] = []
    for patched in (contextlib.nullcontext(), rayanim_patched()):
        with patched:
            page = PATTERNS["blit_with_init_func"]().to_jshtml()
            pictures = [base64.b64decode(each) for each in re.findall(r'base64,([^"]*)"', page)]
            PATTERNS["closure_sets_data"]().save("a.gif", writer=Own(fps=5))
            images = [np.asarray(Image.open(io.BytesIO(each))) for each in pictures]
            made.append([np.stack(images).tobytes(), Path("a.gif").read_bytes(), len(images)])
    assert made[0] == made[1] and made[0][2] == 6


def test_a_video_for_a_notebook_needs_no_ffmpeg(folder):
    """``to_html5_video`` gives the tag with the size that the video has."""
    with rayanim_patched():
        tag = PATTERNS["closure_sets_data"]().to_html5_video()
    assert 'width="240" height="180"' in tag
    (encoded,) = re.findall('base64,([^"]*)"', tag)
    Path("a.m4v").write_bytes(base64.b64decode(encoded))
    assert read("a.m4v")[:2] == (6, 5.0)


def test_a_video_that_is_begun_again_leaves_the_script_s_animation_alone():
    """A copy draws it from its start; afterwards the script's own goes on from where it was."""
    expected = grabbed(PATTERNS["method_of_an_object"]())
    plt.close("all")
    animation = PATTERNS["method_of_an_object"]()
    scope = animation._func.__self__
    began_with = len(scope.ts)
    source = source_of(animation)
    feed = AnimationFeed(source, None)
    for frames in (3, len(expected)):
        assert feed.again() is not None
        source.open(None)
        source.measure(0, None)
        for number in range(frames):
            assert np.array_equal(source.draw(number, None), expected[number])
        source.close()
        assert len(scope.ts) == began_with + 1 + 3
    feed.take(len(expected))
    feed.catch_up()
    assert len(scope.ts) == began_with + 1 + len(expected)


def test_what_cannot_be_sent_is_not_begun_again():
    """Neither a generator's frames nor what cannot be pickled."""
    for name in ("generator_function", "a_lock_in_reach"):
        assert AnimationFeed(source_of(PATTERNS[name]()), None).again() is None


def test_frames_declared_independent_jump():
    """Updates of skipped frames do not run, not even for the script's variables."""
    fig = plt.figure()
    seen: list[int] = []
    animation = FuncAnimation(fig, seen.append, frames=9, init_func=lambda: None)
    settings = RenderSettings(fps=30, independent=True, seed=None)
    source = AnimationSource(SavedAnimation(animation), settings)
    source.open(None)
    source.measure(4, None)
    source.draw(7, None)
    source.close()
    assert seen == [4, 7]


def test_a_matplotlib_that_lacks_a_name_does_it_itself(folder, caplog, monkeypatch):
    """What this package needs of its insides may go with any release."""
    left: list[str] = []
    monkeypatch.setattr(Animation, "save", lambda self, name, **rest: left.append(name))
    monkeypatch.setattr(
        "rayanim.figure.playback.missing_animation_names", lambda animation: ("animation._fig",)
    )
    run(LINE + "FuncAnimation(fig, update, frames=2).save('a.mp4')")
    assert left == ["a.mp4"]
    assert "a.mp4 is left to matplotlib: this matplotlib lacks animation._fig." in caplog.text
    with pytest.raises(SettingsError, match=r"lacks animation\._fig"):
        rayanim.produce(PATTERNS["closure_sets_data"](), outfile="a.mp4")


def test_a_stopped_video_goes_on_if_its_code_is_the_same(folder, capsys):
    """The segments that are finished are kept; with another update they are another video's."""
    script = LINE.replace("seen.append(i)", "assert i < 20 or not Path('stop').exists()")
    script = f"from pathlib import Path{script}FuncAnimation(fig, update, frames=30).save('a.mp4')"
    options = ("--segment-frames", "5", "--engine", "local")
    Path("stop").touch()
    assert ended(script, *options) != 0
    Path("stop").unlink()
    assert ended(script.replace("[i, 0]", "[i, 1]"), *options, "--resume") != 0
    capsys.readouterr()
    assert ended(script, *options, "--resume") == 0
    assert "Resuming: 20 of 30 frames are finished." in capsys.readouterr().err
    assert read("a.mp4")[0] == 30


def test_some_frames_of_a_generator_come_in_their_state(folder):
    """The updates of those before them run; frames that it does not have are an error."""
    expected = grabbed(PATTERNS["sorter_that_yields_one_list"]())
    plt.close("all")
    make = PATTERNS["sorter_that_yields_one_list"]
    rayanim.save(make(), "a.mp4", frames="3,5-6", progress=False, **LOSSLESS)
    assert_same_pixels("a.mp4", [expected[number] for number in (3, 5, 6)])
    with pytest.raises(SettingsError, match="ended before frame 99"):
        rayanim.save(make(), "b.mp4", frames="3,99", progress=False)


def test_a_loop_whose_writer_is_unknown_is_matplotlib_s(folder, caplog):
    """The script is done then: nothing else in it is rendered."""
    run(
        "from matplotlib.animation import PillowWriter\n"
        "class Own(PillowWriter): pass\n"
        "fig, ax = plt.subplots(figsize=(2, 2))\n"
        "writer = Own(fps=5)\n"
        "with writer.saving(fig, 'a.gif', 50):\n"
        "    writer.grab_frame()\n"
    )
    assert Path("a.gif").exists() and list(folder.glob("*.mp4")) == []
    assert "a.gif is left to matplotlib: Own is not a writer that rayanim knows." in caplog.text


def test_a_copy_is_pyplot_s_figure_only_while_it_is_drawn():
    """Its updates may ask for the current figure; the script's own is that again afterwards."""
    expected = grabbed(PATTERNS["pyplot_s_own_functions"]())
    plt.close("all")
    animation = PATTERNS["pyplot_s_own_functions"]()
    packed = pickle.dumps(source_of(animation))
    assert (plt.get_fignums(), plt.gcf()) == ([1], animation._fig)
    copied = pickle.loads(packed)
    assert (plt.get_fignums(), plt.gcf()) == ([1], animation._fig)
    copied.open(None)
    for number in (2, 1):
        assert np.array_equal(copied.draw(number, None), expected[number])
    assert len(plt.get_fignums()) == 2 and plt.gcf() is not animation._fig
    copied.close()
    assert (plt.get_fignums(), plt.gcf()) == ([1], animation._fig)


def raises(*_: Any) -> Any:
    raise LookupError


def yields_nothing() -> Iterator[int]:
    raise LookupError
    yield 0


@pytest.mark.parametrize(
    ("update", "options"),
    [
        (lambda i: None, {"init_func": raises, "frames": 3}),
        (lambda i: None, {"init_func": raises, "frames": iter([1, 2])}),
        (lambda i: None, {"init_func": lambda: None, "frames": yields_nothing}),
        (raises, {"init_func": lambda: None, "frames": lambda: iter([1, 2])}),
    ],
)
def test_a_figure_is_given_back_where_the_script_fails(folder, update, options):
    """Whatever of the script fails first."""
    fig = plt.figure()
    canvas = fig.canvas
    animation = FuncAnimation(fig, update, save_count=5, **options)
    for frames in (None, "1-2"):
        with pytest.raises(LookupError):
            rayanim.save(animation, "a.mp4", progress=False, frames=frames)
        assert fig.canvas is canvas and not {"draw_idle", "is_saving"} & set(vars(canvas))
        assert len(canvas.callbacks.callbacks["draw_event"]) == 1


def test_settings_that_an_update_changes_are_back_afterwards(folder):
    """`Animation.save` puts them back."""

    def update(i):
        mpl.rcParams["axes.facecolor"] = f"C{i}"

    before = mpl.rcParams["axes.facecolor"]
    rayanim.save(FuncAnimation(plt.figure(), update, frames=3), "a.mp4", progress=False)
    assert mpl.rcParams["axes.facecolor"] == before


@pytest.mark.parametrize(("values", "frames"), [([], None), ([1], "7")])
def test_a_figure_is_given_back_where_there_is_no_frame(folder, values, frames):
    """Whether a generator has one is known after the first draw."""
    fig = plt.figure()
    canvas = fig.canvas
    animation = FuncAnimation(fig, lambda i: None, frames=iter(values), save_count=5)
    with pytest.raises(ValueError):
        rayanim.save(animation, "a.mp4", progress=False, frames=frames)
    assert fig.canvas is canvas


@pytest.mark.parametrize("method", sampled(["to_html5_video", "to_jshtml"], ["to_jshtml"]))
def test_the_command_leaves_pages_alone(folder, method):
    """The file behind a page is the page's; the animation is as one that is shown."""
    script = (
        LINE
        + "ani = FuncAnimation(fig, update, frames=4)\n"
        + "other = FuncAnimation(plt.figure(), lambda i: None, frames=2)\n"
        + "other.save('other.mp4')\n"
        + f"assert 'base64' in ani.{method}()\n"
    )
    run(script, "other", "-o", "b.mp4")
    assert read("b.mp4")[0] == 2
    run(script, "--dry-run")
    assert main.main(["still", "old.py", "other", "-o", "a.png"], standalone_mode=False) == 0
    assert Path("a.png").exists()
    run(script.replace("other.save('other.mp4')", "del other"), "ani", "-o", "c.mp4")
    assert read("c.mp4")[0] == 4
    assert sorted(each.name for each in folder.glob("*.mp4")) == ["b.mp4", "c.mp4"]


def test_an_interval_that_is_no_rate_is_not_asked_for_one(folder):
    """With a rate of its own, as in matplotlib."""
    fig = plt.figure()
    animation = FuncAnimation(fig, lambda i: None, frames=3, interval=0)
    rayanim.save(animation, "a.mp4", fps=30, progress=False)
    assert read("a.mp4")[:2] == (3, 30.0)


def test_a_gif_that_is_too_fast_is_matplotlib_s(folder, caplog, monkeypatch):
    """Its frames would last no time; with another rate by the command it is ours."""
    left: list[str] = []
    monkeypatch.setattr(Animation, "save", lambda self, name, **rest: left.append(name))
    script = LINE + "FuncAnimation(fig, update, frames=2, interval=5).save('a.gif')"
    run(script)
    assert left == ["a.gif"] and not Path("a.gif").exists()
    assert "a.gif is left to matplotlib: gif encodes up to 100 fps, got '200'." in caplog.text
    run(script, "--fps", "20")
    assert left == ["a.gif"] and Path("a.gif").exists()


@pytest.mark.parametrize("output", ["frames/%04d.png", "x.avi"])
def test_what_is_only_shown_goes_into_any_format(folder, output):
    """matplotlib's default codec was chosen by nobody."""
    run(LINE + "ani = FuncAnimation(fig, update, frames=3)", "-o", output)
    assert len(list(folder.glob("frames/*.png"))) == 3 or read(output)[0] == 3


def test_rayanim_s_writer_keeps_transparency_that_is_asked_for(folder):
    """For each frame: `grab_frame` comes after the writer's start."""
    register_writer()
    fig = plt.figure(figsize=(1, 1))
    animation = FuncAnimation(fig, lambda i: None, frames=2, init_func=lambda: None)
    for transparent in (True, False):
        kwargs = {"transparent": transparent}
        animation.save("a.webp", writer="rayanim", savefig_kwargs=kwargs)
        alpha = np.asarray(Image.open("a.webp").convert("RGBA"))[..., 3]
        assert (alpha == (0 if transparent else 255)).all()


def test_a_writer_that_failed_takes_no_more_frames(folder, monkeypatch):
    """The script does not draw to the end of a video that cannot be made."""
    register_writer()
    fig = plt.figure(figsize=(1, 1))
    monkeypatch.setattr(writers["rayanim"], "encode", raises)
    writer, grabbed_frames = writers["rayanim"](), 0
    with pytest.raises(LookupError), writer.saving(fig, "a.mp4", 50):
        for _ in range(300):
            writer.grab_frame()
            grabbed_frames += 1
    assert grabbed_frames < 300
    assert "draw_idle" not in vars(fig.canvas)


class DivergedError(Exception):
    """Of a script, with arguments of its own."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__(f"at step {step}")
        self.value = value


def diverges(i: int) -> None:
    if i == 7:
        raise DivergedError(i, 0.5)


@pytest.mark.parametrize("engine", sampled(["local", "ray"], ["local"]))
def test_a_script_catches_what_it_raised_itself(engine, folder, request):
    """The same object, with a note that says in which frame; from actors, too."""
    if engine == "ray":
        request.getfixturevalue("on_ray")
    animation = FuncAnimation(plt.figure(), diverges, frames=12, init_func=lambda: None)
    with pytest.raises(DivergedError) as caught:
        rayanim.save(animation, "a.mp4", engine=engine, workers=2, progress=False)
    assert type(caught.value) is DivergedError and str(caught.value) == "at step 7"
    assert caught.value.value == 0.5
    assert "rame 7 of FuncAnimation" in "".join(caught.value.__notes__)


def test_the_command_names_the_frame_of_what_the_script_raised(folder, capfd):
    """One line, after the script's own part of the traceback."""
    script = LINE + "ani = FuncAnimation(fig, lambda i: 1 // (3 - i), frames=6); ani.save('a.mp4')"
    assert ended(script) == 1
    shown = capfd.readouterr().err
    assert shown.count("Drawing frame 3 of FuncAnimation raised ZeroDivisionError") == 1
    assert "rayanim: error: Drawing frame 3" in shown and "patching.py" not in shown


class TakesNumbers(Line2D):
    def draw(self, renderer):
        random.random()
        super().draw(renderer)


def test_drawing_takes_of_the_script_s_random_numbers(folder):
    """One for each draw, as in a loop that draws once."""
    random.seed(1)
    expected = [random.random() for _ in range(6)]
    fig, ax = plt.subplots()
    ax.add_line(TakesNumbers([0, 1], [0, 1]))
    taken: list[float] = []
    animation = FuncAnimation(
        fig, lambda i: taken.append(random.random()), frames=3, init_func=lambda: None
    )
    random.seed(1)
    rayanim.save(animation, "a.mp4", workers=1, audit=0, drawing="full", progress=False)
    assert taken == expected[::2]


def test_temporary_files_and_pipes_are_no_files_of_an_update(folder):
    def update(i):
        with tempfile.TemporaryFile() as file:
            file.write(b"1")
        subprocess.run([sys.executable, "-c", ""], input=b"1", check=True)

    source = source_of(FuncAnimation(plt.figure(), update, frames=3, init_func=lambda: None))
    source.open(None)
    source.measure(0, None)
    assert source.stays is None
    source.close()


def test_updates_that_write_files_run_in_one_process(folder):
    """Each actor would write them, too; reading is free to all, and so is what says so itself."""
    Path("data.txt").write_text("0")

    def update(i):
        with open("log.txt" if i == 1 else "data.txt", "a" if i == 1 else "r"):
            pass

    animation = FuncAnimation(plt.figure(), update, frames=3, init_func=lambda: None)
    source = source_of(animation)
    source.open(None)
    source.measure(0, None)
    assert source.stays is None
    source.draw(1, None)
    assert "log.txt" in str(source.stays)
    source.close()
