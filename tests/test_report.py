"""The report says what a job made, how quickly, and what the bottleneck was."""

from __future__ import annotations

import base64
import json
import pickle
import re
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rayanim import player
from rayanim.errors import SettingsError
from rayanim.report import ActorChange, FleetSize, Report, StageRates, binding_stage
from rayanim.settings import PerformanceSettings

STAGES = StageRates.measured(300, draw_s=6.0, convert_s=0.5, encode_s=1.5, wait_s=2.5)


def make_report(output: Path | str = "wave.mp4", **changes: object) -> Report:
    report = Report(
        output=Path(output),
        frames=300,
        elapsed_s=5.0,
        size=(640, 480),
        rate=Fraction(30),
        codec="h264",
        pixel_format="yuv420p",
        file_bytes=421_888,
        engine="ray",
        engine_reason="this process would take 9.0 s",
        actors_peak=4,
        start_s=3.3,
        stages=STAGES,
        binding="drawing",
        actor_changes=(ActorChange(0.5, 4, "the encoder starves"),),
        fleet_sizes=(FleetSize(1.5, 4, 2), FleetSize(4.5, 0, 0)),
        settings=PerformanceSettings(num_workers=4),
        peak_rss_bytes=(("driver", 10), ("RenderActor", 20), ("RenderActor", 21)),
    )
    return replace(report, **changes)  # type: ignore[arg-type]


