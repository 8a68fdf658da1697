"""The folder of segments: found again after a crash, checked, and of no harm to other files."""

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
from sample_segments import ended_job, ending_job, job, killed_job, manifest, segment

from rayanim.errors import EncodeError, OutputError, PartsError, ResumeError
from rayanim.storage.segments import (
    MANIFEST,
    index_of,
    segment_name,
    segment_to_bytes,
)

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


def folder_of(video: Path) -> Path:
    """Where its segments lie."""
    return video.with_name(f"{video.name}.parts")


def old_of(video: Path) -> Path:
    """Where those of an earlier job lie."""
    return video.with_name(f"{video.name}.parts.old")


@pytest.mark.parametrize("name", NAMES)
def test_what_was_put_is_there_after_the_job(tmp_path: Path, name: str) -> None:
    """Every segment with what its file says of it, under any name of a video."""
    path = ended_job(tmp_path / name)
    assert path == tmp_path / f"{name}.parts"
    with job(tmp_path / name, resume=True) as one:
        found, rejected = one.store.examined()
        assert sorted(found) == one.finished == [0, 1, 4]
        assert (rejected, one.log) == ({}, [])
        assert (found[4].start, found[4].stop, found[4].batch_digest) == (120, 123, "4a")
        assert [one.store.look_up(index)[1] for index in found] == [
            segment(index) for index in found
        ]
        assert found[4].file_bytes == (path / segment_name(4)).stat().st_size
    assert list(tmp_path.iterdir()) == []


def test_put_returns_how_much_it_wrote_and_leaves_whole_files_only(video: Path) -> None:
    """No file is left that is being written."""
    with job(video) as one:
        written = one.store.put(0, 0, None, segment())
        assert {each.name for each in one.path.iterdir()} == {MANIFEST, segment_name(0)}
        assert (one.path / segment_name(0)).stat().st_size == written
        assert one.store.count() == 1


def test_a_segment_that_is_put_again_replaces_the_first(video: Path) -> None:
    """A broken one too."""
    with job(video) as one:
        one.store.put(0, 0, None, segment(5))
        (one.path / segment_name(0)).write_bytes(b"broken")
        assert one.store.examined()[0] == {}
        one.store.put(0, 0, None, segment(7))
        assert one.store.look_up(0)[1] == segment(7)
        found, rejected = one.store.examined()
        assert (list(found), rejected) == ([0], {})


def broken_segments(path: Path) -> Iterator[tuple[str, str]]:
    """Breaks segments of an ended job's folder in every way: names and why they are rejected."""
    whole = (path / segment_name(1)).read_bytes()
    of_other_video = segment_to_bytes(12, 360, None, segment(12), video=manifest(seed=9).digest)
    for index, data, reason in (
        (10, b"", "not a segment of rayanim"),
        (11, whole[:-1], "checksum"),
        (12, of_other_video, "another video"),
        (13, whole, "of segment 1"),
        (14, whole + b"x", "checksum"),
        (15, whole.replace(b"segment 4", b"segment 5", 1), "format 5"),
        (16, b"\0" * len(whole), "not a segment of rayanim"),
    ):
        (path / segment_name(index)).write_bytes(data)
        yield segment_name(index), reason
    (path / segment_name(20)).symlink_to(path / segment_name(1))
    yield segment_name(20), "cannot be read"
    (path / segment_name(21)).mkdir()
    yield segment_name(21), "cannot be read|no plain file"
    os.mkfifo(path / segment_name(22))
    yield segment_name(22), "no plain file"


def test_broken_segments_are_rejected_with_a_reason(video: Path) -> None:
    """Those of another video, of another segment, cut short, links and pipes."""
    expected = dict(broken_segments(ended_job(video)))
    with ending_job(video, resume=True) as one:
        found, rejected = one.store.examined()
        assert sorted(found) == one.finished == [0, 1, 4]
        assert rejected.keys() == expected.keys()
        assert len(one.log) == len(expected)
        for name, reason in expected.items():
            with pytest.raises(PartsError, match=reason) as caught:
                one.store.look_up(int(name.partition(".")[0]))
            assert rejected[name] in caught.value.message
            assert name in caught.value.message


