"""The command's options take the place of what the script asks for."""

from __future__ import annotations

import logging
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered import FPS, Numbered, NumberedAnimator, read_numbers
from PIL import Image

import rayanim
from rayanim.errors import OutputError, SettingsError
from rayanim.overrides import Overrides, current, overriding
from rayanim.storage.address import Output


def render(overrides: Overrides, outfile: Path | None, thing=None, **arguments):
    """`produce` as a script would call it, under `overrides`."""
    options = {"progress": False, "engine": "local", "fps": FPS, **arguments}
    with overriding(overrides):
        return rayanim.produce(Numbered(12) if thing is None else thing, outfile=outfile, **options)


def size_and_rate(path: Path) -> tuple[tuple[int, int], Fraction]:
    """Size and rate of a video, as its file says."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return (stream.width, stream.height), stream.average_rate


def test_nothing_is_in_force_outside_of_the_command():
    """Outside of `overriding` nothing is overridden, and counts do not accumulate."""
    current().calls += 1
    assert current() == Overrides()


def test_overrides_reach_the_scripts_threads():
    """A script that renders in a thread of its own is under the command's options too."""
    seen = []
    with overriding(Overrides(dry_run=True)):
        thread = threading.Thread(target=lambda: seen.append(current().dry_run))
        thread.start()
        thread.join()
    assert seen == [True]


def test_videos_without_a_name_do_not_replace_each_other(tmp_path):
    """The first goes where the command's default says, the next ones beside it."""
    overrides = Overrides(default_output=tmp_path / "wave.mp4")
    for name in ("wave.mp4", "wave-2.mp4", "wave-3.mp4"):
        assert render(overrides, None).output == tmp_path / name
    assert read_numbers(tmp_path / "wave-2.mp4") == list(range(12))


def test_arguments_take_precedence(tmp_path):
    """Output, rate and frames of the command replace those of the script."""
    overrides = Overrides(
        outputs=(Output(tmp_path / "new.mkv"),), arguments={"fps": "30000/1001", "frames": "2-6x2"}
    )
    report = render(overrides, tmp_path / "old.mp4", fps=5, frames="0-3", thing=Numbered(12))
    assert report.output == tmp_path / "new.mkv"
    assert size_and_rate(report.output)[1] == Fraction(30000, 1001)
    assert report.frames == 3
    assert not (tmp_path / "old.mp4").exists()


def test_frames_are_the_videos_own(tmp_path):
    """Chosen frames show what they show in the whole video, in order."""
    report = render(Overrides(arguments={"frames": "3,5-7"}), tmp_path / "a.mp4")
    assert read_numbers(report.output) == [3, 5, 6, 7]


def test_a_call_without_output_gets_the_default(tmp_path):
    """Where neither the command nor the script names a file, the default is taken."""
    report = render(Overrides(default_output=tmp_path / "script.mp4"), None)
    assert read_numbers(report.output) == list(range(12))


def test_the_commands_paths_begin_where_it_was_started(tmp_path, monkeypatch):
    """A script that goes to another folder does not take -o with it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    report = render(Overrides(outputs=(Output(Path("a.mp4")),), folder=tmp_path), None)
    assert report.output == tmp_path / "a.mp4"
    assert read_numbers(tmp_path / "a.mp4") == list(range(12))


def test_a_second_video_does_not_fit_into_one_output(tmp_path):
    """-o names one video: the second call is refused, and the first video stays."""
    overrides = Overrides(outputs=(Output(tmp_path / "one.mp4"),))
    render(overrides, None)
    with pytest.raises(SettingsError, match="more than one video"):
        render(overrides, None)
    assert read_numbers(tmp_path / "one.mp4") == list(range(12))


def test_calls_that_are_not_wanted_render_nothing(tmp_path):
    """A call that is passed over gets a report that says so, and does not count."""
    overrides = Overrides(wanted=lambda thing: False)
    report = render(overrides, tmp_path / "a.mp4")
    assert (
        str(report).endswith("not rendered, because another video was asked for.")
        and not report.rendered
    )
    assert overrides.calls == 0 and not (tmp_path / "a.mp4").exists()


def test_quality_changes_the_rate_of_what_can_be_drawn_at_any_time(tmp_path):
    """A generator gets the quality's height and rate."""
    large = render(Overrides(quality_fps=15, arguments={"height_px": 96}), tmp_path / "large.mp4")
    assert size_and_rate(large.output) == ((128, 96), 15)
    report = render(Overrides(quality_fps=15, arguments={"height_px": 48}), tmp_path / "a.mp4")
    assert read_numbers(report.output) == [0, 2, 4, 6, 8, 10]


