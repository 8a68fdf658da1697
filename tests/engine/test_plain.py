"""Code is plain only where nothing that it sets is out of sight."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.animation
import matplotlib.axes
import matplotlib.patches
import matplotlib.pyplot  # noqa: F401 - as in a script that has run
import pytest

from rayanim.engine import plain
from rayanim.engine.plain import why_not_plain

PLAIN = {
    "an animation": """
import numpy as np
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
fig, axs = plt.subplots(2)
axs[0].set_title("A wave")
plt.rcParams["font.size"] = 8
lines = [ax.plot([], [])[0] for ax in axs]
def update(i):
    for line in lines:
        line.set_data(np.arange(3), np.sin([i, 1, 2]))
    return lines
update.calls = 0
animation = FuncAnimation(fig, update, frames=9)
""",
    "an animator": """
import json
from pathlib import Path
import rayanim
from matplotlib.patches import Circle
class Video(rayanim.Animator):
    def setup(self):
        self.data = json.loads(Path("data.json").read_text())
        self.data["more"] = 1
        self.dot = Circle((0, 0), 1)
    def update(self, i, params):
        self.dot.radius = params
        if isinstance(self.dot, Circle):
            self.dot.label = f"{i}"
params = [{"height": 1}] * 9
for each in params[3:5]:
    each["height"] = 2
""",
    "names of functions and numbers": "import numpy as np\nsin = np.sin\ntau = 2 * np.pi",
    "annotations": "from matplotlib.axes import Axes\ndef draw(ax: Axes | None) -> Axes: return ax",
    "an array": "import numpy as np\na = np.zeros(3)\na[1] = 2\nb = np.add(a, 1)",
    "the environment": "import os\nos.environ['HEIGHT'] = '1'",
}

NOT_PLAIN = {
    "a library's attribute": "import numpy as np\nnp.height = 1",
    "a class's attribute": "from matplotlib.lines import Line2D\nLine2D._height = 1",
    "by setattr": "import math\nsetattr(math, 'tau', 1)",
    "another name of a module": "import numpy as np\nother = np",
    "another name of a class": "from matplotlib.lines import Line2D\nkinds = [Line2D]",
    "another name of a function": "import json\nread = json.load\nread.height = 1",
    "given to a function": "import numpy as np\ndef set_on(owner): owner.height = 1\nset_on(np)",
    "an object's class": "def f(line): type(line).height = 1",
    "an object's class by its name": "def f(line): line.__class__.height = 1",
    "registered": "import csv\ncsv.register_dialect('own')",
    "registered later": "import functools\n@functools.singledispatch\ndef f(x): return 1",
    "what a library keeps": "import matplotlib.units as units\nunits.registry[int] = None",
    "what a library has given": "from matplotlib.colors import get_named_colors_mapping as get\n"
    "colors = get()\ncolors['red'] = 'blue'",
    "what a library has given, by a method": "import decimal\n"
    "from matplotlib.colors import get_named_colors_mapping as get\nget().update(red='blue')",
    "a package that is not known": "import hypothesis",
    "a module of Python's that keeps things": "import codecs",
    "code in a text": "exec('height = 1')",
    "a file of code": "import runpy",
    "a pickle": "import numpy as np\nnp.load('a.npy', allow_pickle=True)",
    "a module by its name": "import sys\nsys.modules['numpy'].height = 1",
    "all names": "import numpy as np\nnp.__dict__['height'] = 1",
    "through getattr": "import numpy as np\ngetattr(np, 'seterr' + 'call')(print)",
    "a metaclass": "class Kind(type): pass\nclass Own(metaclass=Kind): pass",
    "a class in a loop": "from matplotlib.lines import Line2D\n"
    "for n, kind in enumerate((Line2D,)): kind.zorder = n",
    "a class in a list": "from matplotlib.lines import Line2D\nlist((Line2D,))[0].zorder = 1",
    "a class given to a library": "import functools\nfrom matplotlib.lines import Line2D\n"
    "def set_on(owner): owner.zorder = 1\nfunctools.partial(set_on, Line2D)()",
    "bases of a class": "def f(kind): kind.mro()[1].zorder = 3",
    "no code": "if:",
}


def why(path: Path, text: str) -> str | None:
    path.write_text(text)
    return why_not_plain(str(path), path.stat().st_mtime_ns, path.stat().st_size)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_code(name: str, tmp_path: Path) -> None:
    assert why(tmp_path / "script.py", PLAIN[name]) is None


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_code_that_is_not_plain(name: str, tmp_path: Path) -> None:
    assert why(tmp_path / "script.py", NOT_PLAIN[name]) is not None


def test_a_library_through_an_own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain_helper.py").write_text("import numpy\nheight = 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plain_helper", raising=False)
    __import__("plain_helper")
    try:
        own = "import plain_helper\nplain_helper.height = 2"
        assert why(tmp_path / "script.py", own) is None
        through = "import plain_helper\nplain_helper.numpy.height = 2"
        assert why(tmp_path / "script.py", through) == "uses plain_helper.numpy in line 2"
    finally:
        del sys.modules["plain_helper"]


def test_all_names_of_an_own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's class may be among them."""
    (tmp_path / "plain_common.py").write_text("from matplotlib.patches import Patch")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plain_common", raising=False)
    __import__("plain_common")
    try:
        text = "from plain_common import *\nPatch.zorder = 3"
        assert why(tmp_path / "script.py", text) == "imports all of plain_common"
    finally:
        del sys.modules["plain_common"]


def test_a_module_that_is_no_source_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plain, "own_files", lambda: {"own": str(tmp_path / "own.pyc"), "__main__": ""}
    )
    assert plain.why_script_is_not_plain() == "own is no source code"


def test_a_notebook_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "own_files", dict)
    assert plain.why_script_is_not_plain() == "the script has no file"