def test_a_segment_that_breaks_after_it_was_found_is_noticed(video: Path) -> None:
    """It is checked again when it is joined."""
    with job(video) as one:
        one.store.put(0, 0, None, segment())
        path = one.path / segment_name(0)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(PartsError, match=r"000000\.part.*checksum"):
            one.store.look_up(0)
        path.unlink()
        with pytest.raises(PartsError, match="No such file"):
            one.store.look_up(0)


@pytest.mark.parametrize(
    "name", ["12.part", "0000012.part", "000012.part.bak", "+00012.part", "a.part"]
)
def test_only_a_segment_s_own_name_is_one(name: str) -> None:
    """No segment has two files."""
    assert index_of(name) is None


@pytest.mark.parametrize("index", [0, 12, 999_999, 1_000_000, 12_345_678])
def test_names_and_segments_go_together(index: int) -> None:
    """Also beyond six digits."""
    assert index_of(segment_name(index)) == index


def test_files_of_others_are_left_alone(video: Path) -> None:
    """The job goes on with them beside it, and its end takes away only what is its own."""
    path = ended_job(video)
    (path / ".DS_Store").write_text("theirs")
    (path / "0001.part").write_text("theirs")
    (path / "sub").mkdir()
    (path / "000003.part.0123abcd.tmp").write_text("of a job that was killed")
    (path / "notes.0123abcd.tmp").write_text("theirs")
    with job(video, resume=True) as one:
        assert not (path / "000003.part.0123abcd.tmp").exists()
        assert (one.finished, one.log) == ([0, 1, 4], [])
    left = {each.name for each in path.iterdir()}
    assert left == {".DS_Store", "0001.part", "sub", "notes.0123abcd.tmp"}


def test_a_job_without_a_finished_segment_leaves_nothing(video: Path) -> None:
    """There would be nothing to resume."""
    assert not ended_job(video, ()).exists()
    assert list(video.parent.iterdir()) == []


def test_a_new_job_keeps_the_segments_of_the_one_before(video: Path) -> None:
    """Beside its own; the job says so, and resuming finds them."""
    path = ended_job(video)
    with ending_job(video, seed=1) as one:
        assert one.finished == []
        assert not list(path.glob("*.part"))
        assert "Moved 3 finished segments of another video to" in one.log[0]
        assert "They are deleted when this video is complete." in one.log[0]
        assert repr(str(old_of(video))) in one.log[0]
    with job(video, resume=True) as one:
        assert one.finished == [0, 1, 4]
    assert list(video.parent.iterdir()) == []


def segments_in(path: Path) -> int:
    return sum(1 for _ in path.glob("*.part"))


@pytest.mark.parametrize(
    ("jobs", "most"),
    [((1, 2, 3), 3), ((13, 2), 13), ((13, 2, 1), 13), ((13, 0), 13), ((2, 13, 3), 13), ((3, 3), 3)],
)
def test_more_segments_are_never_given_up_for_fewer(
    video: Path, jobs: tuple[int, ...], most: int
) -> None:
    """Whatever jobs end without their video being whole, and however."""
    for ended in (ended_job, killed_job):
        for count in jobs:
            if ended is ended_job:
                ended_job(video, tuple(range(count)))
            else:
                killed_job(video, count)
        with job(video, resume=True) as one:
            assert len(one.finished) == most
        assert list(video.parent.iterdir()) == []


def test_another_video_s_few_segments_do_not_push_out_more(video: Path) -> None:
    """However often a job with other settings fails, also in its first segment."""
    ended_job(video, tuple(range(7)))
    where = "Moved 7 finished segments of another video to"
    for count in (1, 1, 2):
        with ending_job(video, seed=1) as one:
            assert one.log[0].startswith(where)
            where = "7 finished segments of another video are in"
            for index in range(count):
                one.store.put(index, 30 * index, None, segment(index))
        assert (segments_in(folder_of(video)), segments_in(old_of(video))) == (count, 7)
    with job(video, resume=True) as one:
        assert one.finished == list(range(7))


def test_more_segments_push_out_another_video_s(video: Path) -> None:
    """One folder is kept aside, and the smaller loss is chosen."""
    ended_job(video, (0,), seed=1)
    ended_job(video, tuple(range(7)))
    with ending_job(video, seed=1):
        assert segments_in(old_of(video)) == 7


