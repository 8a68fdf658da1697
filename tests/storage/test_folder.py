"""The folder of parts: found again after a crash, trusted by nobody, and nothing else's harm."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_parts import beside, manifest, segment

from rayanim.errors import EncodeError, OutputError, PartsError, ResumeError
from rayanim.storage.lock import FileLock
from rayanim.storage.segments import PartsFolder, SetAside, index_of, part_name, part_to_bytes
from rayanim.storage.store import LOCK, MANIFEST, DiskFolder

NAMES = [
    "video.mp4",
    "my video (2).mp4",
    "\u0444\u0438\u043b\u044c\u043c \U0001f3ac.mkv",
    "-x 'y\" $z.webm",
    "video",
]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A target that is not there yet."""
    return tmp_path / "video.mp4"


def ended_job(video: Path, indices: tuple[int, ...] = (0, 1, 4), **changes: Any) -> Path:
    """The folder of a job that ended before its video was whole."""
    with PartsFolder.create(beside(video), manifest(**changes)) as folder:
        for index in indices:
            folder.store.put(index, 30 * index, f"{index}a", segment(index))
    return folder.path


@pytest.mark.parametrize("name", NAMES)
def test_what_was_put_is_there_after_the_job(tmp_path: Path, name: str) -> None:
    """Every part with what it tells of itself, under any name of a video."""
    path = ended_job(tmp_path / name)
    assert path == tmp_path / f"{name}.parts"
    with PartsFolder.resume(beside(tmp_path / name), manifest()) as folder:
        found = folder.finished()
        assert sorted(found) == [0, 1, 4]
        assert folder.rejected == {}
        assert (found[4].start, found[4].stop, found[4].batch_digest) == (120, 123, "4a")
        assert [folder.store.load(index) for index in found] == [segment(index) for index in found]
        assert found[4].file_bytes == (path / part_name(4)).stat().st_size
        folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_put_tells_how_much_it_wrote_and_leaves_whole_files_only(video: Path) -> None:
    """No file is left that is being written."""
    with PartsFolder.create(beside(video), manifest()) as folder:
        written = folder.store.put(0, 0, None, segment())
        assert {each.name for each in folder.path.iterdir()} == {MANIFEST, LOCK, part_name(0)}
        assert (folder.path / part_name(0)).stat().st_size == written
        assert folder.count() == 1


def test_a_part_that_is_put_again_replaces_the_first(video: Path) -> None:
    """A broken one too."""
    with PartsFolder.create(beside(video), manifest()) as folder:
        folder.store.put(0, 0, None, segment(5))
        (folder.path / part_name(0)).write_bytes(b"broken")
        assert folder.finished() == {}
        folder.store.put(0, 0, None, segment(7))
        assert folder.store.load(0) == segment(7)
        assert list(folder.finished()) == [0]
        assert folder.rejected == {}


def broken_parts(path: Path) -> Iterator[tuple[str, str]]:
    """Breaks parts of an ended job's folder in every way: names and why they are rejected."""
    whole = (path / part_name(1)).read_bytes()
    of_other_video = part_to_bytes(12, 360, None, segment(12), video=manifest(seed=9).digest)
    for index, data, reason in (
        (10, b"", "does not begin"),
        (11, whole[:-1], "checksum"),
        (12, of_other_video, "another video"),
        (13, whole, "of segment 1"),
        (14, whole + b"x", "checksum"),
        (15, whole.replace(b"part 1", b"part 2", 1), "format 2"),
        (16, b"\0" * len(whole), "does not begin"),
    ):
        (path / part_name(index)).write_bytes(data)
        yield part_name(index), reason
    (path / part_name(20)).symlink_to(path / part_name(1))
    yield part_name(20), "cannot be read"
    (path / part_name(21)).mkdir()
    yield part_name(21), "cannot be read|no plain file"
    os.mkfifo(path / part_name(22))
    yield part_name(22), "no plain file"


def test_broken_parts_are_rejected_with_a_reason(video: Path) -> None:
    """Those of another video, of another segment, cut short, links and pipes."""
    expected = dict(broken_parts(ended_job(video)))
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert sorted(folder.finished()) == [0, 1, 4]
        assert folder.rejected.keys() == expected.keys()
        for name, reason in expected.items():
            with pytest.raises(PartsError, match=reason) as caught:
                folder.store.load(int(name.partition(".")[0]))
            assert folder.rejected[name] in caught.value.message
            assert name in caught.value.message


