"""Written for pympanim: scenes pushed, popped, joined and cropped, over two scenes of an act."""

import PIL.Image
import PIL.ImageDraw

import rayanim as pmaw
from rayanim import acts, easing


class Page(acts.ActState):
    def __init__(self):
        self.left = 0.0
        self.top = 0.0
        self.ink = "black"


class PageRenderer(acts.ActRenderer):
    frame_size = (64, 48)

    def render_pil(self, act_state):
        image = PIL.Image.new("RGBA", self.frame_size, "white")
        x, y = 40 * act_state.left, 30 * act_state.top
        PIL.ImageDraw.Draw(image).rectangle((x, y, x + 16, y + 12), fill=act_state.ink)
        return image


class Across(acts.Scene):
    def apply(self, act_state, time_ms, dbg=False):
        act_state.left = time_ms


class Down(acts.Scene):
    def enter(self, act_state):
        act_state.ink = "red"

    def apply(self, act_state, time_ms, dbg=False):
        act_state.top = time_ms

    def exit(self, act_state):
        act_state.ink = "black"


def _both():
    return (
        acts.FluentScene(Across())
        .time_rescale_exact(0.5, "s")
        .push(Down())
        .dilate(easing.smootheststep)
        .time_rescale_exact(500, "ms")
        .pop("join")
        .build()
    )


def _there_and_back():
    return (
        acts.FluentScene(_both())
        .push(_both())
        .reverse()
        .crop(0, 0.4, "s")
        .pop()
        .push(acts.SceneSequenceScene([_both(), acts.TimeReverseScene(_both())]))
        .pop("then")
        .build()
    )


def _separate():
    across = acts.FluentScene(Across()).time_rescale_exact(0.3, "s").build()
    down = acts.FluentScene(Down()).time_rescale(1 / 300).build()
    return acts.FluentScene(across).push(down).pop("join_sep").build()


if __name__ == "__main__":
    act = acts.Act(Page(), PageRenderer(), [_there_and_back(), _separate()])
    pmaw.produce(act, fps=20, dpi=100, bitrate=-1, outfile="scenes.mp4")
