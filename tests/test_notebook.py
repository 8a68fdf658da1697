"""Videos in notebooks: the player, `rayanim.show`, the cell magic, a notebook that is executed."""

from __future__ import annotations

import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import browser
from devtools import page as a_page
from matplotlib.figure import Figure
from numbered import FPS, Numbered, numbered_frame

import rayanim
from rayanim.cli import main
from rayanim.errors import OutputError, SettingsError
from rayanim.overrides import Overrides, overriding
from rayanim.player import Player

LOCAL: dict[str, Any] = {"engine": "local", "progress": False}


class Videos(HTMLParser):
    """The attributes of the videos and images in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("video", "img"):
            self.found.append({"tag": tag, **{name: value or "" for name, value in attrs}})


def video_in(shown: Any) -> dict[str, str]:
    (video,) = Videos(shown._repr_html_()).found
    return video


def make(folder: Path, name: str = "video.mp4", **options: Any) -> Path:
    rayanim.produce(numbered_frame, FPS, outfile=folder / name, n_frames=30, **LOCAL, **options)
    return folder / name


# ---- the player


@pytest.mark.parametrize("name", ["video.mp4", "video.webm", "video.mkv"])
def test_the_bar_knows_the_frames_of_a_file(tmp_path: Path, name: str) -> None:
    """Their number and how long each lasts, and nothing of the network."""
    path = make(tmp_path, name)
    video = video_in(rayanim.show(path))
    assert video["data-frames"] == "30"
    assert float(video["data-step"]) == pytest.approx(1 / FPS, abs=1e-4)
    assert video["width"] == "64"
    assert video["src"].startswith(f"data:video/{'mp4' if path.suffix == '.mp4' else 'webm'};")
    assert "http" not in video["onloadedmetadata"]
    # Where scripts are stripped, nothing is left that does not work.
    assert "<button" not in re.sub('onloadedmetadata="[^"]*"', "", rayanim.show(path)._repr_html_())


def test_the_bar_knows_frames_that_do_not_all_last_the_same(tmp_path: Path) -> None:
    """A held frame is one step, too."""
    path = make(tmp_path, hold={10: 1})
    starts = json.loads(video_in(rayanim.show(path))["data-starts"])
    assert len(starts) == 30
    assert starts[10] == pytest.approx(10 / FPS)
    assert starts[11] == pytest.approx(11 / FPS + 1)


def test_a_file_that_cannot_be_read_has_no_bar(tmp_path: Path) -> None:
    """The browser says itself what is wrong with it."""
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no video")
    assert "onloadedmetadata" not in video_in(rayanim.show(path))


def test_images_that_move_are_images(tmp_path: Path) -> None:
    """A browser plays them by itself; also those that Python does not know."""
    for name in ("video.gif", "video.webp", "video.apng"):
        shown = video_in(rayanim.show(make(tmp_path, name)))
        assert shown["tag"] == "img"
        assert shown["src"].startswith(f"data:image/{name[6:]};base64,")


# ---- show


def test_a_source_is_rendered_and_nothing_else_is_left(tmp_path, monkeypatch) -> None:
    """The video is in the player, and no file remains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shown = rayanim.show(Numbered(12), **LOCAL)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(shown, Player)
    assert repr(shown) == "<Player Numbered.mp4>"
    assert video_in(shown)["data-frames"] == "12"
    assert "href" not in shown._repr_html_()
    # The same video is the same page: a notebook that is executed again has no difference.
    assert rayanim.show(Numbered(12), **LOCAL)._repr_html_() == shown._repr_html_()


def test_what_was_not_kept_is_not_said_to_be(tmp_path) -> None:
    """Nothing can be resumed from a folder that is gone."""

    def stop(done: int, total: int | None) -> None:
        if done > 30:
            raise KeyboardInterrupt

    options = {"segment_frames": 8, "engine": "local", "progress": stop}
    with pytest.raises(KeyboardInterrupt) as caught:
        rayanim.show(Numbered(60), **options)
    assert not getattr(caught.value, "__notes__", [])
    with pytest.raises(KeyboardInterrupt) as caught:
        rayanim.show(Numbered(60), outfile=tmp_path / "kept.mp4", **options)
    assert "kept in" in caught.value.__notes__[0]


def test_a_function_without_a_name_is_a_file_without_brackets() -> None:
    """The name is shown."""
    shown = rayanim.show(lambda frame_idx: numbered_frame(frame_idx), n_frames=2, **LOCAL)
    assert repr(shown) == "<Player lambda.mp4>"