def test_a_part_that_breaks_after_it_was_found_is_noticed(video: Path) -> None:
    """It is checked again when it is taken up."""
    with PartsFolder.create(beside(video), manifest()) as folder:
        folder.store.put(0, 0, None, segment())
        assert list(folder.finished()) == [0]
        path = folder.path / part_name(0)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(PartsError, match=r"000000\.part.*checksum"):
            folder.store.load(0)
        path.unlink()
        with pytest.raises(PartsError, match="No such file"):
            folder.store.load(0)


@pytest.mark.parametrize(
    "name", ["12.part", "0000012.part", "000012.part.bak", "+00012.part", "a.part"]
)
def test_only_a_part_s_own_name_is_one(name: str) -> None:
    """No segment has two files."""
    assert index_of(name) is None


@pytest.mark.parametrize("index", [0, 12, 999_999, 1_000_000, 12_345_678])
def test_names_and_segments_go_together(index: int) -> None:
    """Also beyond six digits."""
    assert index_of(part_name(index)) == index


def test_files_of_others_are_left_alone(video: Path) -> None:
    """The job goes on with them beside it, and its end takes away only what is its own."""
    path = ended_job(video)
    (path / ".DS_Store").write_text("theirs")
    (path / "0001.part").write_text("theirs")
    (path / "sub").mkdir()
    (path / "000003.part.0123abcd.tmp").write_text("of a job that was killed")
    (path / "notes.0123abcd.tmp").write_text("theirs")
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert not (path / "000003.part.0123abcd.tmp").exists()
        assert sorted(folder.finished()) == [0, 1, 4]
        assert folder.rejected == {}
        folder.remove()
    left = {each.name for each in path.iterdir()}
    assert left == {".DS_Store", "0001.part", "sub", "notes.0123abcd.tmp"}


def test_a_job_without_a_finished_part_leaves_nothing(video: Path) -> None:
    """There would be nothing to go on from."""
    assert not ended_job(video, ()).exists()
    assert list(video.parent.iterdir()) == []


def test_a_new_job_keeps_the_parts_of_the_one_before(video: Path) -> None:
    """Beside its own, where they can be renamed back and gone on from."""
    path = ended_job(video)
    old = video.with_name("video.mp4.parts.old")
    with PartsFolder.create(beside(video), manifest(seed=1)) as folder:
        assert folder.set_aside == SetAside(DiskFolder(old), 3)
        assert folder.finished() == {}
        assert not list(path.glob("*.part"))
    assert not old.exists()
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert sorted(folder.finished()) == [0, 1, 4]


def parts_in(path: Path) -> int:
    return sum(1 for _ in path.glob("*.part"))


@pytest.mark.parametrize(
    ("jobs", "kept", "aside"),
    [
        ((1, 2, 3), 3, 2),
        ((13, 2), 13, 0),
        ((13, 2, 1), 13, 0),
        ((13, 0), 13, 0),
        ((2, 13, 3), 13, 0),
        ((3, 3), 3, 3),
    ],
)
def test_more_parts_are_never_given_up_for_fewer(
    video: Path, jobs: tuple[int, ...], kept: int, aside: int
) -> None:
    """Whatever jobs end without their video being whole."""
    for count in jobs:
        ended_job(video, tuple(range(count)))
    path = beside(video).path
    assert (parts_in(path), parts_in(path.with_name("video.mp4.parts.old"))) == (kept, aside)
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert len(folder.finished()) == kept


def killed_job(video: Path, count: int, **changes: Any) -> None:
    """As a job that puts `count` parts and is killed, after another was put aside."""
    folder = PartsFolder.create(beside(video), manifest(**changes))
    for index in range(count):
        folder.store.put(index, 30 * index, None, segment(index))
    folder._lock.close()


def test_parts_aside_stay_where_the_job_between_was_killed_with_fewer(video: Path) -> None:
    """A third job does not push them out, and gives them their name back."""
    ended_job(video, tuple(range(5)))
    killed_job(video, 2)
    old = video.with_name("video.mp4.parts.old")
    with PartsFolder.create(beside(video), manifest()) as folder:
        assert folder.set_aside == SetAside(DiskFolder(old), 5, is_same_video=True)
        assert (folder.count(), parts_in(old)) == (0, 5)
    assert (parts_in(folder.path), old.exists()) == (5, False)