def test_quality_keeps_the_rate_of_frames_given_one_by_one(tmp_path, caplog):
    """An Animator's frames keep their rate, and the log says so."""
    with caplog.at_level(logging.WARNING, logger="rayanim"):
        report = render(
            Overrides(quality_fps=60, arguments={"height_px": 96}),
            tmp_path / "a.mp4",
            NumberedAnimator(),
            param_by_frame=[0, 1, 2],
        )
    assert size_and_rate(report.output) == ((128, 96), FPS)
    assert "keeps its own rate, here 30 fps" in caplog.text


@pytest.mark.parametrize("form", [list, iter, np.stack])
def test_quality_keeps_the_rate_of_frames_in_a_list_or_from_a_generator(form, tmp_path, caplog):
    """At another rate they would play at another speed; one array of frames is a list too."""
    frames = form([np.full((48, 64, 3), 20 * number, np.uint8) for number in range(6)])
    overrides = Overrides(quality_fps=15, arguments={"height_px": 48})
    report = render(overrides, tmp_path / "a.mp4", frames, fps=30)
    assert (report.frames, size_and_rate(report.output)[1]) == (6, 30)
    assert "keeps its own rate, here 30 fps" in caplog.text


def test_an_explicit_rate_wins_over_the_quality(tmp_path, caplog):
    """--fps beside -q is what counts, for every form."""
    overrides = Overrides(quality_fps=60, arguments={"fps": 10, "height_px": 96})
    report = render(overrides, tmp_path / "a.mp4", NumberedAnimator(), param_by_frame=[0, 1])
    assert size_and_rate(report.output)[1] == 10
    assert not caplog.text


def test_another_codec_drops_what_was_chosen_for_the_scripts(tmp_path):
    """A preset that only the script's codec knows does not stop the command's."""
    overrides = Overrides(outputs=(Output(tmp_path / "a.webm"),), arguments={"codec": "vp9"})
    report = render(overrides, tmp_path / "a.mp4", codec="h264", preset="slow", crf=18)
    assert "vp9" in report.codec
    assert read_numbers(report.output) == list(range(12))


def test_another_kind_of_file_drops_what_was_chosen_for_the_scripts(tmp_path):
    """A crf means nothing to a GIF, and a loop count nothing to an mp4."""
    report = render(
        Overrides(outputs=(Output(tmp_path / "a.gif"),)), tmp_path / "a.mp4", crf=20, codec="h264"
    )
    assert report.codec == "gif"
    report = render(Overrides(outputs=(Output(tmp_path / "a.mp4"),)), tmp_path / "a.gif", loop=2)
    assert report.codec == "libx264"
    with pytest.raises(SettingsError, match="gif has no crf"):
        render(
            Overrides(outputs=(Output(tmp_path / "a.gif"),), arguments={"crf": 20}),
            tmp_path / "a.mp4",
        )


@pytest.mark.parametrize("given", [{"bitrate": 500}, {"crf": 30}])
def test_quality_and_bitrate_replace_each_other(tmp_path, given):
    """The command's bitrate takes the place of the script's crf, and the other way round."""
    script = {"crf": 20} if "bitrate" in given else {"bitrate": 800}
    report = render(Overrides(arguments=given), tmp_path / "a.mp4", **script)
    assert read_numbers(report.output) == list(range(12))


