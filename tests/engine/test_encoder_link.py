"""The encoder actor at the driver's end: what it fails with, and how long it is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_writer import FakeWriter

from rayanim.engine import encoder
from rayanim.engine.chunks import Drawn
from rayanim.engine.encoder import EncoderLink
from rayanim.engine.plan import Chunk, Segment
from rayanim.engine.stats import JobName
from rayanim.errors import EncodeError
from rayanim.parameters import Batch

CHUNK = Chunk(0, 0, 8, Batch(range(8), None), Segment(0, 0, 250), encodes=True)


@pytest.fixture
def link_of(on_ray: Any, tmp_path: Path) -> Iterator[Callable[[str], EncoderLink]]:
    """Makes links of which no actor is left."""
    links: list[EncoderLink] = []

    def make(how: str) -> EncoderLink:
        links.append(EncoderLink(FakeWriter(tmp_path / "video", how), JobName()))
        return links[-1]

    yield make
    for link in links:
        link.kill()


def put(link: EncoderLink, ray: Any) -> None:
    link.put(Drawn(CHUNK, ray.put(b"pixels"), "digest"))


@pytest.mark.slow
def test_what_was_handed_over_is_written_before_the_end(
    link_of: Callable[[str], EncoderLink], on_ray: Any, tmp_path: Path
) -> None:
    """A job that fails loses nothing that is drawn."""
    link = link_of("")
    link.start()
    put(link, on_ray)
    link.settle(10.0)
    link.kill()
    assert (tmp_path / "video.part").read_bytes() == b"pixels"


@pytest.mark.slow
def test_a_file_that_cannot_be_opened_says_so(link_of: Callable[[str], EncoderLink]) -> None:
    """By its own error, not as the death of an actor."""
    with pytest.raises(EncodeError, match="no such disk"):
        link_of("cannot open").start()


@pytest.mark.slow
def test_code_that_fails_in_the_encoder_is_no_death(
    link_of: Callable[[str], EncoderLink], on_ray: Any
) -> None:
    """Another actor would fail of it, too."""
    link = link_of("is wrong")
    link.start()
    put(link, on_ray)
    (ref,) = link.refs()
    with pytest.raises(EncodeError, match=r"in the encoder actor.*no such segment"):
        link.take(ref)


@pytest.mark.slow
def test_a_video_that_is_being_written_is_waited_for(
    link_of: Callable[[str], EncoderLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than an answer may take; one that stands still is given up."""
    monkeypatch.setattr(encoder, "ENCODE_LIMIT_S", 0.8)
    monkeypatch.setattr(encoder, "FINISH_POLL_S", 0.1)
    link = link_of("")
    link.start()
    assert link.finish(8) == 15
    link.kill()
    still = link_of("stands still")
    still.start()
    with pytest.raises(encoder.EncoderLostError, match="has not answered"):
        still.finish(8)