def test_another_video_s_parts_do_not_push_out_the_new_one_s(video: Path) -> None:
    """However many they are; where the new one has none, they get their name back."""
    ended_job(video, tuple(range(5)))
    old = video.with_name("video.mp4.parts.old")
    with PartsFolder.create(beside(video), manifest(seed=7)) as folder:
        assert folder.set_aside == SetAside(DiskFolder(old), 5, is_same_video=False)
    assert (parts_in(folder.path), old.exists()) == (5, False)
    with PartsFolder.create(beside(video), manifest(seed=7)) as folder:
        folder.store.put(0, 0, None, segment(0))
    assert (parts_in(folder.path), parts_in(old)) == (1, 5)


@pytest.mark.parametrize("own", [0, 1, 2])
def test_resuming_finds_the_folder_with_more_parts(video: Path, own: int) -> None:
    """Also where it was put aside by a job that forgot to resume; it says so."""
    ended_job(video, (0, 1, 4))
    killed_job(video, own)
    old = video.with_name("video.mp4.parts.old")
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert sorted(folder.finished()) == [0, 1, 4]
        assert "3 finished segments" in str(folder.chosen)
        assert "have their name back" in str(folder.chosen)
        assert not old.exists()
        folder.forget_set_aside()
        folder.remove()
    assert list(video.parent.iterdir()) == []


def test_resuming_takes_the_same_video_s_parts(video: Path) -> None:
    """Those of another video in its place are neither used nor touched, whatever is more."""
    ended_job(video, (0, 1, 4))
    killed_job(video, 2, seed=1)
    path, old = beside(video).path, video.with_name("video.mp4.parts.old")
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert folder.path == old
        assert sorted(folder.finished()) == [0, 1, 4]
        assert "is not of this video, and stays" in str(folder.chosen)
        folder.store.put(2, 60, None, segment(2))
    assert (parts_in(path), parts_in(old)) == (2, 4)
    with PartsFolder.resume(beside(video), manifest(seed=1)) as folder:
        assert (folder.path, folder.chosen, len(folder.finished())) == (path, None, 2)


def test_parts_of_another_video_that_are_aside_are_not_found(video: Path) -> None:
    """What differs is named."""
    ended_job(video)
    beside(video).path.rename(video.with_name("video.mp4.parts.old"))
    with pytest.raises(ResumeError, match="the seed was 0, is 1 now"):
        PartsFolder.resume(beside(video), manifest(seed=1))


@pytest.mark.parametrize("same", [True, False])
def test_a_whole_video_needs_no_parts_that_are_aside(video: Path, same: bool) -> None:
    """Of the same video they go; those of another one, that this job did not find, stay."""
    ended_job(video, (0,), seed=0 if same else 1)
    old = video.with_name("video.mp4.parts.old")
    beside(video).path.rename(old)
    with PartsFolder.create(beside(video), manifest()) as folder:
        folder.forget_set_aside()
        folder.remove()
    assert old.exists() != same


def test_a_whole_video_that_was_resumed_leaves_no_fewer_parts(video: Path) -> None:
    """Both folders of it go."""
    ended_job(video, (0,))
    killed_job(video, 2)
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert len(folder.finished()) == 2
        folder.forget_set_aside()
        folder.remove()
    assert list(video.parent.iterdir()) == []


def test_parts_that_come_after_the_end_are_no_obstacle(video: Path) -> None:
    """An encoder that is killed late writes one more: without manifest or lock it is still ours."""
    path = ended_job(video)
    late = (path / part_name(4)).read_bytes()
    shutil.rmtree(path)
    path.mkdir()
    (path / part_name(4)).write_bytes(late)
    (path / f"{part_name(5)}.0123abcd.tmp").write_bytes(late[:40])
    with PartsFolder.create(beside(video), manifest()) as folder:
        assert (folder.set_aside, folder.finished()) == (None, {})


def test_a_folder_left_without_parts_or_manifest_just_goes(video: Path) -> None:
    """A job was killed just after making it, or while removing it."""
    path = beside(video).path
    for names in ([], [LOCK], [LOCK, part_name(3)], [LOCK, f"{MANIFEST}.0123abcd.tmp"]):
        path.mkdir()
        for name in names:
            (path / name).touch()
        with PartsFolder.create(beside(video), manifest()) as folder:
            assert folder.set_aside is None
            assert {each.name for each in path.iterdir()} == {LOCK, MANIFEST}
    assert list(video.parent.iterdir()) == []


