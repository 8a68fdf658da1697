"""A part proves itself: what was cut short or changed in any bit is rejected."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_parts import segment

from rayanim.errors import PartsError
from rayanim.storage.segments import PartInfo, part_from_bytes, part_to_bytes
from rayanim.video.encode import EncodedPacket, EncodedSegment

PART = part_to_bytes(12, 360, "77ab", segment(12), video="c01d")

PACKETS = st.builds(EncodedPacket, st.binary(max_size=40), st.integers(-3, 99), st.booleans())
SEGMENTS = st.builds(
    EncodedSegment,
    st.integers(0, 10**6),
    st.binary(max_size=40),
    st.lists(PACKETS, max_size=8).map(tuple),
)


def test_what_was_put_in_comes_out() -> None:
    """The segment to the byte, and what the part tells of itself."""
    info, found = part_from_bytes(PART)
    assert found == segment(12)
    assert info == PartInfo(12, 360, 3, "77ab", "c01d", len(PART))
    assert info.stop == 363


@given(SEGMENTS, st.integers(0, 10**9), st.integers(0, 10**12), st.none() | st.text())
def test_any_segment_comes_out(
    given_segment: EncodedSegment, index: int, start: int, batch_digest: str | None
) -> None:
    """Whatever is in the packets, and however many there are."""
    data = part_to_bytes(index, start, batch_digest, given_segment)
    info, found = part_from_bytes(data)
    assert found == given_segment
    assert (info.index, info.start, info.batch_digest) == (index, start, batch_digest)


def test_the_same_segment_is_the_same_part() -> None:
    """No date and no name of a machine is in it."""
    assert part_to_bytes(12, 360, "77ab", segment(12), video="c01d") == PART


def test_a_part_cut_short_anywhere_is_rejected() -> None:
    """A crash at any byte leaves no part that is taken for whole."""
    for length in range(len(PART)):
        with pytest.raises(PartsError):
            part_from_bytes(PART[:length])


def test_any_flipped_bit_is_rejected() -> None:
    """In the text as in the packets."""
    for at in range(len(PART)):
        for bit in range(8):
            changed = bytearray(PART)
            changed[at] ^= 1 << bit
            with pytest.raises(PartsError):
                part_from_bytes(bytes(changed))


@given(st.data())
def test_inserted_removed_and_repeated_bytes_are_rejected(data: st.DataObject) -> None:
    """Anything but the part itself is no part."""
    start = data.draw(st.integers(0, len(PART)))
    stop = data.draw(st.integers(start, len(PART)))
    changed = PART[:start] + data.draw(st.binary(max_size=20)) + PART[stop:]
    if changed != PART:
        with pytest.raises(PartsError):
            part_from_bytes(changed)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_rejected(data: bytes) -> None:
    """Nothing but `PartsError` comes of them."""
    with pytest.raises(PartsError):
        part_from_bytes(data)


def made_by_hand(line: Any, content: bytes = b"", number: int = 1) -> bytes:
    """A part with the right checksum, whatever it says."""
    text = line if isinstance(line, bytes) else json.dumps(line).encode()
    body = text + b"\n" + content
    digest = blake2b(body, digest_size=32).hexdigest().encode()
    return b"rayanim part %d %s\n" % (number, digest) + body


RIGHT = {
    "batch": None,
    "video": "",
    "frames": 1,
    "header": 1,
    "index": 0,
    "packets": [[2, 0, 1]],
    "start": 0,
}


def test_a_part_can_be_made_and_checked_by_hand() -> None:
    """The format is what its documentation says."""
    info, found = part_from_bytes(made_by_hand(RIGHT, b"hxx"))
    assert found == EncodedSegment(1, b"h", (EncodedPacket(b"xx", 0, True),))
    assert info.n_frames == 1
    first, _, body = PART.partition(b"\n")
    assert first.split() == [
        b"rayanim",
        b"part",
        b"1",
        blake2b(body, digest_size=32).hexdigest().encode(),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"index": -1}, "wrong kind"),
        ({"index": True}, "wrong kind"),
        ({"start": 1.0}, "wrong kind"),
        ({"frames": "1"}, "wrong kind"),
        ({"header": None}, "wrong kind"),
        ({"video": None}, "wrong kind"),
        ({"batch": 5}, "wrong kind"),
        ({"packets": {}}, "wrong kind"),
        ({"packets": [[2, 0]]}, "wrong kind"),
        ({"packets": [[-2, 0, 1], [4, 0, 1]]}, "wrong kind"),
        ({"packets": [[2, 0, 2]]}, "wrong kind"),
        ({"packets": [[2, "0", 1]]}, "wrong kind"),
        ({"packets": [[3, 0, 1]]}, "have 4 bytes, but 3"),
        ({"header": 0}, "have 2 bytes, but 3"),
        ({"more": 1}, "must have"),
    ],
)
def test_what_it_says_of_itself_must_make_sense(changes: dict[str, Any], reason: str) -> None:
    """Although the checksum is right."""
    with pytest.raises(PartsError, match=reason):
        part_from_bytes(made_by_hand({**RIGHT, **changes}, b"hxx"))


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"index": 1}'])
def test_a_second_line_that_is_not_a_part_s(line: bytes) -> None:
    """No JSON, no object, or without what is needed."""
    with pytest.raises(PartsError, match="second line"):
        part_from_bytes(made_by_hand(line))


def test_a_part_of_a_later_format_is_rejected_as_such() -> None:
    """Its checksum is not even looked at, as that may be another one."""
    with pytest.raises(PartsError, match="has format 2, this rayanim reads format 1"):
        part_from_bytes(made_by_hand(RIGHT, b"hxx", number=2))
