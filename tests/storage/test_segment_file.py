"""A segment file proves itself: what was cut short or changed in any bit is rejected."""

from __future__ import annotations

from hashlib import blake2b

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_segments import segment

from rayanim.errors import PartsError
from rayanim.storage.segments import SegmentInfo, segment_from_bytes, segment_to_bytes
from rayanim.video.encode import EncodedPacket, EncodedSegment

FILE_BYTES = segment_to_bytes(12, 360, "77ab", segment(12), video="c01d")

PACKETS = st.builds(EncodedPacket, st.binary(max_size=40), st.integers(-3, 99), st.booleans())
SEGMENTS = st.builds(
    EncodedSegment,
    st.integers(0, 10**6),
    st.binary(max_size=40),
    st.lists(PACKETS, max_size=8).map(tuple),
)


def test_what_was_put_in_comes_out() -> None:
    """The segment to the byte, and what the file says of itself."""
    info, found = segment_from_bytes(FILE_BYTES)
    assert found == segment(12)
    assert info == SegmentInfo(12, 360, 3, "77ab", "c01d", len(FILE_BYTES))
    assert info.stop == 363


@given(SEGMENTS, st.integers(0, 10**9), st.integers(0, 10**12), st.none() | st.text())
def test_any_segment_comes_out(
    given_segment: EncodedSegment, index: int, start: int, batch_digest: str | None
) -> None:
    """Whatever is in the packets, and however many there are."""
    data = segment_to_bytes(index, start, batch_digest, given_segment)
    info, found = segment_from_bytes(data)
    assert found == given_segment
    assert (info.index, info.start, info.batch_digest) == (index, start, batch_digest)


def test_the_same_segment_is_the_same_file() -> None:
    """No date and no name of a machine is in it."""
    assert segment_to_bytes(12, 360, "77ab", segment(12), video="c01d") == FILE_BYTES


def test_a_file_cut_short_anywhere_is_rejected() -> None:
    """A crash at any byte leaves no file that is taken for whole."""
    for length in range(len(FILE_BYTES)):
        with pytest.raises(PartsError):
            segment_from_bytes(FILE_BYTES[:length])


def test_any_flipped_bit_is_rejected() -> None:
    """In the text as in the packets."""
    for at in range(len(FILE_BYTES)):
        for bit in range(8):
            changed = bytearray(FILE_BYTES)
            changed[at] ^= 1 << bit
            with pytest.raises(PartsError):
                segment_from_bytes(bytes(changed))


@given(st.data())
def test_inserted_removed_and_repeated_bytes_are_rejected(data: st.DataObject) -> None:
    """Anything but the file itself is no segment."""
    start = data.draw(st.integers(0, len(FILE_BYTES)))
    stop = data.draw(st.integers(start, len(FILE_BYTES)))
    changed = FILE_BYTES[:start] + data.draw(st.binary(max_size=20)) + FILE_BYTES[stop:]
    if changed != FILE_BYTES:
        with pytest.raises(PartsError):
            segment_from_bytes(changed)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_rejected(data: bytes) -> None:
    """Nothing but `PartsError` comes of them."""
    with pytest.raises(PartsError):
        segment_from_bytes(data)


def test_a_file_can_be_made_and_checked_by_hand() -> None:
    """The format is what its documentation says."""
    body = msgpack.packb([0, 0, None, "", 1, b"h", [[b"xx", 0, True]], b"ends", None, []])
    digest = blake2b(body, digest_size=32).hexdigest().encode()
    info, found = segment_from_bytes(b"rayanim segment 4 %s\n" % digest + body)
    assert found == EncodedSegment(1, b"h", (EncodedPacket(b"xx", 0, True),), b"ends")
    assert info.n_frames == 1
    first, _, body = FILE_BYTES.partition(b"\n")
    assert first.split()[3] == blake2b(body, digest_size=32).hexdigest().encode()


def test_a_segment_of_a_later_format_is_rejected_as_such() -> None:
    """Its checksum is not even looked at, as that may be another one."""
    with pytest.raises(PartsError, match="has format 5, this rayanim reads format 4"):
        segment_from_bytes(FILE_BYTES.replace(b"segment 4", b"segment 5", 1))
