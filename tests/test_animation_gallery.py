"""matplotlib's own animation examples, unchanged: the frames that `Animation.save` gives."""

from __future__ import annotations

import contextlib
import pickle
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from lossless import grabbed
from matplotlib.animation import Animation
from test_animations import drawn, source_of

from rayanim.cli.script import as_main, execute
from rayanim.engine.packing import own_modules_by_value

sys.path.append(str(Path(__file__).parent / "figure"))

from gallery_archive import NoGalleryError, fetch, provide_sample_data

pytestmark = pytest.mark.slow

WITH_ANIMATION = 13
"""Scripts with an animation; one grabs frames in a loop, and one only draws again and again."""

MOST_FRAMES = 12


@contextlib.contextmanager
def made_by(script: Path) -> Iterator[list[Any]]:
    """The animations that a script makes, with some of their frames, saved by nobody."""
    plt.close("all")
    mpl.rcdefaults()
    plt.switch_backend("agg")
    np.random.seed(7)
    random.seed(7)
    made: list[Any] = []
    with pytest.MonkeyPatch.context() as patch, as_main(script) as module:
        init = Animation.__init__

        def recorded(animation: Any, *arguments: Any, **options: Any) -> None:
            init(animation, *arguments, **options)
            made.append(animation)

        patch.setattr(Animation, "__init__", recorded)
        patch.setattr(Animation, "save", lambda *arguments, **options: None)
        execute(module)
        patch.undo()
        for each in made:
            if getattr(each, "_save_count", 0) != 0:
                each._save_count = min(MOST_FRAMES, each._save_count or MOST_FRAMES)
        yield made


@pytest.mark.timeout(900)
def test_matplotlib_s_own_examples_have_the_same_frames(request: pytest.FixtureRequest) -> None:
    """In this process, and by a copy that draws later frames first."""
    try:
        gallery = fetch(Path(request.config.cache.mkdir("matplotlib-gallery")))
    except NoGalleryError as error:
        pytest.skip(str(error))
    provide_sample_data(gallery)
    seen = 0
    for script in sorted((gallery / "galleries" / "examples" / "animation").glob("*.py")):
        if script.stem in ("animation_demo", "frame_grabbing_sgskip"):
            continue  # they make no Animation
        with made_by(script) as (animation,):
            expected = grabbed(animation)
        with made_by(script) as (animation,):
            source = source_of(animation)
            packed = None
            if source.stays is None:
                with own_modules_by_value():
                    packed = pickle.dumps(source)
            found = drawn(source)
        assert len(found) == len(expected), script.name
        assert [at for at, each in enumerate(found) if (each != expected[at]).any()] == []
        if packed is not None:
            sent = pickle.loads(packed)
            sent.open(None)
            for number in (3, 1, len(expected) - 1):
                assert np.array_equal(sent.draw(number, None), expected[number]), script.name
            sent.close()
        seen += 1
    assert seen == WITH_ANIMATION
