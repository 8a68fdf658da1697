"""Random numbers belong to the frame, and the caller's stay the caller's."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from rayanim.randomness import SETUP, kept_randomness, seed_for


def drawn(seed: int | None, frame: int) -> tuple[float, float]:
    """The first number of each global generator for a frame."""
    seed_for(seed, frame)
    return random.random(), float(np.random.random())


def test_a_frame_has_its_own_numbers() -> None:
    """The same for the same seed and frame, others for other ones."""
    with kept_randomness():
        numbers = {(seed, frame): drawn(seed, frame) for seed in (0, 1) for frame in (SETUP, 0, 1)}
        assert all(drawn(*key) == values for key, values in numbers.items())
    for generator in (0, 1):
        assert len({values[generator] for values in numbers.values()}) == len(numbers)


def test_numbers_do_not_depend_on_the_process() -> None:
    """Another process, with other hashes of strings, draws the same ones."""
    code = (
        "import random, numpy as np; from rayanim.randomness import seed_for; "
        "seed_for(3, 41); print(random.random(), float(np.random.random()))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with kept_randomness():
        assert tuple(map(float, out.split())) == drawn(3, 41)


def test_without_a_seed_the_generators_are_left_alone() -> None:
    """None sets nothing."""
    with kept_randomness():
        before = random.getstate(), repr(np.random.get_state())
        seed_for(None, 5)
        assert (random.getstate(), repr(np.random.get_state())) == before


def test_the_caller_s_numbers_go_on_as_if_nothing_had_been() -> None:
    """Both generators are put back, when the job fails too."""
    random.seed(5), np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5), np.random.seed(5)
    with pytest.raises(ValueError), kept_randomness():
        drawn(0, 0)
        raise ValueError
    assert (random.random(), np.random.random()) == expected