def test_a_figure_keeps_its_dpi() -> None:
    """As in `make_video`."""

    class Plot(rayanim.Animator):
        def setup(self) -> Any:
            return Figure(figsize=(2, 1), dpi=150)

        def update(self, frame_idx: int, params: Any) -> None:
            """Nothing."""

    assert video_in(rayanim.show(Plot(), n_frames=2, **LOCAL))["width"] == "300"


def test_a_video_that_is_kept_comes_with_its_report(tmp_path) -> None:
    """As from `produce`; and a report can be shown again."""
    report = rayanim.show(Numbered(12), outfile=tmp_path / "kept.mp4", **LOCAL)
    assert "<pre" in report._repr_html_()
    assert video_in(report) == video_in(rayanim.show(report))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("none.mp4", {}, "There is no video"),
        ("video.avi", {}, r"Browsers do not show .*\.mp4, "),
        ("memory://bucket/video.mp4", {}, "is in a store, and a notebook shows files"),
        ("video.mp4", {"fps": 10}, "that is there: fps would have no effect"),
        ("video.mp4", {"outfile": "b.mp4"}, "that is there: outfile would have no effect"),
    ],
)
def test_a_file_that_cannot_be_shown_is_refused(
    tmp_path, monkeypatch, name, options, message
) -> None:
    """Whatever browsers do not show, and options where nothing is rendered."""
    monkeypatch.chdir(tmp_path)
    if name.startswith("video"):
        Path(name).write_bytes(b"x")
    with pytest.raises((OutputError, SettingsError), match=message):
        rayanim.show(name, **options)


def test_a_report_of_a_video_in_a_store_is_refused() -> None:
    """As its address is."""
    report = rayanim.produce(
        numbered_frame, n_frames=2, outfile="memory://bucket/shown.mp4", **LOCAL
    )
    with pytest.raises(OutputError, match=r"shown\.mp4 is in a store"):
        rayanim.show(report)


def test_under_the_command_a_shown_video_goes_where_the_command_says(tmp_path) -> None:
    """`rayanim run script.py -o x.mp4` of a script that shows its video."""
    from rayanim.storage.address import Output

    outputs = (Output(tmp_path / "x.mp4"),)
    with overriding(Overrides(outputs=outputs, arguments=LOCAL)):
        shown = rayanim.show(Numbered(12))
    assert shown.output == tmp_path / "x.mp4"


SHOWN = """
import numpy as np, rayanim
def frame(i):
    return np.full((48, 64, 3), i, np.uint8)
rayanim.show(frame, n_frames=5, engine="local")
"""


@pytest.mark.parametrize(
    ("command", "options", "video"),
    [("run", [], "script.mp4"), ("still", ["--frame", "2"], "script.png")],
)
def test_under_the_command_a_shown_video_is_kept(
    tmp_path, monkeypatch, command, options, video
) -> None:
    """Without `-o`, too: where the command keeps a video that has no name."""
    monkeypatch.chdir(tmp_path)
    Path("script.py").write_text(SHOWN)
    with pytest.raises(SystemExit) as ended:
        main([command, "script.py", *options])
    assert ended.value.code == 0
    assert Path(video).exists()


# ---- the magic, without a kernel

PLOT = """
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
fig, ax = plt.subplots(figsize=(2, 1.5))
(line,) = ax.plot([0, 1])
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """IPython's shell with the extension, and what it displays."""
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = interactive.InteractiveShell.instance()
    shell.displayed = []
    monkeypatch.setattr("IPython.display.display", shell.displayed.append)
    shell.run_cell("%load_ext rayanim").raise_error()
    yield shell
    shell.reset()
    interactive.InteractiveShell.clear_instance()


def run(shell: Any, cell: str) -> list[Any]:
    """Run a cell; what it displayed."""
    shell.displayed.clear()
    shell.run_cell(cell).raise_error()
    return list(shell.displayed)


def test_a_cell_that_defines_an_animation_is_rendered(shell) -> None:
    """With the command's own options, without a file, and variables stay."""
    cell = f"%%rayanim --fps 10 --frames 0-5 --quiet --engine local\n{PLOT}"
    cell += "ani = FuncAnimation(fig, lambda i: line.set_ydata([0, i]), frames=20)\nplt.show()"
    (shown,) = run(shell, cell)
    assert (video_in(shown)["data-frames"], video_in(shown)["data-step"]) == ("6", "0.1")
    assert "ani" in shell.user_ns
    assert list(Path().glob("*.mp4")) == []


CLASSES = """
import matplotlib.pyplot as plt
import rayanim
class First(rayanim.Animator):
    n_frames = 4
    def setup(self):
        return plt.figure(figsize=(2, 1.5))
    def update(self, frame_idx, params):
        pass
"""


