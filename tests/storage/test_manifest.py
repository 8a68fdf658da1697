"""The manifest says of which video segments are, and what has changed since."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from sample_segments import SPEC, manifest, sealed

from rayanim.errors import PartsError
from rayanim.storage.fingerprint import versions
from rayanim.storage.segments import MANIFEST_BEGINS, Manifest

TEXT = manifest().to_json()
VALUES = {key: value for key, value in json.loads(TEXT).items() if key != "digest"}


def test_what_was_written_is_read() -> None:
    """Fractions and tuples of the stream included, which JSON does not have."""
    assert Manifest.from_json(TEXT) == manifest()
    assert Manifest.from_json(TEXT).digest == manifest().digest
    assert manifest().stream["rate"] == "30000/1001"
    assert manifest().stream["size"] == [642, 480]
    assert sealed(VALUES) == TEXT


def test_it_is_known_by_how_it_begins() -> None:
    """So that a folder with a broken one is still known for rayanim's."""
    assert TEXT.encode().startswith(MANIFEST_BEGINS)


def test_a_manifest_cut_short_anywhere_is_rejected() -> None:
    """A crash at any byte leaves none that is taken for whole."""
    for length in range(len(TEXT)):
        with pytest.raises(PartsError):
            Manifest.from_json(TEXT[:length])


def test_any_flipped_bit_is_rejected() -> None:
    """Also one that would only change a number, or a space."""
    for at in range(len(TEXT)):
        for bit in range(7):
            changed = TEXT[:at] + chr(ord(TEXT[at]) ^ 1 << bit) + TEXT[at + 1 :]
            with pytest.raises(PartsError):
                Manifest.from_json(changed)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, "\ufffd", '{"format": 1}'])
def test_what_is_no_manifest_is_rejected(text: str) -> None:
    """Nothing but `PartsError` comes of it."""
    with pytest.raises(PartsError):
        Manifest.from_json(text)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_field_is_needed(name: str) -> None:
    """Its digest may be right, a field that is missing is named."""
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(PartsError, match=name):
        Manifest.from_json(sealed(values))


def test_unknown_fields_are_rejected() -> None:
    """They would not be compared."""
    with pytest.raises(PartsError, match="later"):
        Manifest.from_json(sealed({**VALUES, "later": 1}))


def test_another_format_is_reported_before_anything_else() -> None:
    """A later rayanim may have other fields: its manifest is not called broken."""
    with pytest.raises(PartsError, match="has format 5, this rayanim reads format 4"):
        Manifest.from_json(sealed({"format": 5, "other": "fields"}))


def stream_with(**changes: Any) -> dict[str, Any]:
    return dataclasses.asdict(dataclasses.replace(SPEC, **changes))


DIFFERENCES = [
    ({"rayanim": "0.3.0"}, "rayanim's version was 0.2.0, is 0.3.0 now"),
    (
        {"libraries": {"av": "17.0.0", "libavcodec": "62.28.102"}},
        "av was 18.1.0, is 17.0.0 now",
    ),
    ({"libraries": {"av": "18.1.0"}}, "libavcodec was 62.28.102, is absent now"),
    ({"n_frames": None}, "the number of frames was 300, is not given now"),
    ({"segment_frames": "60"}, "segment_frames was 30, is 60 now"),
    ({"stream": stream_with(rate=60)}, "fps was 30000/1001, is 60 now"),
    ({"stream": stream_with(size=(640, 480))}, "the video's size was 642x480, is 640x480 now"),
    (
        {"stream": stream_with(options=(("crf", "18"), ("preset", "medium")))},
        "crf was 23, is 18 now",
    ),
    (
        {"stream": stream_with(background=(0, 0, 0))},
        "background was 255, 255, 255, is 0, 0, 0 now",
    ),
    ({"stream": stream_with(bitrate_kbps=500)}, "bitrate was not given, is 500 now"),
    ({"seed": None}, "seed was 0, is not given now"),
    ({"source": "ff"}, "the drawing code has changed"),
    (
        {"values": {"speed": "ff", "lock": "ab", "size": "ab"}},
        "values of the source have changed: speed, size",
    ),
    ({"source_name": "Line"}, "what is drawn was Wäve \udc80, is Line now"),
    ({"first_frame": "ff"}, "the first frame has other pixels"),
]


def test_equal_numbers_are_the_same_video() -> None:
    """However they were written."""
    one, two = (manifest(stream=stream_with(bitrate_kbps=each)) for each in (500, 500.0))
    assert one.differences(two) == []
    assert one.digest == two.digest


@pytest.mark.parametrize(("changes", "sentence"), DIFFERENCES)
def test_each_difference_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    """And makes another video of it."""
    assert manifest().differences(manifest(**changes)) == [sentence]
    assert manifest().digest != manifest(**changes).digest


def test_all_differences_are_named_and_none_where_there_is_none() -> None:
    """Every field takes part."""
    assert manifest().differences(Manifest.from_json(TEXT)) == []
    changes: dict[str, Any] = {}
    for each, _sentence in DIFFERENCES:
        changes |= each
    assert changes.keys() | {"format"} == VALUES.keys()
    assert len(manifest().differences(manifest(**changes, format=5))) == len(changes) + 1


@pytest.mark.parametrize("values", [{"speed": None, "lock": "ab"}, {"speed": "12ab"}])
def test_values_that_cannot_be_compared_are_no_difference(values: dict[str, Any]) -> None:
    """On either side; they are named as not compared."""
    now = manifest(values=values)
    assert manifest().differences(now) == now.differences(manifest()) == []
    expected = {"lock"} | ({"speed"} if values["speed"] is None else set())
    assert set(manifest().not_compared(now)) == set(now.not_compared(manifest())) == expected


def test_of_many_changed_values_some_are_named() -> None:
    """A sentence stays one."""
    now = manifest(values={f"v{number}": "ab" for number in range(9)})
    assert manifest(values={}).differences(now) == [
        "values of the source have changed: v0, v1, v2, v3, v4 and 4 more"
    ]


def test_versions_name_what_decides_bytes() -> None:
    """As texts that a manifest takes."""
    found = versions()
    assert found.keys() >= {"python", "machine", "numpy", "matplotlib", "pillow", "av"}
    assert found["libavcodec"].count(".") == 2
    assert Manifest.from_json(manifest(libraries=found).to_json()).libraries == found
