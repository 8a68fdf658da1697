"""The cache keeps what was used last, and is never a reason to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rayanim.storage.cache import SegmentCache, cache_folder

KNOWN = {"marks": {"3": "ab"}, "next_state": None}


@pytest.fixture
def cache(tmp_path: Path) -> SegmentCache:
    """Room for three segments of 1000 bytes."""
    cache = SegmentCache(tmp_path / "cache", limit_bytes=3500)
    assert cache.is_usable
    return cache


def kept(cache: SegmentCache, key: str, age_s: int = 0) -> str:
    segment = cache.folder.with_name(f"{key}.segment")
    segment.write_bytes(key.encode() * 500)
    cache.keep(key, segment, KNOWN)
    part = cache.folder / f"{key}.part"
    os.utime(part, (part.stat().st_mtime - age_s,) * 2)
    return key


def test_a_segment_is_given_back_with_its_digests(cache: SegmentCache, tmp_path: Path) -> None:
    kept(cache, "k1")
    assert cache.about("k1") == KNOWN
    assert cache.take("k1", tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == b"k1" * 500
    assert (tmp_path / "here").stat().st_ino == (cache.folder / "k1.part").stat().st_ino
    assert not cache.take("k1", tmp_path / "here")  # there is one
    assert cache.about("k2") is None
    assert not cache.take("k2", tmp_path / "there")


def test_those_go_first_that_were_not_used_for_the_longest_time(
    cache: SegmentCache, tmp_path: Path
) -> None:
    for age_s, key in enumerate(["k1", "k2", "k3", "k4"]):
        kept(cache, key, age_s=100 - age_s)
    assert cache.size() == (4, 4000)
    assert cache.take("k1", tmp_path / "here")
    cache.shrink()
    assert cache.size() == (3, 3000)
    assert [cache.about(key) is None for key in ("k1", "k2", "k3", "k4")] == [0, 1, 0, 0]
    # What was taken is the job's own.
    assert (tmp_path / "here").exists()


def test_segments_of_one_video_are_dropped_together(cache: SegmentCache) -> None:
    for key in ("a1", "a2", "b1"):
        kept(cache, key)
    cache.drop("a")
    assert [each.name for each in sorted(cache.folder.iterdir())] == ["b1.json", "b1.part"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"a": 1}', '{"marks": {}, "next_state": ""}',
        '{"marks": {"x": "ab"}, "next_state": ""}', '{"marks": {"3": "x"}, "next_state": ""}',
        '{"marks": {"3": null}, "next_state": ""}', '{"marks": {"3": "ab"}, "next_state": 1}',
    ],
)  # fmt: skip
def test_digests_that_cannot_be_read_are_no_segment(cache: SegmentCache, text: str) -> None:
    kept(cache, "k1")
    (cache.folder / "k1.json").write_text(text)
    assert cache.about("k1") is None


def test_a_segment_that_is_broken_is_replaced(cache: SegmentCache) -> None:
    kept(cache, "k1")
    (cache.folder / "k1.part").unlink()
    (cache.folder / "k1.part").write_bytes(b"k")
    (cache.folder / "k1.json").write_text("")
    kept(cache, "k1")
    assert (cache.folder / "k1.part").read_bytes() == b"k1" * 500
    assert cache.about("k1") == KNOWN


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not SegmentCache(tmp_path / "file" / "cache").is_usable


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "rayanim" / "segments"
    for name in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", name)
        assert cache_folder() == Path.home() / ".cache" / "rayanim" / "segments"


def test_clearing_removes_all(cache: SegmentCache) -> None:
    kept(cache, "k1")
    cache.clear()
    cache.clear()
    assert (cache.size(), cache.folder.exists()) == ((0, 0), False)


def test_digests_of_the_last_video_are_replaced_as_a_whole(
    cache: SegmentCache, tmp_path: Path
) -> None:
    """Who reads them meanwhile has the old ones or the new ones."""
    cache.keep_last("v", {"a": "1"})
    os.link(cache.folder / "v.last", tmp_path / "being read")
    cache.keep_last("v", {"b": "2"})
    assert cache.last("v") == {"b": "2"}
    assert (tmp_path / "being read").read_text() == '{"a": "1"}'
    assert os.listdir(cache.folder) == ["v.last"]


def test_two_jobs_may_drop_the_same_old_digests(
    cache: SegmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep_last("old", {})

    def dropped_by_another(path: Path) -> float:
        if path.name != "old.last":
            return 1.0
        path.unlink()
        return 0.0

    monkeypatch.setattr("rayanim.storage.cache._time_of", dropped_by_another)
    monkeypatch.setattr("rayanim.storage.cache.MOST_LAST", 1)
    cache.keep_last("new", {"a": "1"})
    assert cache.last("new") == {"a": "1"}