@pytest.mark.parametrize("script", [{}, {"dpi": 50}, {"savefig_params": {"dpi": 50}}])
def test_the_dpi_replaces_the_scripts(tmp_path, script):
    """However the script gives it."""
    overrides = Overrides(dry_run=True, arguments={"dpi": 200})
    report = render(overrides, tmp_path / "a.mp4", NumberedAnimator(), param_by_frame=[0], **script)
    assert report.size == (128, 96)


def test_a_dry_run_writes_nothing(tmp_path):
    """The plan is told; no file and no folder is made."""
    report = render(Overrides(dry_run=True), tmp_path / "deep" / "a.mp4", engine="auto", workers=3)
    assert not list(tmp_path.iterdir())
    assert (report.frames, report.size, report.rendered) == (12, (64, 48), False)
    assert "At most 3 render actors" in str(report)
    assert report.to_dict()["max_actors"] == 3


def test_a_dry_run_for_a_cluster_says_so(tmp_path):
    """Without asking it; this machine's cores mean nothing there."""
    there = {"address": "head:6379", "engine": "auto"}
    report = render(Overrides(dry_run=True), tmp_path / "a.mp4", workers="auto", **there)
    assert "Drawn on the Ray cluster (address='head:6379')." in str(report)
    assert "As many render actors as there is room for" in str(report)
    bound = rayanim.ClusterSettings(max_workers=80)
    report = render(Overrides(dry_run=True), tmp_path / "a.mp4", workers=9, cluster=bound, **there)
    assert "At most 9 render actors" in str(report)


@pytest.mark.parametrize("address", ["local", "head:6379"])
def test_a_dry_run_knows_the_bound_of_performance_settings(tmp_path, address):
    """On this machine and on a cluster."""
    options = {"engine": "ray", "address": address, "workers": "auto"}
    bound = rayanim.PerformanceSettings(max_workers=1)
    report = render(Overrides(dry_run=True), tmp_path / "a.mp4", settings=bound, **options)
    assert "At most 1 render actor," in str(report)


def test_a_dry_run_foretells_a_refusal(tmp_path):
    """That an existing file may not be replaced is part of the plan."""
    target = tmp_path / "a.mp4"
    target.write_bytes(b"before")
    report = render(Overrides(dry_run=True), target, overwrite=False)
    assert "may not be replaced" in str(report)


def test_a_still_is_the_videos_frame(tmp_path):
    """Frame N as an image, beside where the video would be, in the video's pixels."""
    report = render(Overrides(still_number=7), tmp_path / "a.mp4")
    assert report.output == tmp_path / "a.png" and not report.rendered
    with Image.open(report.output) as image:
        expected = Numbered(12).generate_at(7 * 1000 / FPS)
        assert np.array_equal(np.asarray(image), expected)


def test_a_still_ignores_which_frames_the_script_chose(tmp_path):
    """Numbers are the whole video's, whichever part of it the script renders."""
    render(Overrides(still_number=9), tmp_path / "a.mp4", frames="0-3")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), Numbered(12).generate_at(9 * 1000 / FPS))


def test_a_still_passes_over_the_parameters_before_it(tmp_path):
    """Of a generator of parameters only as many are taken as needed."""
    taken = []

    def parameters():
        for number in range(1000):
            taken.append(number)
            yield number

    animator = NumberedAnimator()
    render(Overrides(still_number=5), tmp_path / "a.mp4", animator, param_by_frame=parameters())
    assert taken == list(range(6))
    video = render(Overrides(), tmp_path / "b.mp4", NumberedAnimator(), param_by_frame=[5])
    assert read_numbers(video.output) == [5]
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == video.size


