"""Figures of matplotlib's gallery, changed at random, have the pixels of full draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gallery_archive import NoGalleryError, fetch, scripts_of

FUZZ = Path(__file__).with_name("gallery.py")

ALL = os.environ.get("RAYANIM_GALLERY") == "all"
"""All scripts are drawn where this variable asks for it, else a few chosen at random."""

SEED = os.environ.get("RAYANIM_GALLERY_SEED", "1")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gallery(request: pytest.FixtureRequest) -> Path:
    """The gallery of the installed matplotlib, kept in pytest's cache."""
    try:
        return fetch(Path(request.config.cache.mkdir("matplotlib-gallery")))
    except NoGalleryError as error:
        pytest.skip(str(error))


@pytest.mark.timeout(4 * 3600 if ALL else 600)
@pytest.mark.parametrize("guard", ["--no-guard", "--guard"])
def test_figures_of_the_gallery_have_the_pixels_of_full_draws(gallery: Path, guard: str) -> None:
    many = ["--frames", "20"] if ALL else ["--frames", "8", "--sample", "10"]
    done = _fuzz("--gallery", str(gallery), "--seed", SEED, guard, *many)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_a_run_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "chance.py").write_text(
        "import numpy as np, matplotlib.pyplot as plt\n"
        "plt.plot(np.random.default_rng().normal(size=9))\n"
    )
    one, other = (
        _fuzz("--gallery", str(tmp_path), "--frames", "6", "--save", str(tmp_path / name))
        for name in "ab"
    )
    assert _without_times(one.stdout) == _without_times(other.stdout)
    assert "1 ran, 1 figures, 6 frames" in one.stdout


@pytest.mark.timeout(120)
def test_what_cannot_run_is_counted_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "missing.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "online.py").write_text(
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')\n"
    )
    (tmp_path / "empty.py").write_text("")
    done = _fuzz("--gallery", str(tmp_path), "--frames", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    for reason in ("package no_such_package_at_all", "the network", "leaves no figure open"):
        assert reason in done.stdout


@pytest.mark.timeout(120)
def test_a_frame_that_differs_is_found_and_saved(tmp_path: Path) -> None:
    # The canvas sees no difference between two calls of this draw, nor would anyone.
    (tmp_path / "forks.py").write_text(
        "import matplotlib.pyplot as plt\n"
        "from rayanim.figure.canvas import IncrementalCanvas\n"
        "figure, axes = plt.subplots()\n"
        "def draw(self, real=IncrementalCanvas.draw):\n"
        "    real(self)\n"
        "    self._own_renderer().pixels[:9, :7] ^= 255\n"
        "IncrementalCanvas.draw = draw\n"
    )
    done = _fuzz("--gallery", str(tmp_path), "--frames", "2", "--save", str(tmp_path / "saved"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "63 pixels, x 0-6, y 0-8" in done.stdout
    assert (tmp_path / "saved" / "forks-0-0-test.png").exists()


def test_scripts_are_found_below_a_folder(tmp_path: Path) -> None:
    script = tmp_path / "galleries" / "examples" / "pie" / "pie.py"
    script.parent.mkdir(parents=True)
    script.touch()
    assert scripts_of(tmp_path) == [script]


def _fuzz(*options: str) -> subprocess.CompletedProcess[str]:
    root = FUZZ.parents[2]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(FUZZ), *options],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def _without_times(text: str) -> list[str]:
    return [
        line for line in text.splitlines() if " scripts in " not in line and "again" not in line
    ]
