"""What a script defines is found by its name, or alone."""

from __future__ import annotations

from typing import Any

import pytest
from numbered import Numbered, read_numbers

import rayanim
from rayanim.acts import Act, ActRenderer, ActState, Scene
from rayanim.cli.script import choose, definitions, names_of, render_found
from rayanim.errors import SettingsError
from rayanim.frame_gen import FluentFG, FrameGenerator


class Video(Numbered):
    """A class of the script's own."""

    def __init__(self) -> None:
        super().__init__(4)


class Wave(rayanim.Animator):
    """An Animator with its frames."""

    n_frames = 3

    def setup(self):
        import matplotlib.pyplot as plt

        return plt.figure(figsize=(0.64, 0.48), dpi=100)

    def update(self, frame_idx, params):
        pass


class NeedsArguments(Video):
    """A class that cannot be made out of nothing."""

    def __init__(self, radius: float) -> None:
        super().__init__()


class Unfinished(rayanim.Animator):
    """A base class for others."""

    def setup(self):
        raise NotImplementedError


def script(**names: Any) -> dict[str, Any]:
    """The namespace of a script that defines `names`."""
    return {"__name__": __name__, **names}


def pick(name: str | None = None, **names: Any) -> Any:
    """What is chosen of a script that defines `names`."""
    return choose(script(**names), name, script="script.py")


def test_the_only_class_is_found():
    """One class, no name needed."""
    assert pick(Video=Video).value is Video


def test_objects_come_before_classes():
    """What the script has made itself is what it means."""
    video = Video()
    assert pick(Video=Video, Wave=Wave, video=video).value is video


def test_an_object_with_two_names_is_one():
    """An alias makes nothing ambiguous, and either name will do."""
    video = Video()
    assert pick(a=video, b=video).name == "a"
    assert pick("b", a=video, b=video).value is video


def test_imported_classes_are_not_the_scripts():
    """Base classes that a script imports are no videos of its own."""
    there = definitions(
        script(FrameGenerator=FrameGenerator, Animator=rayanim.Animator, Video=Video)
    )
    assert [found.name for found in there] == ["Video"]


def test_an_imported_class_is_rendered_by_its_name():
    """From a package beside the script, for example; alone it is named in the message."""
    assert pick("Imported", Imported=Numbered4).value is Numbered4
    with pytest.raises(SettingsError, match=r"only imports Numbered.* script.py Numbered4"):
        pick(Numbered4=Numbered4)
    with pytest.raises(SettingsError, match=r"Numbered in script.py .* needs arguments"):
        pick("Numbered", Numbered=Numbered)
    with pytest.raises(SettingsError, match="nothing in it to render"):
        pick("Animator", Animator=rayanim.Animator)


Numbered4 = type("Numbered4", (Video,), {"__module__": "package.elsewhere"})


class Draw(ActRenderer):
    """Draws nothing much."""

    frame_size = (2, 1)

    def render(self, act_state):
        return bytes(8)


class Wait(Scene):
    """Lasts a second."""

    duration = 1000

    def apply(self, act_state, time_ms):
        pass


def test_chains_and_acts_are_found():
    """A chain that was not built yet and an act are videos like others."""
    there = definitions(script(chain=FluentFG(Video()), act=Act(ActState(), Draw(), [Wait()])))
    assert [(found.name, found.kind) for found in there] == [("chain", "FluentFG"), ("act", "Act")]


def test_several_are_listed():
    """Where there are several, the message lists all that can be rendered."""
    with pytest.raises(SettingsError) as caught:
        pick(Video=Video, Wave=Wave, NeedsArguments=NeedsArguments)
    text = caught.value.message
    assert "Video  FrameGenerator class" in text and "Wave   Animator class" in text
    assert "NeedsArguments" not in text


def test_an_unknown_name_is_answered_with_a_list():
    """So is a name that there is not."""
    with pytest.raises(SettingsError, match=r"no video called 'video'(?s:.*)Video"):
        pick("video", Video=Video)


def test_the_list_has_what_the_script_renders_itself():
    """Videos that only the script's own calls render are part of what there is."""
    with pytest.raises(SettingsError, match="Local  rendered by the script"):
        choose(script(Video=Video), "x", script="script.py", rendered=[["Local"]])


def test_a_video_is_listed_once():
    """A video that the script renders goes by its variable, not by its class too."""
    with pytest.raises(SettingsError) as caught:
        choose(script(Video=Video), "x", script="script.py", rendered=[["video", "Video"]] * 2)
    assert caught.value.message.endswith("It has:\n  video  rendered by the script")


def test_a_name_that_looks_like_a_file_gets_the_option_for_it():
    """The output is named by an option."""
    with pytest.raises(SettingsError, match=r"To name the output: -o wave\.mp4\. It has:"):
        choose(script(Video=Video), "wave.mp4", script="script.py")


def test_a_name_that_is_no_video_says_what_it_is():
    """A name of something else is another error than one that there is not."""
    with pytest.raises(SettingsError, match="radius is a int"):
        pick("radius", radius=3, Video=Video)


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (NeedsArguments, r"needs arguments: NeedsArguments\(radius"),
        (Unfinished, "lacks update"),
    ],
)
def test_a_named_class_says_why_it_cannot_be_rendered(cls, reason):
    """What stands in the way is named, with or without a name."""
    with pytest.raises(SettingsError, match=reason):
        pick(cls.__name__, **{cls.__name__: cls})
    with pytest.raises(SettingsError, match=reason):
        pick(**{cls.__name__: cls})


def test_an_empty_script_is_an_error_with_the_remedy():
    """Nothing to render is an error that says what would be."""
    with pytest.raises(SettingsError, match=r"rayanim\.produce\(update"):
        pick(x=1)


def test_private_names_wait_to_be_named():
    """What begins with an underscore is rendered only by its name."""
    assert pick(_draft=Video(), video=(video := Video())).value is video
    assert pick("_draft", _draft=(draft := Video()), video=Video()).value is draft


def test_a_thing_is_called_by_its_variables_and_its_class():
    """A user may mean either."""
    video = Video()
    assert names_of(video, script(a=video, Video=Video, b=3)) == ["a", "Video"]
    assert names_of(read_numbers, script(read_numbers=read_numbers)) == ["read_numbers"]


def test_found_videos_are_rendered_in_full(tmp_path):
    """A found class gives all its frames in order."""
    report = render_found(pick(Video=Video), tmp_path / "Video.mp4")
    assert read_numbers(report.output) == [0, 1, 2, 3]


def test_found_animators_bring_their_frames(tmp_path):
    """Class attributes say how many frames there are."""
    report = render_found(pick(Wave=Wave), tmp_path / "Wave.mp4")
    assert len(read_numbers(report.output)) == report.frames == 3


def test_an_animator_without_frames_says_what_is_missing(tmp_path):
    """How many frames there are cannot be guessed."""

    class Endless(Wave):
        n_frames = None

    with pytest.raises(SettingsError, match=r"Endless has no frame count\. Set n_frames"):
        render_found(pick(Endless=Endless), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())
