"""Videos whose frames do not all last the same, reopened with PyAV or Pillow."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from matplotlib.figure import Figure
from numbered import Numbered, _number, numbered_frame
from PIL import Image

import rayanim
from rayanim.cli.main import main
from rayanim.errors import EncodeError, SettingsError
from rayanim.overrides import Overrides, overriding
from rayanim.planning import make_plan, read_outputs
from rayanim.video.timing import TICK, Clock, Timing

FPS, N_FRAMES = 10, 8

CASES: dict[str, tuple[dict[str, Any], list[int], list[float]]] = {
    "holds": (
        {"hold": "first=1s,3=500ms,last=2s"},
        [0, 1, 2, 3, 4, 5, 6, 7],
        [1.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 2.1],
    ),
    "pause at the last frame's number": (
        {"hold": {7: 1}},
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.1],
    ),
    "durations": (
        {"durations": np.arange(1, 9) / 8},
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0],
    ),
    "durations, faster": (
        {"durations": [0.4] * 7 + [1], "speed": 2, "hold": 1},
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0.2] * 7 + [1.5],
    ),
    "ping-pong": (
        {"ping_pong": True, "hold": {"first": 1, 3: 0.5, "last": 2}},
        [0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, 1, 0],
        [1.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 2.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1],
    ),
    "slower": ({"speed": "0.5x"}, [0, 1, 2, 3, 4, 5, 6, 7], [0.2] * 8),
    "faster": ({"speed": 2.5}, [0, 2, 5, 7], [0.1] * 4),
    "faster, held": ({"speed": 2, "hold": {4: 1}}, [0, 2, 4, 6], [0.1, 0.1, 1.1, 0.1]),
    "some frames": (
        {"frames": "1-7x3", "hold": {4: 1, 5: 1}, "durations": [0.1 * n for n in range(1, 9)]},
        [1, 4, 7],
        [0.2, 1.5, 0.8],
    ),
}
"""Settings; the numbers of the frames that are shown, and how many seconds each is."""

SUFFIXES = (".mkv", ".webm", ".avif", ".gif", ".webp", ".apng", ".m3u8")
MADE = [
    *((case, ".mp4", transport) for case in CASES for transport in ("segments", "frames")),
    *(
        (case, each, "segments")
        for each in SUFFIXES
        for case in ("holds", "durations", "ping-pong")
    ),
    ("ping-pong", ".gif", "frames"),
    ("ping-pong", ".webp", "frames"),
]


def video(path: Path | list[Path], thing: Any = numbered_frame, **settings: Any) -> rayanim.Report:
    own = {} if hasattr(thing, "generate_at") else {"n_frames": N_FRAMES}
    return rayanim.produce(
        thing, FPS, outfile=path, engine="local", progress=False, **own, **settings
    )


def shown(path: Path) -> tuple[list[int], list[float]]:
    """Number of each frame, and the seconds that it is shown."""
    if path.suffix in (".gif", ".webp", ".apng"):
        return shown_by_pillow(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[-1]  # the first one of an .avif is its still image
        frames = list(container.decode(stream))
        if container.duration is not None:
            end_s = container.duration / 1_000_000
        else:
            end_s = float(stream.duration * stream.time_base)
        begin_s = [float(frame.pts * frame.time_base) for frame in frames]
    assert begin_s[0] == 0
    numbers = [_number(frame.to_ndarray(format="gray")) for frame in frames]
    return numbers, [after - before for before, after in pairwise([*begin_s, end_s])]


def shown_by_pillow(path: Path) -> tuple[list[int], list[float]]:
    numbers, durations_s = [], []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            numbers.append(_number(np.asarray(image.convert("L"))))
            durations_s.append(image.info["duration"] / 1000)
    return numbers, durations_s


@pytest.mark.parametrize(("case", "suffix", "transport"), MADE)
def test_frames_last_as_long_as_asked_for(
    case: str, suffix: str, transport: Any, tmp_path: Path
) -> None:
    """Count, order, and each duration to the hundredth; each frame is drawn once."""
    settings, numbers, durations_s = CASES[case]
    drawn: list[int] = []

    def frame_at(number: int) -> np.ndarray:
        drawn.append(number)
        return numbered_frame(number)

    path = tmp_path / "a" / f"video{suffix}"
    report = video(
        path,
        frame_at,
        transport=transport,
        segment_frames=3 if transport == "segments" else None,
        independent=True,
        audit=0,
        **settings,
    )
    found_numbers, found_s = shown(path)
    assert found_numbers == numbers
    assert found_s == pytest.approx(durations_s, abs=0.0101 if suffix == ".gif" else 0.0011)
    assert sum(found_s) == pytest.approx(sum(durations_s), abs=0.0051)
    assert report.video_s == pytest.approx(sum(durations_s))
    assert len(set(drawn)) == report.frames
    # A GIF's palette is chosen from frames that are drawn beforehand.
    assert suffix == ".gif" or drawn == sorted(set(numbers))


@pytest.mark.parametrize("case", CASES)
def test_in_a_folder_images_are_repeated(case: str, tmp_path: Path) -> None:
    """As often as they last, at the rate that was asked for."""
    settings, numbers, durations_s = CASES[case]
    video(tmp_path / "frames" / "%03d.png", **settings, segment_frames=3)
    files = sorted((tmp_path / "frames").iterdir())
    found = [_number(np.asarray(Image.open(each).convert("L"))) for each in files]
    begins = [round(FPS * sum(durations_s[:at])) for at in range(len(numbers) + 1)]
    pairs = zip(numbers, pairwise(begins), strict=True)
    expected = [n for n, (begin, end) in pairs for _ in range(begin, end)]
    assert found == expected
    assert [each.name for each in files] == [f"{n:03d}.png" for n in range(len(files))]


def test_avi_has_one_rate(tmp_path: Path) -> None:
    """So it can play forward and back, faster and slower, and not hold."""
    path = tmp_path / "video.avi"
    video(path, ping_pong=True, speed="0.5x")
    numbers, durations_s = shown(path)
    assert numbers == [*range(8), *reversed(range(8))]
    assert durations_s == pytest.approx([0.2] * 16)
    for wrong in ({"hold": 1}, {"durations": [1] * 8}):
        with pytest.raises(SettingsError, match=r"last the same: leave .* out, or write one of"):
            video(path, **wrong)


def test_the_file_without_timing_is_as_before(tmp_path: Path) -> None:
    """Settings that ask for nothing change no byte."""
    video(tmp_path / "a.mp4")
    video(tmp_path / "b.mp4", hold=None, speed="1x", ping_pong=False, durations=None)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"durations": [1] * 7}, "durations has 7 entries, but the video has 8 frames"),
        ({"hold": {8: 1, "last": 2}}, "hold: there is no frame 8; the video has frames 0 to 7"),
        pytest.param(
            {"chapters": {0: "a", 9: "b"}},
            "chapters: there is no frame 9",
            marks=pytest.mark.skipif(int(av.__version__.split(".")[0]) < 16, reason="no chapters"),
        ),
        (
            {"hold": "3=1s", "speed": 2},
            "hold is for frame 3, .* at a speed of 2 it has frames 0, 2, 4 and so on",
        ),
        (
            {"hold": "4=1s", "speed": "2x", "frames": "1-7x3"},
            "hold is for frame 4, .* at a speed of 2 it has frames 1, 7.",
        ),
        ({"hold": "first=1s,first=2s"}, "hold has frame first twice, got 'first=1s,first=2s'"),
        ({"hold": {3: 1, "3": 1}}, "hold has frame 3 twice"),
        ({"hold": "soon"}, "hold must be a time such as 2s or 500ms.* or FRAME=TIME .* got 'soon'"),
        ({"hold": "end=1s"}, "hold must be a time .* got 'end=1s'"),
    ],
)
def test_times_of_frames_that_there_are_not(
    wrong: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """Known before anything is drawn; with some of the frames they may be of others."""
    with pytest.raises(SettingsError, match=message):
        video(tmp_path / "a.mp4", lambda number: pytest.fail("it was drawn"), **wrong)


@pytest.mark.parametrize("transport", ["segments", "frames"])
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "h265"), (".mp4", "av1"), (".mkv", "ffv1"), (".mov", "prores"), (".mov", "qtrle")],
)
def test_every_codec_is_held(suffix: str, codec: str, transport: Any, tmp_path: Path) -> None:
    """Also as few frames as x265 has no order of decoding for."""
    path = tmp_path / f"video{suffix}"
    frames = np.kron([[[0], [255]], [[255], [0]]], np.ones((24, 32, 3))).astype(np.uint8)
    for n_frames in (1, 2, 8):
        rayanim.produce(
            lambda number: frames if number else frames[::-1], FPS, n_frames=n_frames,
            outfile=path, codec=codec, transport=transport, hold={"first": 1, "last": 2},
            engine="local", progress=False,
        )  # fmt: skip
        _numbers, durations_s = shown(path)
        expected = [1.1, *[0.1] * (n_frames - 2), 2.1] if n_frames > 1 else [3.1]
        assert durations_s == pytest.approx(expected, abs=0.0011)


def test_a_still_of_a_faster_video_is_of_the_frame_asked_for(tmp_path: Path) -> None:
    """Also where the video leaves that frame out."""
    with overriding(Overrides(still_number=3)):
        video(tmp_path / "a.png", speed=2, hold=1)
    assert _number(np.asarray(Image.open(tmp_path / "a.png").convert("L"))) == 3


def test_the_report_says_how_frames_are_shown(tmp_path: Path) -> None:
    """Their number is of those that were drawn."""
    report = video(tmp_path / "a.mp4", ping_pong=True, hold=2)
    assert ": 8 frames of " in report.summary()
    assert " at 10 fps, some held, shown forward and back (3.60 s), " in report.summary()


def test_the_command_refuses_what_a_format_cannot_have(tmp_path: Path) -> None:
    """Before the script runs."""
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('it ran')")
    avi, gif = str(tmp_path / "a.avi"), str(tmp_path / "a.gif")
    assert main(["run", str(script), "-o", avi, "--hold", "2s"], standalone_mode=False) == 2
    assert main(["run", str(script), "-o", gif, "--audio", __file__], standalone_mode=False) == 2


def test_the_command_holds_and_plays_back(tmp_path: Path) -> None:
    """What it is given takes the place of the script's."""
    script, path = tmp_path / "script.py", tmp_path / "a.mp4"
    script.write_text(
        "import rayanim\nfrom numbered import numbered_frame\n"
        f"rayanim.produce(numbered_frame, {FPS}, n_frames=4, outfile={str(path)!r}, hold=5)\n"
    )
    options = ["--hold", "first=500ms,2s", "--ping-pong", "--speed", "2x", "--engine", "local"]
    assert main(["run", str(script), *options, "--quiet"], standalone_mode=False) == 0
    assert shown(path)[0] == [0, 2, 2, 0]
    assert shown(path)[1] == pytest.approx([0.6, 2.1, 0.1, 0.1])