class Page(HTMLParser):
    """Collects the elements and the text of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: dict[str, dict[str, str | None]] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] = dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def page(report: Report) -> Page:
    return Page(report._repr_html_())


@pytest.mark.parametrize(
    ("stages", "elapsed_s", "actors", "bound"),
    [
        (StageRates(draw_s=8, convert_s=1, encode_s=0.5), 10, 0, "drawing"),
        (StageRates(draw_s=8, convert_s=1, encode_s=0.5), 10, 1, "drawing"),
        (StageRates(draw_s=38, convert_s=2, encode_s=5, wait_s=5), 10.5, 4, "drawing"),
        (StageRates(draw_s=8, convert_s=2, encode_s=9, wait_s=1), 10, 4, "encoding"),
        (StageRates(draw_s=4, convert_s=5, encode_s=8), 10, 1, "converting"),
        (StageRates(draw_s=1, convert_s=0.1, encode_s=0.5, wait_s=4), 5, 2, "start-up"),
        # The actors grew from 1 to 8: shared among the peak, drawing looks short.
        (StageRates(draw_s=40, encode_s=5, wait_s=5), 10, 8, "drawing"),
        (StageRates(draw_s=5, encode_s=5), 5, 1, "drawing"),
        (StageRates(), 3, 2, "start-up"),
        (StageRates(), 0, 0, "drawing"),
    ],
)
def test_the_longest_of_three_binds(
    stages: StageRates, elapsed_s: float, actors: int, bound: str
) -> None:
    """Drawing is shared among actors, encoding is not, and start-up is what is left."""
    assert binding_stage(stages, elapsed_s, actors) == bound


@pytest.mark.parametrize(
    ("binding", "engine", "text"),
    [
        (
            "drawing",
            "ray",
            "drawing took longest; more actors or drawing less would help",
        ),
        ("drawing", "local", "drawing took longest; drawing less would help"),
        ("script", "local", "the script's own code took longest; a quicker update() would help"),
        ("converting", "local", "converting took longest; smaller frames would help"),
        ("encoding", "local", "encoding took longest; a faster preset or codec would help"),
    ],
)
def test_the_advice_fits_the_engine(binding: str, engine: str, text: str) -> None:
    """More actors are advised where there are some."""
    assert make_report(binding=binding, engine=engine).binding_text.startswith(text)


def test_two_stages_can_only_together_be_the_longest() -> None:
    """Where neither takes as long as encoding, both are named."""
    stages = StageRates.measured(300, draw_s=5, convert_s=4, encode_s=6)
    report = make_report(stages=stages, engine="local", actors_peak=0)
    assert report.binding_text.startswith("drawing and converting together took longest")


def test_actors_that_encode_leave_one_stage_the_longest() -> None:
    """Their seconds of encoding are summed like those of drawing, which took longer."""
    stages = StageRates.measured(300, draw_s=100, convert_s=2, encode_s=60)
    report = make_report(stages=stages, transport="segments")
    assert report.binding_text.startswith("drawing took longest")
    assert report.summary().splitlines()[2].startswith("Bottleneck: drawing (3.00 frames/s")


def test_a_report_is_short_where_it_is_shown_among_others() -> None:
    """Its repr is one line."""
    assert repr(make_report()) == "<Report wave.mp4: 300 frames, 10.0 s>"


def test_rates_are_those_of_one_busy_worker() -> None:
    """300 frames in 6 s of drawing are 50 a second, however many actors drew."""
    assert (STAGES.draw_fps, STAGES.convert_fps, STAGES.encode_fps) == (50, 600, 200)
    assert StageRates.measured(0, draw_s=3).draw_fps is None
    assert StageRates.measured(10).encode_fps is None


def test_summary_is_three_lines_and_names_all_that_matters() -> None:
    """File, frames, size, rate, codec; time; engine and its reason; the bottleneck."""
    lines = str(make_report()).splitlines()
    assert lines[0] == ("wave.mp4: 300 frames of 640x480 at 30 fps (10.0 s), h264 yuv420p, 412 KiB")
    assert lines[1] == (
        "Rendered in 5.00 s (60.0 frames/s), drawn on Ray with up to 4 actors "
        "(this process would take 9.0 s)."
    )
    assert lines[2] == (
        "Bottleneck: drawing (50.0 frames/s per actor; conversion 600 per actor, encoding 200)."
    )
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"binding": "encoding", "actors_peak": 0},
            "encoding (200 frames/s; drawing 50.0, conversion 600)",
        ),
        (
            {"binding": "converting", "actors_peak": 1},
            "conversion (600 frames/s; drawing 50.0, encoding 200)",
        ),
        (
            {"binding": "start-up"},
            "start-up (drawing 50.0 frames/s per actor, conversion 600 per actor, encoding 200)",
        ),
        (
            {"binding": "encoding"},
            "encoding (200 frames/s; drawing 50.0 per actor, conversion 600 per actor)",
        ),
        (
            {"binding": "encoding", "transport": "segments"},
            "encoding (200 frames/s per actor; drawing 50.0 per actor, conversion 600 per actor)",
        ),
        ({"binding": "start-up", "stages": StageRates()}, "start-up"),
        (
            {"binding": "script"},
            "the script's own code "
            "(with drawing 50.0 frames/s per actor; conversion 600 per actor, encoding 200)",
        ),
        (
            {"stages": StageRates.measured(8, draw_s=4, convert_s=4, encode_s=5), "actors_peak": 0},
            "drawing and conversion together "
            "(drawing 2.00 frames/s, conversion 2.00, encoding 1.60)",
        ),
    ],
)
def test_the_third_line_names_the_bottleneck_first(changes: dict[str, Any], text: str) -> None:
    """With its rate, then those of the others."""
    assert make_report(**changes).summary().splitlines()[2] == f"Bottleneck: {text}."


@pytest.mark.parametrize(
    ("incremental", "in_full", "text"),
    [
        (0, (), ""),
        (300, (), " Redrew only what changed in 300 of 300 frames."),
        (297, (("a", 2), ("b", 1)), " Redrew only what changed in 297 of 300 frames."),
        (0, (("a", 300),), " Drew 300 frames in full (a)."),
    ],
)
def test_how_figures_were_drawn_ends_the_third_line(
    incremental: int, in_full: tuple[tuple[str, int], ...], text: str
) -> None:
    """Videos without figures have nothing to say there."""
    report = make_report(incremental_frames=incremental, full_frames=in_full)
    assert report.summary().splitlines()[2].endswith(f"encoding 200).{text}")


def test_a_video_that_was_not_drawn_has_no_bottleneck() -> None:
    """All of it came from the cache, or from an earlier run."""
    report = make_report(resumed_frames=300, cached_frames=300, elapsed_s=2.0)
    assert report.summary().splitlines()[1:] == [
        "Finished in 2.00 s: all frames came from the cache."
    ]
    assert report.details() == ""
    report = make_report(resumed_frames=300)
    assert report.summary().endswith("all frames came from an earlier run.")


def test_images_go_by_their_folder() -> None:
    """No file has the name of them all."""
    report = make_report(output=Path("frames/%04d.png"))
    assert report.summary().startswith("frames/: 300 frames") and "frames/:" in repr(report)


def test_all_reasons_for_full_draws_are_one_sentence() -> None:
    """With the frames of each."""
    report = make_report(full_frames=(("the layout moved", 3), ("the first frame", 1)))
    line = "Drew 4 frames in full: the layout moved (3), the first frame (1)."
    assert line in report.details().splitlines()


def test_details_are_for_those_who_ask() -> None:
    """What would help, what was waited for, and why frames were drawn in full."""
    report = make_report(full_frames=(("the first frame", 1),), nodes_peak=3, node_hours=0.02)
    assert report.details().splitlines() == [
        "Speed: 2.00 times real time.",
        "Drawing took longest; more actors or drawing less would help.",
        "The encoder waited 2.50 s for frames.",
        "The first actor could draw after 3.30 s.",
        "Nodes were in use for 0.02 node-hours in all.",
        "Drew 1 frame in full: the first frame.",
    ]
    assert make_report(rendered=False).details() == ""


@pytest.mark.parametrize(
    ("transport", "reason", "line"),
    [
        ("segments", "they can be", "Segments were encoded one by one and joined: they can be."),
        ("frames", "it has to", "All frames went through one encoder: it has to."),
    ],
)
def test_the_last_detail_says_how_frames_were_encoded(
    transport: str, reason: str, line: str
) -> None:
    """And why."""
    report = make_report(transport=transport, transport_reason=reason)
    assert report.details().splitlines()[-1] == line


def test_events_are_the_fourth_line() -> None:
    """What went wrong takes one line, whatever it contains and however often it happened."""
    event = "an actor died while drawing frames 40 to 47;\nthey were drawn again"
    lines = make_report(events=(event,)).summary().splitlines()
    assert lines[3] == "an actor died while drawing frames 40 to 47; they were drawn again."
    many = make_report(events=("a", "b", "c", "d", "e")).summary().splitlines()
    assert many[3] == "a; b; c; and 2 more."


def test_in_process_summary() -> None:
    """A job without actors says that it ran in this process."""
    assert "in this process" in str(make_report(engine="local", actors_peak=0))
    assert "up to 1 actor (" in str(make_report(actors_peak=1))


def test_nodes_are_named_where_there_were_several() -> None:
    """What they cost is in the details."""
    assert "node" not in str(make_report(nodes_peak=1, node_hours=0.02))
    line = make_report(nodes_peak=3, node_hours=0.02).summary().splitlines()[1]
    assert "drawn on Ray with up to 4 actors on 3 nodes (" in line


def test_an_unwritten_video_is_no_rendered_one() -> None:
    """A dry run says what the video would be, and claims no time and no file."""
    text = str(make_report(rendered=False, file_bytes=0, elapsed_s=0.0))
    assert "not written" in text
    assert "Rendered" not in text


def test_no_division_by_zero() -> None:
    """A report of nothing can be printed."""
    report = make_report(elapsed_s=0.0, frames=0, stages=StageRates(), engine_reason="")
    assert report.fps == 0
    assert "0 frames" in str(report)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Fraction(30), "30"),
        (Fraction(25, 2), "12.5"),
        (Fraction(30000, 1001), "30000/1001"),
        (Fraction(2997, 100), "29.97"),
        (Fraction(1, 3), "1/3"),
    ],
)
def test_rates_are_exact(rate: Fraction, text: str) -> None:
    """29.97 and 30000/1001 are not the same rate."""
    assert f" at {text} fps" in str(make_report(rate=rate))


def test_nothing_binds_a_video_that_was_not_rendered() -> None:
    """The dictionary of a dry run names no stage; a video's does."""
    values = make_report(rendered=False).to_dict()
    assert values["binding"] is values["binding_text"] is None
    assert make_report().to_dict()["binding"] == "drawing"


