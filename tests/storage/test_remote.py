"""A store's client may hang, fail and lie: what comes out is one sentence within a limit."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from rayanim.errors import OutputError
from rayanim.storage import store as store_module
from rayanim.storage.address import Url
from rayanim.storage.store import (
    PIECE_BYTES,
    Refusal,
    Store,
    digests_of,
    persistently,
    refusal_of,
    within,
)


class NoCredentialsError(Exception):
    """Named as botocore's."""


class EndpointConnectionError(Exception):
    """Named as botocore's."""


@pytest.mark.parametrize(
    ("error", "expected", "is_lasting"),
    [
        (NoCredentialsError("Unable to locate"), "Set AWS_ACCESS_KEY_ID", True),
        (PermissionError("Forbidden"), "refuses access: Forbidden", True),
        (FileNotFoundError("The specified bucket does not exist"), "no bucket 'videos'", True),
        (FileNotFoundError("videos-bucket/x"), "it is not there", True),
        (EndpointConnectionError("no route"), "cannot be reached (no route)", False),
        (TimeoutError("no answer within 5 s"), "did not answer", False),
        (OSError(errno.EINVAL, "bad name"), "bad name", True),
        (OSError(errno.EBUSY, "slow down"), "slow down", False),
        (RuntimeError("strange.\nvery"), "strange. very", False),
        (KeyError(), "KeyError", False),
    ],
)
def test_each_failure_has_a_sentence(error: Exception, expected: str, is_lasting: bool) -> None:
    """And it is known whether to ask again."""
    refusal = refusal_of(error, "s3", "videos")
    assert expected in refusal.text
    assert refusal.is_lasting == is_lasting


def test_what_is_missing_where_something_is_written_is_the_bucket() -> None:
    """Some stores say no more than that nothing was found."""
    refusal = refusal_of(FileNotFoundError("videos/x"), "gs", "videos", is_writing=True)
    assert "no bucket 'videos'" in refusal.text


def test_a_call_that_hangs_is_left_behind() -> None:
    """Who called goes on."""
    forever = threading.Event()
    with pytest.raises(TimeoutError, match="no answer"):
        within(0.05, forever.wait)
    forever.set()


@pytest.mark.parametrize(("is_lasting", "tries"), [(False, 3), (True, 1)])
def test_only_what_may_pass_is_tried_again(is_lasting: bool, tries: int) -> None:
    """As often as there are pauses, and once more."""
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ValueError

    with pytest.raises(OSError, match="said"):
        persistently(
            fail, lambda _: Refusal(errno.EIO, "said", is_lasting), limit_s=9, pauses_s=(0, 0)
        )
    assert len(calls) == tries


def test_calls_side_by_side_keep_their_order_and_bound() -> None:
    """Nothing is taken from the source long before it is wanted."""
    taken: list[int] = []

    def source():
        for number in range(20):
            taken.append(number)
            yield number

    store = Store()
    store.width = 4
    results = store.each(lambda number: number * 2, source())
    assert next(results) == 0
    assert len(taken) == 4
    assert list(results) == list(range(2, 40, 2))


def test_unknown_stores_and_missing_clients_are_reported_before_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what to install."""
    with pytest.raises(OutputError, match="no address that fsspec knows"):
        Store("nonsense")

    def missing(protocol: str) -> None:
        raise ImportError(f"Install {protocol}fs")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(OutputError, match=r"pip install 'rayanim\[s3\]'"):
        Store("s3a")
    with pytest.raises(OutputError, match="Install sftpfs"):
        Store("sftp")


def test_a_store_travels_with_what_its_client_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor's environment is not the driver's; its own counts more."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://there")
    monkeypatch.setenv("AWS_REGION", "here")
    data = pickle.dumps(Store("memory", {"secret": "hush"}))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_REGION", "elsewhere")
    store = pickle.loads(data)
    assert (os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"]) == (
        "http://there",
        "elsewhere",
    )
    assert "hush" not in repr(store)


@pytest.mark.parametrize("change", [b"", b"longer by far", b"other"])
def test_an_upload_that_arrived_otherwise_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes
) -> None:
    """By its size, or by reading it back."""
    video, url = tmp_path / "video", Url("memory://changed/video.mp4")
    video.write_bytes(b"bytes")
    put_file = MemoryFileSystem.put_file

    def put_other(client: MemoryFileSystem, path: str, to: str, **how: object) -> None:
        put_file(client, path, to)
        client.pipe_file(to, change)

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_other)
    with pytest.raises(OSError, match="uploaded"):
        Store("memory").upload(video, url)


def test_a_video_that_was_moved_without_an_answer_has_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a store has no whole objects: trying again finds nothing to move, but the video."""
    video, url = tmp_path / "video", Url("memory://moved/video.mp4")
    video.write_bytes(b"bytes")
    move, moves = MemoryFileSystem.mv, []

    def move_silently(client: MemoryFileSystem, path: str, to: str) -> None:
        moves.append(to)
        move(client, path, to)
        if len(moves) == 1:
            raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "mv", move_silently)
    monkeypatch.setattr(Store, "pauses_s", (0,))
    monkeypatch.setattr(store_module, "_ATOMIC", ())
    store = Store("memory")
    store.upload(video, url)
    assert len(moves) == 2 and store.read(url) == b"bytes"


def test_digests_are_those_that_stores_make(tmp_path: Path) -> None:
    """Of a file in one piece, in two, and in one and a bit."""
    whole = digests_of(iter([b"abc"]))
    assert whole.whole.hex() == "900150983cd24fb0d6963f7d28e17f72"
    block = bytes(2**20)
    count = PIECE_BYTES // 2**20
    assert digests_of(iter([block] * count)).in_pieces.endswith("-1")
    two = digests_of(iter([*[block] * count, b"x"]))
    assert (two.in_pieces.endswith("-2"), two.size_bytes) == (True, PIECE_BYTES + 1)


def test_listing_and_reading() -> None:
    """Names are those directly below; what is not there is empty or missing."""
    store, folder = Store("memory"), Url("memory://listed/video.mp4.parts")
    assert store.names(folder) == []
    store.write(folder / "a", b"1234")
    store.write(folder / "deeper" / "b", b"5")
    store.write(folder / "c", b"1234")
    assert sorted(store.names(folder)) == ["a", "c", "deeper"]
    assert (store.read(folder / "c"), store.read(folder / "a", 2)) == (b"1234", b"12")
    assert (store.kind(folder), store.kind(folder / "a"), store.kind(folder / "x")) == (
        "directory",
        "file",
        None,
    )
    store.remove([folder / "a", folder / "x"])
    assert store.kind(folder / "a") is None
    with pytest.raises(FileNotFoundError):
        store.read(folder / "a")


def test_a_folder_is_moved_with_its_last_file_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is interrupted, one of the two is whole."""
    store, folder = Store("memory"), Url("memory://moving/video.mp4.parts")
    other = folder.with_name("other")
    for name in ("last", "a", "b"):
        store.write(folder / name, name.encode())
    copied: list[str] = []
    copy = MemoryFileSystem.cp_file

    def watched(client: MemoryFileSystem, path: str, to: str, **how: object) -> None:
        copied.append(to.rpartition("/")[2])
        copy(client, path, to, **how)

    monkeypatch.setattr(MemoryFileSystem, "cp_file", watched)
    store.move(folder, other, last="last")
    assert (copied[-1], sorted(copied)) == ("last", ["a", "b", "last"])
    assert (store.names(folder), sorted(store.names(other))) == ([], ["a", "b", "last"])
    assert store.read(other / "b") == b"b"