def test_a_still_under_a_tight_box_has_the_videos_size(tmp_path):
    """The first frame's box cuts every frame, also one that is drawn alone."""

    class Growing(rayanim.Animator):
        def setup(self):
            import matplotlib.pyplot as plt

            fig = plt.figure(figsize=(2, 1), dpi=50)
            self.text = fig.text(0.1, 0.5, "")
            return fig

        def update(self, frame_idx, params):
            self.text.set_text("x" * (1 + 3 * frame_idx))

    options = {"n_frames": 4, "savefig_params": {"bbox_inches": "tight"}, "odd_size": "crop"}
    video = render(Overrides(dry_run=True), tmp_path / "a.mp4", Growing(), **options)
    still = render(Overrides(still_number=3), tmp_path / "a.mp4", Growing(), **options)
    assert [side - side % 2 for side in still.size] == list(video.size)


@pytest.mark.parametrize("wrap", [list, iter])
def test_a_still_of_frames_with_numbers_of_their_own(tmp_path, wrap):
    """The first frame's box cuts it, whatever number that has; one left out is refused."""

    class Labelled(rayanim.Animator):
        def setup(self):
            import matplotlib.pyplot as plt

            fig = plt.figure(figsize=(2, 1), dpi=50)
            self.text = fig.text(0.1, 0.5, "")
            return fig

        def update(self, frame_idx, params):
            self.text.set_text("x" * frame_idx)

    def options():
        frames = [rayanim.IndexedFrameParams(number, None) for number in (9, 4, 6)]
        return {"param_by_frame": wrap(frames), "savefig_params": {"bbox_inches": "tight"}}

    video = render(Overrides(dry_run=True), tmp_path / "a.mp4", Labelled(), **options())
    still = render(Overrides(still_number=9), tmp_path / "a.mp4", Labelled(), **options())
    assert [side + side % 2 for side in still.size] == list(video.size)
    with pytest.raises(SettingsError, match="no frame 7"):
        render(Overrides(still_number=7), tmp_path / "b.mp4", Labelled(), **options())


@pytest.mark.parametrize("parameters", [[0, 1, 2], iter([0, 1, 2])])
def test_there_is_no_still_beyond_the_end(tmp_path, parameters):
    """A number that the video does not have is refused, and nothing is written."""
    with pytest.raises(SettingsError, match="no frame 3"):
        render(
            Overrides(still_number=3),
            tmp_path / "a.mp4",
            NumberedAnimator(),
            param_by_frame=parameters,
        )
    assert not list(tmp_path.iterdir())


def test_a_generator_of_frames_is_named_in_a_plan_and_for_a_still(tmp_path):
    """Its script has no param_by_frame."""
    frames = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(3)]
    plan = render(Overrides(dry_run=True), tmp_path / "a.mp4", iter(frames))
    assert "is known when the generator of frames has ended" in str(plan)
    with pytest.raises(SettingsError, match="the generator of frames ended before it"):
        render(Overrides(still_number=3), tmp_path / "a.mp4", iter(frames))


def test_a_still_is_written_whole_or_not_at_all(tmp_path):
    """A frame that fails leaves an earlier image as it was, and nothing beside it."""
    target = tmp_path / "a.png"
    target.write_bytes(b"before")
    with pytest.raises(rayanim.FrameError):
        render(Overrides(outputs=(Output(target),), still_number=3), None, Numbered(12, fail=3))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_a_still_respects_no_overwrite(tmp_path):
    """An existing image is kept where it may not be replaced."""
    target = tmp_path / "a.png"
    target.write_bytes(b"before")
    with pytest.raises(OutputError, match="exists"):
        render(
            Overrides(outputs=(Output(target),), still_number=3, arguments={"overwrite": False}),
            None,
        )
    assert target.read_bytes() == b"before"


@pytest.mark.parametrize("suffix", [".xcf", ".mp4"])
def test_a_still_needs_an_image_format(tmp_path, suffix):
    """A suffix of no image is refused before anything is drawn."""
    with pytest.raises(OutputError, match="image format"):
        render(
            Overrides(outputs=(Output(tmp_path / f"a{suffix}"),), still_number=0),
            None,
            Numbered(12, fail=0),
        )