def test_to_dict_is_json() -> None:
    """The dictionary survives JSON unchanged, and carries what is computed too."""
    values = make_report(rate=Fraction(30000, 1001), events=("e",)).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["rate"] == "30000/1001"
    assert values["fps"] == 60
    assert values["size"] == [640, 480]
    assert values["output"] == "wave.mp4"
    assert values["stages"]["draw_fps"] == 50
    assert values["actor_changes"] == [{"at_s": 0.5, "actors": 4, "reason": "the encoder starves"}]
    assert values["fleet_sizes"] == [
        {"at_s": 1.5, "actors": 4, "nodes": 2},
        {"at_s": 4.5, "actors": 0, "nodes": 0},
    ]
    assert [entry["bytes"] for entry in values["peak_rss_bytes"]] == [10, 20, 21]
    assert PerformanceSettings.from_dict(values["settings"]) == PerformanceSettings(num_workers=4)


def test_the_dictionary_is_pinned() -> None:
    """Programs read it with ``--json``: no key goes or changes its shape unnoticed."""
    values = make_report(
        incremental_frames=298,
        full_frames=(("the first frame", 2),),
        events=("an actor died",),
        resumed_frames=30,
    ).to_dict()
    assert values.pop("settings") == PerformanceSettings(num_workers=4).to_dict()
    assert values == {
        "output": "wave.mp4",
        "frames": 300,
        "elapsed_s": 5.0,
        "fps": 54.0,
        "video_s": 10.0,
        "length_s": None,
        "size": [640, 480],
        "rate": "30",
        "codec": "h264",
        "pixel_format": "yuv420p",
        "file_bytes": 421_888,
        "engine": "ray",
        "engine_reason": "this process would take 9.0 s",
        "transport": "frames",
        "transport_reason": "",
        "resumed_frames": 30,
        "cached_frames": 0,
        "cache_reason": "",
        "actors_peak": 4,
        "start_s": 3.3,
        "stages": {
            "draw_fps": 50.0,
            "convert_fps": 600.0,
            "encode_fps": 200.0,
            "draw_s": 6.0,
            "convert_s": 0.5,
            "encode_s": 1.5,
            "wait_s": 2.5,
            "write_s": 0.0,
        },
        "binding": "drawing",
        "binding_text": "drawing took longest; more actors or drawing less would help",
        "incremental_frames": 298,
        "full_frames": [{"reason": "the first frame", "frames": 2}],
        "audited_frames": 0,
        "actor_changes": [{"at_s": 0.5, "actors": 4, "reason": "the encoder starves"}],
        "fleet_sizes": [
            {"at_s": 1.5, "actors": 4, "nodes": 2},
            {"at_s": 4.5, "actors": 0, "nodes": 0},
        ],
        "nodes_peak": 0,
        "node_hours": 0.0,
        "events": ["an actor died"],
        "peak_rss_bytes": [
            {"process": "driver", "bytes": 10},
            {"process": "RenderActor", "bytes": 20},
            {"process": "RenderActor", "bytes": 21},
        ],
        "rendered": True,
        "shown": "",
        "tracks": [],
        "others": [],
    }