def test_segments_aside_stay_where_the_job_between_was_killed_with_fewer(video: Path) -> None:
    """A third job does not push them out."""
    ended_job(video, tuple(range(5)))
    killed_job(video, 2)
    with ending_job(video) as one:
        assert "5 finished segments of an earlier job" in one.log[0]
        assert "stop this job and run it with --resume" in one.log[0]
        assert (one.store.count(), segments_in(old_of(video))) == (0, 5)
    assert (one.path.exists(), segments_in(old_of(video))) == (False, 5)


@pytest.mark.parametrize("own", [0, 1, 2])
def test_resuming_finds_the_folder_with_more_segments(video: Path, own: int) -> None:
    """Also where it was put aside by a job that forgot to resume; it says so."""
    ended_job(video, (0, 1, 4))
    killed_job(video, own)
    with job(video, resume=True) as one:
        assert one.finished == [0, 1, 4]
        assert "Resuming from 3 finished segments in" in one.log[0]
    assert list(video.parent.iterdir()) == []


def test_resuming_takes_the_same_video_s_segments(video: Path) -> None:
    """Those of another video in its place are neither used nor touched, whatever is more."""
    ended_job(video, (0, 1, 4))
    killed_job(video, 2, seed=1)
    with ending_job(video, resume=True) as one:
        assert one.path == old_of(video)
        assert one.finished == [0, 1, 4]
        one.store.put(2, 60, None, segment(2))
    assert (segments_in(folder_of(video)), segments_in(old_of(video))) == (2, 4)
    with ending_job(video, resume=True, seed=1) as one:
        assert (one.path, one.log, len(one.finished)) == (folder_of(video), [], 2)
    with job(video, resume=True):
        pass
    assert [each.name for each in video.parent.iterdir()] == ["video.mp4.parts"]


def test_segments_of_another_video_that_are_aside_are_not_used(video: Path) -> None:
    """What differs is named."""
    ended_job(video).rename(old_of(video))
    with (
        pytest.raises(ResumeError, match="seed was 0, is 1 now"),
        job(video, resume=True, seed=1),
    ):
        pass
    assert segments_in(old_of(video)) == 3


def test_a_whole_video_needs_no_segments_that_are_aside(video: Path) -> None:
    """Of an earlier job, or of a video that had the same place."""
    for seed in (0, 1):
        ended_job(video, (0,), seed=seed).rename(old_of(video))
        with job(video):
            pass
        assert list(video.parent.iterdir()) == []


def test_kept_segments_stay_and_those_of_earlier_jobs_go(video: Path) -> None:
    """With ``--keep-parts``."""
    ended_job(video)
    with job(video, keep=True) as one:
        one.store.put(0, 0, None, segment(0))
    assert segments_in(folder_of(video)) == 1
    assert [each.name for each in video.parent.iterdir()] == ["video.mp4.parts"]


def test_a_whole_video_that_was_resumed_leaves_no_fewer_segments(video: Path) -> None:
    """Both folders of it go."""
    ended_job(video, (0,))
    killed_job(video, 2)
    with job(video, resume=True) as one:
        assert len(one.finished) == 2
    assert list(video.parent.iterdir()) == []


def test_segments_that_come_after_the_end_are_no_obstacle(video: Path) -> None:
    """An encoder that is killed late writes one more: without a manifest it is still ours."""
    path = ended_job(video)
    late = (path / segment_name(4)).read_bytes()
    shutil.rmtree(path)
    path.mkdir()
    (path / segment_name(4)).write_bytes(late)
    (path / f"{segment_name(5)}.0123abcd.tmp").write_bytes(late[:40])
    with job(video) as one:
        assert (one.log, one.store.count()) == ([], 0)


def test_a_folder_left_without_segments_or_manifest_just_goes(video: Path) -> None:
    """A job was killed just after making it, or while removing it."""
    path = folder_of(video)
    for names in ([], [segment_name(3)], [f"{MANIFEST}.0123abcd.tmp"]):
        path.mkdir()
        for name in names:
            (path / name).touch()
        with job(video) as one:
            assert one.log == []
            assert {each.name for each in path.iterdir()} == {MANIFEST}
    assert list(video.parent.iterdir()) == []