def test_only_what_the_cell_itself_defines_is_rendered(shell) -> None:
    """What other cells define does not count, unless the cell has several: then NAME chooses."""
    run(shell, CLASSES.replace("First", "Before"))
    (report,) = run(shell, f"%%rayanim -o first.mp4 --quiet\n{CLASSES}")
    assert report.output == Path("first.mp4")
    assert report.frames == 4
    both = CLASSES + CLASSES.replace("First", "Second").replace("= 4", "= 5")
    (shown,) = run(shell, f"%%rayanim Second --quiet\n{both}")
    assert video_in(shown)["data-frames"] == "5"


def test_a_cell_that_renders_itself_is_left_to_it(shell) -> None:
    """Its own call is carried out with the line's options; its report is shown."""
    (report,) = run(shell, f"%%rayanim --crf 40 --quiet\n{CLASSES}\nFirst().make_video('own.mp4')")
    assert report.output == Path("own.mp4")
    assert Path("own.mp4").exists()


def test_videos_that_a_cell_shows_are_shown(shell) -> None:
    """Each of them, though none has a name."""
    videos = run(shell, f"%%rayanim --quiet{SHOWN}rayanim.show(frame, n_frames=6)")
    assert [video_in(each)["data-frames"] for each in videos] == ["5", "6"]


@pytest.mark.parametrize(
    ("line", "body", "message"),
    [
        ("--nonsense", "", "No such option:? '?--nonsense"),
        ("--fps none", "", "fps"),
        ("-o 'x.mp4", "", "cannot be read"),
        ("-o x.txt", "", r"\.txt"),
        ("", "a = 1", "the cell makes no animation"),
        ("Third", CLASSES, "the cell has no video called 'Third'"),
        ("", CLASSES + CLASSES.replace("First", "Second"), "several things to render"),
        ("--json", "", "No such option:? '?--json"),
    ],
)
def test_a_mistake_in_the_line_is_one_message(shell, line, body, message) -> None:
    """A usage error of IPython's, which has no traceback; where it can be, before the cell runs."""
    result = shell.run_cell(f"%%rayanim {line}\nran = 1\n{body}")
    assert type(result.error_in_exec).__name__ == "UsageError"
    assert re.search(message, str(result.error_in_exec))
    assert ("ran" in shell.user_ns) == bool(body)


def test_the_line_has_help(shell, capsys) -> None:
    """All options of the command, but those that mean nothing in a notebook."""
    assert run(shell, "%%rayanim --help\nran = 1") == []
    text = capsys.readouterr().out
    assert "--crf" in text
    assert "Usage: %%rayanim [OPTIONS] [NAME]" in text
    assert "--json" not in text
    assert "ran" not in shell.user_ns


def test_warning_filters_that_a_cell_sets_stay(shell) -> None:
    """As those of any other cell."""
    with warnings.catch_warnings():
        run(shell, f"%%rayanim --quiet\nimport warnings\nwarnings.resetwarnings()\n{CLASSES}")
        assert warnings.filters == []


def test_a_cell_has_the_future_statements_of_the_notebook(shell) -> None:
    """And not those of this package."""
    cell = f"%%rayanim --quiet\n{CLASSES}\ndef function(x: int): pass"
    run(shell, cell)
    assert shell.user_ns["function"].__annotations__ == {"x": int}
    run(shell, "from __future__ import annotations")
    run(shell, cell)
    assert shell.user_ns["function"].__annotations__ == {"x": "int"}