def test_every_field_is_in_the_dictionary() -> None:
    """A field that is added later cannot be forgotten in the JSON."""
    assert set(Report.__slots__) <= set(make_report().to_dict())


def test_a_report_stands_for_its_settings() -> None:
    """As what pympanim's `produce` returns: read, assigned, and dumped as JSON."""
    report = make_report()
    assert report.num_workers == 4
    assert json.loads(json.dumps(report.__dict__)) == vars(report.settings)
    report.max_workers = 6
    assert report.settings.max_workers == 6
    vars(report)["num_workers"] = 9
    assert report.num_workers == 4
    with pytest.raises(SettingsError, match="num_workers"):
        report.num_workers = 0
    with pytest.raises(AttributeError, match="numworkers"):
        _ = report.numworkers


def test_a_report_is_a_value() -> None:
    """It is frozen, and equal after pickling."""
    report = make_report()
    with pytest.raises(FrozenInstanceError):
        report.frames = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(report)) == report


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mp4", "video/mp4"), ("a.MOV", "video/mp4"), ("a.webm", "video/webm")],
)
def test_a_small_video_is_inside_the_notebook(tmp_path: Path, name: str, kind: str) -> None:
    """The bytes of the file are in the page, with controls to play them."""
    video = tmp_path / name
    video.write_bytes(b"\x00video\xff" * 100)
    shown = page(make_report(video)).elements["video"]
    assert "controls" in shown
    prefix = f"data:{kind};base64,"
    assert (shown["src"] or "").startswith(prefix)
    assert base64.b64decode((shown["src"] or "").removeprefix(prefix)) == video.read_bytes()