def foreign(path: Path, kind: str) -> None:
    """Puts something at `path` that is no folder of segments."""
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
        (path / "lock").write_text("theirs")


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
    foreign(folder_of(video), kind)
    before = everything(video.parent)
    with pytest.raises(OutputError, match=r"video\.mp4\.parts.*Rename or remove it"), job(video):
        pass
    with pytest.raises(ResumeError, match=r"video\.mp4\.parts"), job(video, resume=True):
        pass
    assert everything(video.parent) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_where_segments_are_put_aside_is_not_touched(video: Path, kind: str) -> None:
    """The job does not begin, and the segments stay where they were."""
    ended_job(video)
    foreign(old_of(video), kind)
    before = everything(video.parent)
    with (
        pytest.raises(OutputError, match=r"video\.mp4\.parts\.old.*Rename or remove it"),
        job(video),
    ):
        pass
    assert everything(video.parent) == before


def test_what_others_put_beside_old_segments_stays(video: Path) -> None:
    """There is no place to put the segments aside, and so they stay too."""
    ended_job(video, (0,)).rename(old_of(video))
    (old_of(video) / "notes.txt").write_text("mine")
    ended_job(video)
    with pytest.raises(OutputError, match=r"cannot be renamed.*Rename or remove one"), job(video):
        pass
    assert [each.name for each in old_of(video).iterdir()] == ["notes.txt"]
    assert segments_in(folder_of(video)) == 3


def test_resuming_without_a_folder_says_so(video: Path) -> None:
    """And makes none."""
    with pytest.raises(ResumeError, match="nothing to resume"), job(video, resume=True):
        pass
    assert list(video.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"rayanim": "0.1.9"}, ["rayanim's version was 0.1.9, is 0.2.0 now"]),
        ({"source": "ff", "n_frames": 10}, ["frames was 10, is 300", "code has changed"]),
    ],
)
def test_segments_of_another_video_are_not_used(
    video: Path, changes: dict[str, Any], sentences: list[str]
) -> None:
    """Every difference is named, with what to do; the segments stay."""
    path = ended_job(video, **changes)
    before = everything(path)
    with pytest.raises(ResumeError) as caught, job(video, resume=True):
        pass
    for sentence in [*sentences, "Restore that, or leave out resume=True"]:
        assert sentence in caught.value.message
    assert everything(path) == before
    with job(video, resume=True, **changes) as one:
        assert one.finished == [0, 1, 4]


@pytest.mark.parametrize(
    "data", [b"", b"{", manifest().to_json().encode()[:-9], b"\xff\xfe", b"null"]
)
def test_a_broken_manifest_is_not_used(video: Path, data: bytes) -> None:
    """A new job may begin, and still keeps the segments."""
    path = ended_job(video)
    (path / MANIFEST).write_bytes(data)
    with (
        pytest.raises(ResumeError, match=r"manifest\.json.*cannot be used.*resume=True"),
        job(video, resume=True),
    ):
        pass
    with ending_job(video) as one:
        assert "3 finished segments" in one.log[0]
    assert segments_in(old_of(video)) == 3


def test_a_manifest_cut_short_at_any_byte_is_not_used(video: Path) -> None:
    """None of them is taken for one, or raises anything else."""
    path = ended_job(video)
    data = (path / MANIFEST).read_bytes()
    for length in range(0, len(data), 7):
        (path / MANIFEST).write_bytes(data[:length])
        with pytest.raises(ResumeError), job(video, resume=True):
            pass
    (path / MANIFEST).write_bytes(data)
    with job(video, resume=True):
        pass


def test_a_manifest_that_is_a_link_is_not_followed(video: Path) -> None:
    """What it points to was not written here."""
    path = ended_job(video)
    (path / MANIFEST).rename(video.parent / "elsewhere")
    (path / MANIFEST).symlink_to(video.parent / "elsewhere")
    with pytest.raises(ResumeError, match="cannot be used"), job(video, resume=True):
        pass


