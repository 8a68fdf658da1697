"""Written for pympanim: an act whose one scene is dilated and rescaled."""

import os

import PIL.Image

import rayanim as pmaw
from rayanim import acts
from rayanim import frame_gen as fg


class LampState(acts.ActState):
    def __init__(self):
        self.brightness = 0.0


class LampRenderer(acts.ActRenderer):
    @property
    def frame_size(self):
        return (96, 54)  # in pixels

    def render(self, act_state: LampState) -> bytes:
        return fg.img_to_bytes(self.render_pil(act_state))

    def render_pil(self, act_state: LampState) -> PIL.Image:
        level = int(act_state.brightness * 255)
        return PIL.Image.new("RGBA", self.frame_size, (level, level, 255 - level, 255))


class Brighten(acts.Scene):
    @property
    def duration(self):
        return 1  # 1 millisecond: time_ms is the progress

    def apply(self, act_state: LampState, time_ms: float, dbg: bool = False):
        act_state.brightness = time_ms


def _scene():
    scene = Brighten()
    return (
        acts.FluentScene(scene)
        .dilate(lambda x: x**2)
        .time_rescale(1 / 10000)  # 10 s for 1 ms of the scene
        .build()
    )


def _main():
    os.makedirs("out", exist_ok=True)
    act_state = LampState()
    act_renderer = LampRenderer()

    pmaw.produce(
        acts.Act(act_state, act_renderer, [_scene()]),
        fps=60,
        dpi=100,
        bitrate=-1,
        outfile="out/video.mp4",
    )


if __name__ == "__main__":
    _main()