def test_what_the_cell_raises_is_its_own(shell) -> None:
    """The user's exception, with the line of the cell."""
    result = shell.run_cell("%%rayanim\na = 1\n1 / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)


# ---- a notebook

WAVE = """
import numpy as np, matplotlib.pyplot as plt, rayanim
class Wave(rayanim.Animator):
    def setup(self):
        fig, ax = plt.subplots(figsize=(4, 3))
        self.x = np.linspace(0, 12, 200)
        (self.line,) = ax.plot(self.x, np.cos(self.x))
        return fig
    def update(self, frame_idx, params):
        self.line.set_ydata(np.cos(self.x + params))
"""

NUMBERS = """
def frames(i):
    frame = np.full((48, 64, 3), 255, np.uint8)
    for bit in range(16):
        top, left = 24 * (bit // 8), 8 * (bit % 8)
        frame[top : top + 24, left : left + 8] = 255 * (i >> bit & 1)
    return frame
"""

CELLS = [
    f"{WAVE}%load_ext rayanim",
    "Wave().make_video('wave.mp4', [i / 10 for i in range(30)], fps=30)",
    f"%%rayanim --fps 10\n{PLOT}"
    "ani = FuncAnimation(fig, lambda i: line.set_ydata([0, i]), frames=20)\nplt.show()",
    f"{PLOT}def update(i):\n    line.set_ydata([0, i])\n    return fig\n"
    "rayanim.show(update, n_frames=10)",
    f"{NUMBERS}rayanim.show(frames, fps=30, n_frames=60)",
    # Another figure of the cell is the user's, and is shown.
    f"{PLOT}other, _ = plt.subplots(figsize=(1, 1))\n"
    "rayanim.show(FuncAnimation(fig, lambda i: line.set_ydata([0, i]), frames=5))",
]


def executed(cells: list[str], folder: Path) -> Any:
    """A notebook of these cells, executed by a kernel of its own."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=90, resources=resources).execute()
    return notebook


def html_of(cell: Any) -> list[str]:
    """The HTML that a cell displayed, the last state of each."""
    return [
        each["data"]["text/html"] for each in cell.outputs if "text/html" in each.get("data", {})
    ]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The executed notebook, and its page."""
    nbconvert = pytest.importorskip("nbconvert")
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        done = executed(CELLS, folder)
    page = folder / "notebook.html"
    page.write_text(nbconvert.HTMLExporter().from_notebook_node(done)[0], "utf-8")
    return done, page


def test_each_cell_shows_one_video_and_no_figure(notebook) -> None:
    """The figure that was drawn is not shown once more below it; another one is."""
    for cell, pictures in zip(notebook[0].cells, [0, 0, 0, 0, 0, 1], strict=True):
        assert sum("image/png" in each.get("data", {}) for each in cell.outputs) == pictures
        assert sum("<video" in text for text in html_of(cell)) == ("load_ext" not in cell.source)
        assert not [each for each in cell.outputs if each.get("name") == "stderr"], cell.outputs


def test_the_progress_is_a_bar_that_ends(notebook) -> None:
    """One output that was replaced, and says in the end how it ended."""
    bars = [text for cell in notebook[0].cells for text in html_of(cell) if "<progress" in text]
    assert len(bars) == len(CELLS) - 1
    assert all("finished" in text for text in bars)


NUMBER = """(() => {
  const video = document.querySelectorAll('video')[3], canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [64, 48];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < 16; bit++) {
    const [top, left] = [24 * (bit >> 3), 8 * (bit % 8)];
    number += (context.getImageData(left + 4, top + 12, 1, 1).data[0] > 128) << bit;
  }
  return number;
})()"""

BAR = "document.querySelectorAll('video')[3].nextElementSibling"


@pytest.mark.skipif(browser() is None, reason="there is no Chromium on the PATH")
@pytest.mark.timeout(240)
def test_the_exported_page_plays_and_steps(notebook) -> None:
    """Each video has a bar of its own; a step shows the next frame, and it plays to its end."""
    videos = len(CELLS) - 1
    with a_page() as page:
        page.open(notebook[1].as_uri())
        page.wait_for(f"document.querySelectorAll('video + div > input').length === {videos}")
        page.value("document.querySelectorAll('video')[3].muted = true")
        for step, number in [("lastChild.previousSibling", 1), ("firstChild", 0)]:
            page.value(f"{BAR}.{step}.click()")
            page.wait_for(f"{NUMBER} === {number}")
        for number in (37, 8, 59):
            page.value(f"{BAR}.children[1].value = {number}; {BAR}.children[1].oninput()")
            page.wait_for(f"{NUMBER} === {number}")
            page.wait_for(f"{BAR}.lastChild.textContent.startsWith('{number} / 59')")
        page.value(f"{BAR}.children[2].click()")  # there is none after the last
        for _ in range(3):  # quicker than the video follows
            page.value(f"{BAR}.firstChild.click()")
        page.wait_for(f"{NUMBER} === 56")
        page.value("document.querySelectorAll('video')[3].play()")
        page.wait_for(f"+{BAR}.children[1].value > 56 || {NUMBER} < 56")
        others = "[...document.querySelectorAll('video')].filter(each => each.currentTime > 0)"
        assert page.value(f"{others}.length") == 1
        (notebook[1].parent / "page.png").write_bytes(page.screenshot())


@pytest.mark.slow
def test_actors_draw_what_a_cell_defines(tmp_path, monkeypatch) -> None:
    """A class of a cell goes to actors by value, with a Ray that the kernel starts."""
    monkeypatch.delenv("MPLBACKEND", raising=False)
    render = "report = Wave().make_video('wave.mp4', [i / 10 for i in range(40)], fps=30, "
    cells = [WAVE, f"{render}engine='ray', num_workers=2)\nreport.engine, report.frames"]
    outputs = executed(cells, tmp_path).cells[1].outputs
    assert outputs[-1]["data"]["text/plain"] == "('ray', 40)"
    assert not any("image/png" in each.get("data", {}) for each in outputs)