def test_the_segments_of_a_linked_video_lie_beside_the_file_itself(tmp_path: Path) -> None:
    """As its unfinished file does, on the same disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "video.mp4").symlink_to(tmp_path / "disk" / "real.mp4")
    path = ended_job(tmp_path / "video.mp4")
    assert path == tmp_path / "disk" / "real.mp4.parts"
    with job(tmp_path / "disk" / "real.mp4", resume=True) as one:
        assert one.finished == [0, 1, 4]


def test_a_video_that_was_resumed_can_be_resumed_again(video: Path) -> None:
    """Segments of both runs are there."""
    ended_job(video)
    with ending_job(video, resume=True) as one:
        one.store.put(2, 60, None, segment(2))
    with job(video, resume=True) as one:
        assert one.finished == [0, 1, 2, 4]


@pytest.mark.parametrize("resume", [False, True])
def test_two_jobs_of_one_process_do_not_share_a_folder(video: Path, resume: bool) -> None:
    """The second is refused, and the first one's segments are as they were."""
    with ending_job(video) as one:
        one.store.put(0, 0, None, segment())
        with pytest.raises(OutputError, match="Another job is writing"), job(video, resume=resume):
            pass
        assert list(one.store.examined()[0]) == [0]
        one.store.put(1, 30, None, segment(1))
    with job(video, resume=True) as one:
        assert one.finished == [0, 1]


def test_a_job_that_lost_its_claim_does_not_touch_the_next_one_s_folder(video: Path) -> None:
    """It does not begin either."""
    with ending_job(video) as one:
        one.segment_store._target._lock.close()
        ended_job(video)
    with pytest.raises(OutputError, match="Another job writes"):
        one.segment_store.begin(manifest(), print)
    assert segments_in(folder_of(video)) == 3


def test_a_lock_that_goes_while_it_is_taken_is_taken_anew(video: Path, monkeypatch: Any) -> None:
    """The job that held it removed it: a lock on a file without a name keeps nobody out."""
    lock, real = video.with_name("video.mp4.lock"), fcntl.flock
    went: list[int] = []

    def lock_late(descriptor: int, operation: int) -> None:
        if not went:
            lock.unlink()
            went.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with job(video):
        assert (went != [], lock.exists()) == (True, True)


