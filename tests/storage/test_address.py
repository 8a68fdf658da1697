"""What a user wrote is a path or a URL by its form alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayanim.errors import OutputError
from rayanim.storage.address import Url, address_of


@pytest.mark.parametrize(
    "text", ["video.mp4", "C:\\videos\\video.mp4", "C:/video.mp4", "s3:/x", "a://b"]
)
def test_what_has_no_protocol_is_a_path(text: str) -> None:
    """A drive's letter is no protocol."""
    assert address_of(text) == Path(text)


def test_a_url_stays_as_it_was_written() -> None:
    """No slash is lost, and only its protocol's letters count as equal."""
    url = address_of("S3://Videos/a b/Video.MP4")
    assert (str(url), url.name, url.suffix) == ("s3://Videos/a b/Video.MP4", "Video.MP4", ".MP4")
    assert isinstance(url, Url)
    assert (url.bucket, address_of(url)) == ("Videos", url)


def test_a_url_has_neighbours_as_a_path_has() -> None:
    """Its name can be changed, and a folder in front of it is of no matter."""
    url = Url("s3://videos/a/video.mp4")
    assert str(url.with_name("b.mp4")) == "s3://videos/a/b.mp4"
    assert str(url.with_suffix(".png")) == "s3://videos/a/video.png"
    assert str(Url("memory://a") / "b") == "memory://a/b"
    assert Path("/folder") / url == url  # type: ignore[operator]


def test_a_file_url_is_a_path_of_this_machine() -> None:
    """With three slashes, or with this machine's name."""
    assert address_of("file:///shared/video.mp4") == Path("/shared/video.mp4")
    assert address_of("FILE://localhost/shared/video.mp4") == Path("/shared/video.mp4")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("file://shared/video.mp4", "file:///shared/video.mp4"),
        ("folder/", "'folder/' is a folder. Name a file in it, such as folder/wave.mp4."),
        ("file:///folder/", "'file:///folder/' is a folder"),
        ("simplecache::s3://videos/video.mp4", "store alone"),
        ("zip://a.mp4::s3://videos/a.zip", "store alone"),
        (Path("s3://videos/video.mp4"), "'s3://videos/video.mp4'"),
    ],
)
def test_slips_are_explained_with_what_was_meant(given: str | Path, expected: str) -> None:
    """A host where there is none, a chain, and a URL that went through a Path."""
    with pytest.raises(OutputError, match=r"address|three slashes|is a folder") as caught:
        address_of(given)
    assert expected in caught.value.message