def test_a_large_video_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the limit on the page holds the path from the working folder, as a URL."""
    monkeypatch.setattr(player, "LARGEST_EMBEDDED_BYTES", 10)
    monkeypatch.chdir(tmp_path)
    video = tmp_path / "out" / 'a "video" #1 <b>.mp4'
    video.parent.mkdir()
    video.write_bytes(b"x" * 10)
    report = make_report(video)
    assert page(report).elements["video"]["src"] == "out/a%20%22video%22%20%231%20%3Cb%3E.mp4"
    video.write_bytes(b"x" * 9)
    assert (page(report).elements["video"]["src"] or "").startswith("data:")


def test_a_video_that_browsers_do_not_play_is_a_link(tmp_path: Path) -> None:
    """AVI gives the summary and a link."""
    video = tmp_path / "a.avi"
    video.write_bytes(b"x")
    shown = page(make_report(video))
    assert "video" not in shown.elements
    assert (shown.elements["a"]["href"] or "").endswith("a.avi")
    assert "300 frames" in shown.text


def test_a_still_is_shown_as_a_picture(tmp_path: Path) -> None:
    """A PNG is an image, not a video."""
    still = tmp_path / "a.png"
    still.write_bytes(b"x")
    shown = page(make_report(still, rendered=False))
    assert (shown.elements["img"]["src"] or "").startswith("data:image/png;base64,")


def test_a_video_that_is_gone_leaves_the_summary(tmp_path: Path) -> None:
    """A moved file or a dry run is no error in the notebook."""
    for name in ("gone.mp4", "gone.avi"):
        shown = page(make_report(tmp_path / name))
        assert set(shown.elements) == {"pre"}
        assert "300 frames" in shown.text


def test_nothing_is_read_as_html(tmp_path: Path) -> None:
    """Names and reasons cannot smuggle elements into the page."""
    evil = "<script>alert('x')</script>"
    video = tmp_path / "<img src=x>.mp4"
    video.write_bytes(b"x")
    shown = page(make_report(video, engine_reason=evil, events=(evil,), codec='"><b>'))
    assert set(shown.elements) == {"video", "a", "pre"}
    assert evil in shown.text


def test_sizes_are_readable() -> None:
    """Bytes, KiB, MiB and GiB, never a bare large number."""
    ends = [
        re.sub(r".*, ", "", make_report(file_bytes=size).summary().splitlines()[0])
        for size in (999, 2048, 5 * 2**20, 3 * 2**40)
    ]
    assert ends == ["999 bytes", "2.00 KiB", "5.00 MiB", "3072 GiB"]