def test_the_manifest_goes_first(video: Path, monkeypatch: Any) -> None:
    """What is left when removing is interrupted is never taken for segments to resume."""
    removed: list[str] = []
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        real(path, missing_ok)

    with job(video) as one:
        one.store.put(0, 0, None, segment())
        monkeypatch.setattr(Path, "unlink", unlink)
    assert removed == [MANIFEST, segment_name(0), "video.mp4.lock"]


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
from sample_segments import job, segment
with job(Path(sys.argv[1])) as one:
    one.store.put(0, 0, None, segment())
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_is_free_when_the_process_that_held_it_is_killed(
    video: Path, resume: bool
) -> None:
    """Refused while it lives, and found again after ``kill -9``."""
    with run(HOLDER, video) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            with pytest.raises(OutputError, match="Another job"), job(video, resume=resume):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with job(video, resume=True) as one:
        assert one.store.look_up(0)[1] == segment()
    assert list(video.parent.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from sample_segments import job, segment

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

def run(video, step):
    kill_at(step)
    with job(video, seed=1) as one:
        one.store.put(0, 0, None, segment())
        one.store.put(1, 30, None, segment(1))

# Each job is a process of its own, forked from one that has everything imported.
for line in sys.stdin:
    step, video = line.rstrip().split(" ", 1)
    child = os.fork()
    if not child:
        run(Path(video), int(step))
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
    """Finished segments that can be resumed, of the earlier job or the one that was killed."""
    found: list[int] = []
    for seed in (0, 1):
        try:
            with ending_job(video, resume=True, seed=seed) as one:
                found += one.finished
                assert one.store.examined()[1] == {}
        except ResumeError:
            continue
    return found


def test_a_job_killed_at_any_step_leaves_what_can_be_used_or_replaced(tmp_path: Path) -> None:
    """Before each of its calls of the system, on top of an earlier job's segments.

    Until it removes the segments: by then the video is whole.
    """
    steps, code = 0, 9
    with run(KILLED) as jobs:
        while code == 9:
            steps += 1
            video = tmp_path / f"{steps}" / "video.mp4"
            video.parent.mkdir()
            ended_job(video)
            code = ended_with(jobs, steps, video)
            folders = (folder_of(video), old_of(video))
            is_removing = not any((each / MANIFEST).exists() for each in folders)
            assert len(whole_segments(video)) >= 3 or is_removing
            with job(video) as one:
                assert (one.finished, one.store.count()) == ([], 0)
            assert list(video.parent.iterdir()) == []
        _, errors = jobs.communicate()
    assert (errors, code) == ("", 0)
    assert steps > 20


def test_a_store_travels_and_its_claim_does_not(video: Path) -> None:
    """Another process may write while this one holds the folder."""
    with job(video) as one:
        store = pickle.loads(pickle.dumps(one.store))
        store.put(3, 90, None, segment(3))
        assert one.store.look_up(3)[1] == segment(3)
        with pytest.raises(TypeError, match="stays in its process"):
            pickle.dumps(one.segment_store)


FULL = """
import resource, sys
from pathlib import Path
from sample_segments import job, segment
from rayanim.errors import EncodeError
from rayanim.video.encode import EncodedPacket, EncodedSegment
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
large = EncodedSegment(1, b"", (EncodedPacket(bytes(200_000), 0, True),))
try:
    with job(Path(sys.argv[1])) as one:
        one.store.put(0, 0, None, segment())
        one.store.put(1, 30, None, large)
except EncodeError as error:
    print(error)
"""


@pytest.mark.parametrize(("limit_bytes", "finished"), [(50_000, [0]), (100, None)])
def test_a_full_disk_is_reported_and_what_is_finished_stays(
    video: Path, limit_bytes: int, finished: list[int] | None
) -> None:
    """No half file is left; where not even the manifest fits, no folder."""
    with run(FULL, video, limit_bytes) as full:
        output, errors = full.communicate()
    assert errors == ""
    assert "The disk is full, or the file too large" in output
    if finished is None:
        assert list(video.parent.iterdir()) == []
        return
    assert not list(folder_of(video).glob("*.tmp"))
    with job(video, resume=True) as one:
        assert one.finished == finished


READ_ONLY = """
import os, sys
from pathlib import Path
from sample_segments import job, manifest, segment
from rayanim.errors import EncodeError, OutputError, ResumeError
from rayanim.storage.output import Target
from rayanim.storage.segments import SegmentStore, SegmentFolder
from rayanim.storage.store import Store
if not os.geteuid():
    os.seteuid(65534)
video = Path(sys.argv[1])

class Held(Target):
    is_held = True

def begin(video, resume=False):
    SegmentStore(Held(video), object, resume=resume).begin(manifest(), print)

def whole(video):
    with job(video):
        pass

for action in (
    lambda: begin(video),
    lambda: SegmentFolder(Store(), Target(video).segments).put(0, 0, None, segment()),
    lambda: begin(video.with_name("new.mp4")),
    lambda: whole(video),
):
    try:
        action()
    except (EncodeError, OutputError) as error:
        print(type(error).__name__, error)
"""


def test_a_folder_without_write_permission_is_reported() -> None:
    """Nothing but rayanim's own errors comes of it, and what is there stays."""
    # Not pytest's own folder: root's cannot be entered by the user that this becomes.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        path = ended_job(place / "video.mp4")
        before = everything(place)
        path.chmod(0o555)
        place.chmod(0o555)
        try:
            with run(READ_ONLY, place / "video.mp4", cwd="/") as read_only:
                output, errors = read_only.communicate()
        finally:
            place.chmod(0o755)
            path.chmod(0o755)
        assert errors == ""
        kinds = [line.split()[0] for line in output.splitlines()]
        assert kinds == ["OutputError", "EncodeError", "OutputError", "OutputError"]
        assert everything(place) == before


def test_a_folder_removed_under_a_job_is_reported(video: Path) -> None:
    """What was written is lost, and an error says so; the end of the job is no error."""
    with job(video) as one:
        shutil.rmtree(one.path)
        with pytest.raises(EncodeError, match="No such file"):
            one.store.put(0, 0, None, segment())
        with pytest.raises(PartsError, match="cannot be read"):
            one.store.examined()
    assert list(video.parent.iterdir()) == []


def test_a_target_without_a_folder_is_reported(video: Path) -> None:
    """The way to the video is not made here."""
    with (
        pytest.raises(OutputError, match="cannot be written: No such file"),
        job(video / "deeper.mp4"),
    ):
        pass
