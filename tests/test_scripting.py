"""A script runs as Python itself would run it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from rayanim.cli.script import as_main, check_script, execute
from rayanim.errors import SettingsError

LOOK = """
import json, sys
def f(): return 1
class C: pass
print(json.dumps({
    "name": __name__, "file": __file__, "argv": sys.argv, "path0": sys.path[0],
    "main": sys.modules["__main__"].C is C, "package": __package__, "spec": __spec__,
    "cached": __cached__, "doc": __doc__, "module": C.__module__,
    "loader": type(__loader__).__name__, "names": sorted(globals()),
}))
"""


def write(folder: Path, text: str, name: str = "script.py") -> Path:
    """A script with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_script_sees_what_python_shows_it(tmp_path, monkeypatch, capsys):
    """Its globals, arguments and search path are those of ``python script.py``."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    write(folder, LOOK)
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "scripts/script.py", "a", "--b"]
    expected = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    with as_main(Path("scripts/script.py"), ("a", "--b")) as module:
        execute(module)
    assert capsys.readouterr().out == expected.stdout


def test_the_script_stays_main_after_its_end(tmp_path):
    """What it defines pickles by reference here and by value for others."""
    path = write(tmp_path, "class C:\n    x = 41\ndef make(): return C()\n")
    with as_main(path) as module:
        execute(module)
        assert type(pickle.loads(pickle.dumps(module.make()))) is module.C
        travelling = cloudpickle.dumps(module.make())
    assert type(cloudpickle.loads(travelling)).x == 41


def test_everything_is_put_back(tmp_path):
    """After the context this process is as before, also when the script fails."""
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    path = write(tmp_path, "import sys\nsys.path.append('x')\nraise KeyError(1)\n")
    with pytest.raises(KeyError), as_main(path) as module:
        execute(module)
    assert (sys.modules["__main__"], sys.argv, list(sys.path)) == before


def test_a_neighbour_can_be_imported(tmp_path):
    """Modules beside the script are found, from whatever folder it is started."""
    write(tmp_path, "value = 7\n", "rayanim_test_neighbour.py")
    with as_main(write(tmp_path, "from rayanim_test_neighbour import value\n")) as module:
        execute(module)
    assert module.value == 7
    del sys.modules["rayanim_test_neighbour"]


def test_encodings_are_read_as_python_reads_them(tmp_path):
    """A coding line is respected."""
    path = tmp_path / "latin.py"
    path.write_bytes(b"# coding: latin-1\ntext = '\xe9'\n")
    with as_main(path) as module:
        execute(module)
    assert module.text == "é"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("missing.py", None, "no script"), (".", None, "folder"), ("a.ipynb", "{}", "notebook")],
)
def test_what_is_no_script_is_refused(tmp_path, name, text, said):
    """The message says what it is instead."""
    if text is not None:
        write(tmp_path, text, name)
    with pytest.raises(SettingsError, match=said):
        check_script(tmp_path / name)