def foreign(path: Path, kind: str) -> None:
    """Puts something at `path` that is no folder of parts."""
    if kind == "file":
        path.write_text("theirs")
    elif kind == "link":
        (path.parent / "elsewhere").mkdir()
        (path.parent / "elsewhere" / "kept").touch()
        path.symlink_to(path.parent / "elsewhere", target_is_directory=True)
    elif kind == "dangling link":
        path.symlink_to(path.parent / "nowhere")
    elif kind == "folder":
        path.mkdir()
        (path / "000001.part").write_text("theirs")
    elif kind == "manifest":
        path.mkdir()
        (path / MANIFEST).write_text('{"name": "a web page"}')
        (path / LOCK).write_text("theirs")


def everything(folder: Path) -> dict[str, bytes | None]:
    """All files and folders below `folder`, with what is in them."""
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else None
        for each in folder.rglob("*")
    }


KINDS = ["file", "link", "dangling link", "folder", "manifest"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_rayanim_s_is_neither_used_nor_touched(video: Path, kind: str) -> None:
    """Both ways to begin name it and leave it as it is."""
    foreign(beside(video).path, kind)
    before = everything(video.parent)
    with pytest.raises(OutputError, match=r"video\.mp4\.parts.*Rename or remove it"):
        PartsFolder.create(beside(video), manifest())
    with pytest.raises(ResumeError, match=r"video\.mp4\.parts"):
        PartsFolder.resume(beside(video), manifest())
    assert everything(video.parent) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_where_parts_are_set_aside_is_not_touched(video: Path, kind: str) -> None:
    """The job does not begin, and the parts stay where they were."""
    ended_job(video)
    foreign(video.with_name("video.mp4.parts.old"), kind)
    before = everything(video.parent)
    with pytest.raises(OutputError, match=r"video\.mp4\.parts\.old.*Rename or remove it"):
        PartsFolder.create(beside(video), manifest())
    assert everything(video.parent) == before


def test_resuming_without_a_folder_says_so(video: Path) -> None:
    """And makes none."""
    with pytest.raises(ResumeError, match="nothing to go on from"):
        PartsFolder.resume(beside(video), manifest())
    assert list(video.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"rayanim": "0.1.9"}, ["rayanim's version was 0.1.9, is 0.2.0 now"]),
        ({"source": "ff", "n_frames": 10}, ["frames was 10, is 300", "code has changed"]),
    ],
)
def test_parts_of_another_video_are_not_used(
    video: Path, changes: dict[str, Any], sentences: list[str]
) -> None:
    """Every difference is named, with what to do; the parts stay."""
    path = ended_job(video, **changes)
    before = everything(path)
    with pytest.raises(ResumeError) as caught:
        PartsFolder.resume(beside(video), manifest())
    for sentence in [*sentences, "video.mp4.parts.old"]:
        assert sentence in caught.value.message
    assert everything(path) == before
    with PartsFolder.resume(beside(video), manifest(**changes)) as folder:
        assert sorted(folder.finished()) == [0, 1, 4]


@pytest.mark.parametrize(
    "data", [b"", b"{", manifest().to_json().encode()[:-9], b"\xff\xfe", b"null"]
)
def test_a_broken_manifest_is_not_used(video: Path, data: bytes) -> None:
    """A new job may begin, and still keeps the parts."""
    path = ended_job(video)
    (path / MANIFEST).write_bytes(data)
    with pytest.raises(ResumeError, match=r"manifest\.json.*cannot be used.*without resuming"):
        PartsFolder.resume(beside(video), manifest())
    with PartsFolder.create(beside(video), manifest()) as folder:
        assert folder.set_aside == SetAside(DiskFolder(video.with_name("video.mp4.parts.old")), 3)


def test_a_manifest_cut_short_at_any_byte_is_not_used(video: Path) -> None:
    """None of them is taken for one, or raises anything else."""
    path = ended_job(video)
    data = (path / MANIFEST).read_bytes()
    for length in range(len(data)):
        (path / MANIFEST).write_bytes(data[:length])
        with pytest.raises(ResumeError):
            PartsFolder.resume(beside(video), manifest())
    (path / MANIFEST).write_bytes(data)
    PartsFolder.resume(beside(video), manifest()).close()


