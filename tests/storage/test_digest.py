"""The same parameters have the same digest in every process, others another one or none."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rayanim.storage.fingerprint import batch_digest


@dataclasses.dataclass
class Point:
    """A parameter as users write them."""

    x: float
    tags: set[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    """Without a dictionary of its own."""

    name: str


class Plain:
    """An ordinary object."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def method(self) -> None:
        """To be held by a parameter."""


class Listing(list[int]):
    """A list with a name."""


class Colour(enum.Enum):
    """A choice."""

    RED = 1
    BLUE = 2


Pair = collections.namedtuple("Pair", "left right")


def comparable() -> dict[str, Any]:
    """Values that differ from each other, all of which can be compared."""
    structured = np.zeros(3, np.dtype([("a", "u1"), ("b", "f8")], align=True))
    values = {
        "nothing": None,
        "true": True,
        "one": 1,
        "one point": 1.0,
        "one complex": 1 + 0j,
        "zero point": 0.0,
        "minus zero": -0.0,
        "large": 10**50,
        "text": "é",
        "surrogate": "\udc80",
        "bytes": b"\xc3\xa9",
        "array of bytes": bytearray(b"x"),
        "list": [1, 2],
        "tuple": (1, 2),
        "floats": [1.0, 2.0],
        "mixed": [1, 2.0],
        "nested": [[1], [2]],
        "nested otherwise": [[1, 2], []],
        "texts": ["ab", "c"],
        "texts otherwise": ["a", "bc"],
        "set": {"b", "a", "c", "dd"},
        "frozen": frozenset([("a", 1), ("b", 2)]),
        "dict": {"x": 1, "y": [2]},
        "dict otherwise": {"x": [1], "y": 2},
        "ordered": collections.OrderedDict(a=1),
        "default": collections.defaultdict(list, a=[1]),
        "deque": collections.deque([1, 2], 3),
        "listing": Listing([1, 2]),
        "array": np.arange(6.0).reshape(2, 3),
        "array, other shape": np.arange(6.0).reshape(3, 2),
        "array, other type": np.arange(6).reshape(2, 3),
        "array, turned": np.arange(6.0).reshape(3, 2).T,
        "array, empty": np.zeros((0, 3)),
        "array of one": np.array(3.0),
        "array of objects": np.array([1, "a", None], object),
        "array of dates": np.array(["2020-01-01"], "M8[D]"),
        "array of texts": np.array(["aé"]),
        "array of structures": structured,
        "masked": np.ma.array([1, 2], mask=[0, 1]),
        "scalar": np.float32(1.5),
        "generator": np.random.default_rng(3),
        "generator, other seed": np.random.default_rng(4),
        "random": random.Random(3),
        "point": Point(1, {"b", "a"}),
        "slotted": Slotted("x"),
        "plain": Plain(x={"q": 1}),
        "plain otherwise": Plain(x={"q": 2}),
        "pair": Pair(1, 2),
        "red": Colour.RED,
        "blue": Colour.BLUE,
        "fraction": fractions.Fraction(1, 3),
        "decimal": decimal.Decimal("1.10"),
        "path": pathlib.PurePosixPath("a/b"),
        "instant": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        "span": datetime.timedelta(1),
        "range": range(3),
        "slice": slice(1, 2),
        "pattern": re.compile("a+"),
        "partial": functools.partial(max, 3),
        "namespace": types.SimpleNamespace(a=1),
        "image": Image.new("RGB", (2, 2), "red"),
        "image otherwise": Image.new("RGB", (2, 2), "blue"),
        "class": Plain,
        "function": comparable,
        "built in": len,
        "universal": np.sin,
        "method": Plain(x=1).method,
        "dots": ...,
    }
    circle: list[Any] = [1]
    circle.append(circle)
    return {**values, "circle": circle}


def digests() -> dict[str, str | None]:
    """The digest of each of them."""
    return {name: batch_digest([0], [value]) for name, value in comparable().items()}


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_digests_are_the_same_in_every_process(hash_seed: str) -> None:
    """Whatever the process hashes strings to, and wherever its objects lie."""
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "import json, test_digest; print(json.dumps(test_digest.digests()))",
        ],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = digests()
    assert json.loads(child.stdout) == found
    assert None not in found.values()


def test_different_values_have_different_digests() -> None:
    """Those that are equal for Python too: 1, 1.0 and True draw different labels."""
    found = digests()
    assert len(set(found.values())) == len(found)


@settings(max_examples=30)
@given(st.recursive(st.integers() | st.text() | st.floats(), lambda each: st.lists(each)))
def test_a_copy_has_the_same_digest(value: Any) -> None:
    """Whether its parts are shared or not."""
    import copy

    digest = batch_digest([0], [value, value])
    assert digest is not None
    assert batch_digest([0], [copy.deepcopy(value), value]) == digest


def local_class() -> Any:
    class Local:
        """Not to be found from outside."""

    return Local()


class Raising:
    """An object that does not want to be looked at."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("no")


def deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


UNTELLABLE = {
    "lambda": lambda: 1,
    "in a list": [{"a": lambda: 1}],
    "generator": (each for each in ()),
    "module": os,
    "local": local_class(),
    "raising": Raising(),
    "deep": deep(),
    "memory": memoryview(b"x"),
    "file": sys.__stdout__,
}


@pytest.mark.parametrize("name", UNTELLABLE)
def test_what_cannot_be_compared_has_no_digest(name: str) -> None:
    """Its segment is drawn again rather than trusted."""
    assert batch_digest([0], [UNTELLABLE[name]]) is None


def test_numbers_and_parameters_both_count() -> None:
    """As do their order and their borders; how they are held does not."""
    assert batch_digest(range(2, 5), None) == batch_digest([2, 3, 4], None)
    assert batch_digest([0, 1], ["a", "b"]) == batch_digest(range(2), ("a", "b"))
    others = [
        batch_digest([0, 1], None),
        batch_digest([1, 0], None),
        batch_digest([0], None),
        batch_digest([0, 1], ["a", "b"]),
        batch_digest([0, 1], ["b", "a"]),
        batch_digest([0, 1], ["ab", ""]),
        batch_digest([0, 1], [None, None]),
    ]
    assert len(set(others)) == len(others)


def test_padding_of_structures_does_not_count() -> None:
    """It is whatever was in memory before."""
    kind = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    filled = np.full(kind.itemsize * 2, 255, np.uint8).view(kind)
    filled["a"], filled["b"] = 1, 2.0
    clean = np.zeros(2, kind)
    clean["a"], clean["b"] = 1, 2.0
    assert batch_digest([0], [filled]) == batch_digest([0], [clean])


def test_a_digest_changes_nothing() -> None:
    """A generator's next number is the one it would have been."""
    hashed, other = random.Random(1), random.Random(1)
    batch_digest([0], [hashed])
    assert hashed.random() == other.random()