def test_a_generator_of_frames_is_held_and_thinned(tmp_path: Path) -> None:
    """One array that it changes from frame to frame: it must not run ahead of the drawing."""

    def frames():
        frame = numbered_frame(0).copy()
        for number in range(7):
            frame[:] = numbered_frame(number)
            yield frame

    path = tmp_path / "video.mp4"
    rayanim.produce(frames(), FPS, outfile=path, progress=False, speed=3, hold=1, ping_pong=True)
    numbers, durations_s = shown(path)
    assert numbers == [0, 3, 6, 6, 3, 0]
    assert durations_s == pytest.approx([0.1, 0.1, 1.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("speed", [1, 2])
def test_frames_of_a_generator_are_taken_one_by_one(speed: int, tmp_path: Path) -> None:
    """Each may be the same array, which the generator changes for the next one."""
    numbers = iter(range(9))
    arguments = {
        "frame_gen": map(numbered_frame, numbers),
        "param_by_frame": None,
        "settings": None,
        "outfile": read_outputs(tmp_path / "a.mp4"),
        "speed": speed,
    }
    feed = make_plan(arguments).feed
    assert [list(feed.take(5).numbers) for _ in range(3)] == [[0], [speed], [2 * speed]]
    assert next(numbers) == 2 * speed + 1


class Growing(rayanim.Animator):
    """A line that grows by a point with each update."""

    def setup(self) -> Figure:
        fig = Figure((0.64, 0.48), 100)
        axes = fig.add_axes((0, 0, 1, 1), xlim=(0, 9), ylim=(-1, 10))
        (self.line,) = axes.plot([], [], lw=6)
        self.heights: list[int] = []
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        self.heights.append(frame_idx)
        self.line.set_data(range(len(self.heights)), self.heights)


def test_updates_of_frames_that_are_left_out_run(tmp_path: Path) -> None:
    """At twice the speed every second frame looks as it does otherwise."""
    thing = {"n_frames": 6, "engine": "local", "progress": False}
    Growing().make_video(tmp_path / "all.mkv", codec="ffv1", fps=FPS, **thing)
    Growing().make_video(tmp_path / "fast.mkv", codec="ffv1", fps=FPS, speed="2x", **thing)
    every, fast = (
        [frame.to_ndarray(format="rgb24").tobytes() for frame in av.open(str(path)).decode(video=0)]
        for path in (tmp_path / "all.mkv", tmp_path / "fast.mkv")
    )
    assert len(set(every)) == 6
    assert fast == every[::2]


class Stopping(Numbered):
    """Raises at a frame as long as there is a file."""

    def __init__(self, stops: Path) -> None:
        super().__init__(24)
        self._stops = stops

    def generate_at(self, time_ms: float) -> np.ndarray:
        if round(time_ms * 30 / 1000) == 20 and self._stops.exists():
            raise RuntimeError("stopped here")
        return super().generate_at(time_ms)


def test_several_outputs_are_timed_alike(tmp_path: Path) -> None:
    """Each as its format can: what it has not is left out."""
    names = ("a.mp4", "a.gif", "a.avi")
    sound = (np.zeros(44_100, np.float32), 44_100)
    video([tmp_path / name for name in names], hold="1s", ping_pong=True, audio=sound)
    for name, turn_s in zip(names, (1.1, 1.1, 0.1), strict=True):
        numbers, durations_s = shown(tmp_path / name)
        assert numbers == [*range(8), *reversed(range(8))]
        assert durations_s == pytest.approx([*[0.1] * 7, turn_s, *[0.1] * 8], abs=0.0011)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [each.type for each in container.streams] == ["video", "audio"]


def test_a_resumed_video_plays_back_too(tmp_path: Path) -> None:
    """The frames in reverse are kept with their segments: the bytes are the same."""
    settings = {"progress": False, "engine": "local", "segment_frames": 8, "ping_pong": True,
                "hold": "1s", "independent": True}  # fmt: skip
    stops = tmp_path / "stops"
    rayanim.produce(Stopping(stops), 30, outfile=tmp_path / "a.mp4", **settings)
    stops.touch()
    with pytest.raises(RuntimeError):
        rayanim.produce(Stopping(stops), 30, outfile=tmp_path / "b.mp4", **settings)
    stops.unlink()
    report = rayanim.produce(
        Stopping(stops), 30, outfile=tmp_path / "b.mp4", **settings, resume=True
    )
    assert report.resumed_frames == 16
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.slow
def test_actors_encode_both_ways(tmp_path: Path, on_ray: Any) -> None:
    """To the bytes of one process."""
    settings = {"progress": False, "segment_frames": 8, "ping_pong": True, "hold": "1s"}
    for engine in ("local", "ray"):
        rayanim.produce(
            Numbered(40), 30, outfile=tmp_path / f"{engine}.mp4", engine=engine, **settings
        )
    assert (tmp_path / "local.mp4").read_bytes() == (tmp_path / "ray.mp4").read_bytes()


def test_many_kept_frames_go_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And come back the same."""
    monkeypatch.setattr("rayanim.video.formats.KEPT_BYTES", 100)
    video(tmp_path / "a.mp4", ping_pong=True)
    assert shown(tmp_path / "a.mp4")[0] == [*range(8), *reversed(range(8))]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
@pytest.mark.parametrize("bitrate", [-1, 200])
def test_a_full_temporary_folder_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bitrate: float
) -> None:
    """Whether frames of a segment are kept, or those of the whole video."""
    monkeypatch.setattr("rayanim.video.formats.KEPT_BYTES", 100)
    monkeypatch.setattr(tempfile, "tempdir", "/small")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "w+b"))  # noqa: SIM115
    with pytest.raises(EncodeError, match=r"'/small': No space left.*TMPDIR"):
        video(tmp_path / "a.mp4", ping_pong=True, bitrate=bitrate)
    assert not (tmp_path / "a.mp4").exists()


def test_a_clock_without_timing_counts_frames() -> None:
    """So that nothing is rounded."""
    clock = Clock(Fraction(30000, 1001), None)
    assert (clock.tick, clock.at(5), clock.at(-2), clock.end(7)) == (
        Fraction(1001, 30000),
        5,
        -2,
        7,
    )


def test_a_clock_is_exact_however_long_the_video() -> None:
    """Ticks are rounded once, and errors do not add up."""
    clock = Clock(Fraction(24000, 1001), Timing(frame_s=Fraction(1001, 24000), last_s=Fraction(1)))
    for position in (0, 1, 1000, 1_000_001):
        exact = position * Fraction(1001, 24000)
        assert abs(clock.at(position) * TICK - exact) <= TICK / 2
    assert clock.end(24000) == 1002 * 90_000