def test_a_manifest_that_is_a_link_is_not_followed(video: Path) -> None:
    """What it points to was not written here."""
    path = ended_job(video)
    (path / MANIFEST).rename(video.parent / "elsewhere")
    (path / MANIFEST).symlink_to(video.parent / "elsewhere")
    with pytest.raises(ResumeError, match="cannot be used"):
        PartsFolder.resume(beside(video), manifest())


def test_the_parts_of_a_linked_video_lie_beside_the_file_itself(tmp_path: Path) -> None:
    """As its unfinished file does, on the same disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "video.mp4").symlink_to(tmp_path / "disk" / "real.mp4")
    path = ended_job(tmp_path / "video.mp4")
    assert path == tmp_path / "disk" / "real.mp4.parts"
    PartsFolder.resume(beside(tmp_path / "disk" / "real.mp4"), manifest()).close()


def test_a_video_that_was_resumed_can_be_resumed_again(video: Path) -> None:
    """Parts of both runs are there."""
    ended_job(video)
    with PartsFolder.resume(beside(video), manifest()) as folder:
        folder.store.put(2, 60, None, segment(2))
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert sorted(folder.finished()) == [0, 1, 2, 4]


@pytest.mark.parametrize("begin", [PartsFolder.create, PartsFolder.resume])
def test_two_jobs_of_one_process_do_not_share_a_folder(video: Path, begin: Any) -> None:
    """The second is refused, and the first one's parts are as they were."""
    with PartsFolder.create(beside(video), manifest()) as folder:
        folder.store.put(0, 0, None, segment())
        with pytest.raises(OutputError, match="Another job is using the parts"):
            begin(beside(video), manifest())
        assert list(folder.finished()) == [0]
        folder.store.put(1, 30, None, segment(1))
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert list(folder.finished()) == [0, 1]


@pytest.mark.parametrize("end", ["remove", "close"])
def test_a_job_that_ended_does_not_touch_the_next_one_s_folder(video: Path, end: str) -> None:
    """Ending it twice is as once."""
    first = PartsFolder.create(beside(video), manifest())
    getattr(first, end)()
    with PartsFolder.create(beside(video), manifest()) as second:
        first.remove()
        first.close()
        assert (second.path / MANIFEST).exists()
        with pytest.raises(OutputError, match="Another job"):
            PartsFolder.resume(beside(video), manifest())


def test_a_folder_that_goes_while_its_lock_is_taken_is_not_used(
    video: Path, monkeypatch: Any
) -> None:
    """The job that held it removed it: a lock on a file without a name keeps nobody out."""
    path, real = ended_job(video), fcntl.flock

    def lock_late(descriptor: int, operation: int) -> None:
        shutil.rmtree(path)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with pytest.raises(OutputError, match="has just taken"):
        PartsFolder.resume(beside(video), manifest())


def test_the_manifest_goes_first_and_the_lock_last(video: Path, monkeypatch: Any) -> None:
    """What is left when removing is interrupted is never taken for parts to go on from."""
    removed: list[str] = []
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        real(path, missing_ok)

    with PartsFolder.create(beside(video), manifest()) as folder:
        folder.store.put(0, 0, None, segment())
        monkeypatch.setattr(Path, "unlink", unlink)
        folder.remove()
    assert removed == [MANIFEST, part_name(0), LOCK]


def run(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process that finds the helpers of these tests."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


HOLDER = """
import sys
from pathlib import Path
from sample_parts import beside, manifest, segment
from rayanim.storage.segments import PartsFolder
folder = PartsFolder.create(beside(Path(sys.argv[1])), manifest())
folder.store.put(0, 0, None, segment())
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("begin", [PartsFolder.create, PartsFolder.resume])
def test_a_folder_is_free_when_the_process_that_held_it_is_killed(video: Path, begin: Any) -> None:
    """Refused while it lives, and found again after ``kill -9``."""
    with run(HOLDER, video) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            with pytest.raises(OutputError, match="Another job"):
                begin(beside(video), manifest())
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert folder.store.load(0) == segment()


KILLED = """
import os, sys
from pathlib import Path
from sample_parts import beside, manifest, segment
from rayanim.storage.segments import PartsFolder

def kill_at(step):
    def ticking(function):
        def ticked(*arguments, **options):
            nonlocal step
            step -= 1
            if not step:
                os._exit(9)
            return function(*arguments, **options)
        return ticked
    for name in ("open", "fdopen", "rename", "replace", "mkdir", "unlink", "rmdir"):
        setattr(os, name, ticking(getattr(os, name)))

def job(video, step):
    kill_at(step)
    folder = PartsFolder.create(beside(video), manifest(seed=1))
    folder.store.put(0, 0, None, segment())
    folder.store.put(1, 30, None, segment(1))
    folder.remove()

# Each job is a process of its own, forked from one that has everything imported.
for line in sys.stdin:
    step, video = line.rstrip().split(" ", 1)
    child = os.fork()
    if not child:
        job(Path(video), int(step))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def ended_with(jobs: subprocess.Popen[str], step: int, video: Path) -> int:
    """The exit code of a job that is killed before its call number `step`."""
    assert jobs.stdin is not None
    assert jobs.stdout is not None
    print(step, video, file=jobs.stdin, flush=True)
    return int(jobs.stdout.readline())


def whole_segments(video: Path) -> list[int]:
    """Finished segments beside `video`, of the earlier job or the one that was killed."""
    found: list[int] = []
    for seed in (0, 1):
        try:
            with PartsFolder.resume(beside(video), manifest(seed=seed)) as folder:
                found += folder.finished()
                assert not folder.rejected
        except ResumeError:
            continue
    old = video.with_name("video.mp4.parts.old")
    names = [each.name for each in old.glob("*.part")]
    return found + [index for name in names if (index := index_of(name)) is not None]


def test_a_job_killed_at_any_step_leaves_what_can_be_used_or_replaced(tmp_path: Path) -> None:
    """Before each of its calls of the system, on top of an earlier job's parts."""
    steps, code = 0, 9
    with run(KILLED) as jobs:
        while code == 9:
            steps += 1
            video = tmp_path / f"{steps}" / "video.mp4"
            video.parent.mkdir()
            ended_job(video)
            code = ended_with(jobs, steps, video)
            assert len(whole_segments(video)) >= 3
            with PartsFolder.create(beside(video), manifest()) as folder:
                assert folder.finished() == {}
        _, errors = jobs.communicate()
    assert (errors, code) == ("", 0)
    assert steps > 20


def test_a_store_travels_and_a_lock_does_not(video: Path) -> None:
    """Another process may write while this one holds the folder."""
    with PartsFolder.create(beside(video), manifest()) as folder:
        store = pickle.loads(pickle.dumps(folder.store))
        store.put(3, 90, None, segment(3))
        assert folder.store.load(3) == segment(3)
        with pytest.raises(TypeError, match="stays in its process"):
            pickle.dumps(folder)


FULL = """
import resource, sys
from pathlib import Path
from sample_parts import beside, manifest, segment
from rayanim.errors import EncodeError
from rayanim.storage.segments import PartsFolder
from rayanim.video.encode import EncodedPacket, EncodedSegment
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    folder = PartsFolder.create(beside(Path(sys.argv[1])), manifest())
    folder.store.put(0, 0, None, segment())
    folder.store.put(1, 30, None, EncodedSegment(1, b"", (EncodedPacket(bytes(200_000), 0, True),)))
except EncodeError as error:
    print(error)
"""


@pytest.mark.parametrize(("limit_bytes", "finished"), [(50_000, [0]), (100, None)])
def test_a_full_disk_is_told_and_what_is_finished_stays(
    video: Path, limit_bytes: int, finished: list[int] | None
) -> None:
    """No half file is left; where not even the manifest fits, no folder."""
    with run(FULL, video, limit_bytes) as job:
        output, errors = job.communicate()
    assert errors == ""
    assert "The disk is full, or the file too large" in output
    if finished is None:
        assert list(video.parent.iterdir()) == []
        return
    assert not list(beside(video).path.glob("*.tmp"))
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert list(folder.finished()) == finished


READ_ONLY = """
import os, sys
from pathlib import Path
from sample_parts import beside, manifest, segment
from rayanim.errors import EncodeError, OutputError, ResumeError
from rayanim.storage.segments import PartsFolder
from rayanim.storage.segments import PartStore
if not os.geteuid():
    os.seteuid(65534)
video = Path(sys.argv[1])
for action in (
    lambda: PartsFolder.create(beside(video), manifest()),
    lambda: PartsFolder.resume(beside(video), manifest()),
    lambda: PartStore(beside(video), "").put(0, 0, None, segment()),
    lambda: PartsFolder.create(beside(video.with_name("new.mp4")), manifest()),
):
    try:
        action()
    except (EncodeError, OutputError) as error:
        print(type(error).__name__, error)
"""


def test_a_folder_without_write_permission_is_told() -> None:
    """Nothing but rayanim's own errors comes of it, and what is there stays."""
    # Not pytest's own folder: root's cannot be entered by the user that this becomes.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        path = ended_job(place / "video.mp4")
        before = everything(place)
        path.chmod(0o555)
        place.chmod(0o555)
        try:
            with run(READ_ONLY, place / "video.mp4", cwd="/") as job:
                output, errors = job.communicate()
        finally:
            place.chmod(0o755)
            path.chmod(0o755)
        assert errors == ""
        kinds = [line.split()[0] for line in output.splitlines()]
        assert kinds == ["OutputError", "OutputError", "EncodeError", "OutputError"]
        assert everything(place) == before


def test_a_folder_removed_under_a_job_is_told(video: Path) -> None:
    """What was written is lost, and said to be; the end of the job is no error."""
    with PartsFolder.create(beside(video), manifest()) as folder:
        shutil.rmtree(folder.path)
        with pytest.raises(EncodeError, match="No such file"):
            folder.store.put(0, 0, None, segment())
        with pytest.raises(PartsError, match="cannot be read"):
            folder.finished()
        folder.remove()
    assert list(video.parent.iterdir()) == []


def test_a_target_without_a_folder_is_told(video: Path) -> None:
    """The way to the video is not made here."""
    with pytest.raises(OutputError, match="cannot be made: No such file"):
        PartsFolder.create(beside(video / "deeper.mp4"), manifest())


@pytest.fixture
def nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is removed while it is open has another name until it is closed, as on NFS."""
    remove, close = DiskFolder.remove, FileLock.close
    silly: list[Path] = []

    def rename_lock(folder: DiskFolder, names: list[str]) -> None:
        lock = folder.path / LOCK
        if LOCK in names and lock.exists():
            silly.append(lock.rename(folder.path / ".nfs0001"))
        remove(folder, [name for name in names if name != LOCK])

    def close_and_remove(lock: FileLock) -> None:
        was_held = lock.is_held
        close(lock)
        while was_held and silly:
            silly.pop().unlink(missing_ok=True)

    monkeypatch.setattr(DiskFolder, "remove", rename_lock)
    monkeypatch.setattr(FileLock, "close", close_and_remove)


def test_on_nfs_no_folder_is_left_of_a_video_that_is_whole(video: Path, nfs: None) -> None:
    """Nor of one without a finished part, and the next jobs find nothing in their way."""
    for _ in range(3):
        with PartsFolder.create(beside(video), manifest()) as folder:
            assert folder.set_aside is None
            folder.store.put(0, 0, None, segment())
            folder.remove()
        assert list(video.parent.iterdir()) == []
        PartsFolder.create(beside(video), manifest()).close()
        assert list(video.parent.iterdir()) == []


def test_on_nfs_what_was_put_aside_is_put_back(video: Path, nfs: None) -> None:
    """By a job that ended with fewer parts, and goes when the video is whole."""
    path = ended_job(video)
    PartsFolder.create(beside(video), manifest()).close()
    assert list(video.parent.iterdir()) == [path]
    with PartsFolder.create(beside(video), manifest()) as folder:
        folder.store.put(0, 0, None, segment())
        folder.remove()
        folder.forget_set_aside()
    assert list(video.parent.iterdir()) == []


def test_what_is_not_ours_in_a_folder_of_the_same_video_is_told_as_that(video: Path) -> None:
    """Where more parts of it were put aside, which are gone on from."""
    fewer = ended_job(video, (0,)).rename(video.parent / "fewer")
    path = ended_job(video)
    path.rename(video.parent / "video.mp4.parts.old")
    fewer.rename(path)
    (path / "notes.txt").write_text("mine")
    with PartsFolder.resume(beside(video), manifest()) as folder:
        assert sorted(folder.finished()) == [0, 1, 4]
        assert folder.chosen is not None
        assert folder.chosen.endswith("holds what is not rayanim's, and stays.")
    assert [each.name for each in path.iterdir()] == ["notes.txt"]
