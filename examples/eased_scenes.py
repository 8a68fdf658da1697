"""Four easings race: scenes that move dots, joined to play together, then played back.

Run it with ``rayanim run examples/eased_scenes.py -o eased_scenes.mp4``.
"""

from PIL import Image, ImageDraw

import rayanim
from rayanim import acts, easing

TRACKS = {
    "doublespeed": (easing.doublespeed, "#ff595e"),
    "squeeze": (easing.squeeze, "#ffca3a"),
    "smoothstep": (easing.smoothstep, "#8ac926"),
    "smootheststep": (easing.smootheststep, "#1982c4"),
}


class Dots(acts.ActState):
    def __init__(self):
        self.places = dict.fromkeys(TRACKS, 0.0)
        self.glow = 0.0


class Move(acts.Scene):
    def __init__(self, name):
        self.name = name

    def apply(self, dots, time_ms, dbg=False):
        dots.places[self.name] = time_ms


class Glow(acts.Scene):
    def apply(self, dots, time_ms, dbg=False):
        dots.glow = 4 * time_ms * (1 - time_ms)

    def exit(self, dots):
        dots.glow = 0.0


class Stage(acts.ActRenderer):
    frame_size = (1280, 720)

    def render_pil(self, dots):
        image = Image.new("RGB", (2560, 1440), "#1b1b2f")  # halved at the end: smooth edges
        draw = ImageDraw.Draw(image)
        for row, (name, (ease, colour)) in enumerate(TRACKS.items()):
            y = 240 + 320 * row
            curve = [(300 + 1960 * n / 200, y + 70 - 140 * ease(n / 200)) for n in range(201)]
            draw.line(curve, fill="#34345a", width=6, joint="curve")
            draw.line((300, y + 110, 2260, y + 110), fill="#2a2a48", width=3)
            draw.text((300, y - 120), name, fill=colour, font_size=44)
            x, size = 300 + 1960 * dots.places[name], 44 + 26 * dots.glow
            draw.circle((x, y + 110), size, fill=colour)
        return image.reduce(2)


def at_goal(n):
    return easing.freeze(n, at=1)


def move_all(seconds, dilator=None):
    """All dots move at once: one scene, joined from one scene per dot."""
    first, *others = (
        acts.FluentScene(Move(name)).dilate(dilator or ease).time_rescale_exact(seconds, "s")
        for name, (ease, _) in TRACKS.items()
    )
    for other in others:
        first.join(other)
    return first.build()


def race():
    there = move_all(2)
    # All dots rest at their goals while they glow: joined scenes need the same duration.
    rest = move_all(0.8, at_goal)
    rest = acts.FluentScene(rest).join(acts.FluentScene(Glow()).time_rescale_exact(0.8, "s"))
    # push() saves what comes before, so that reverse() reverses only the way back.
    return acts.FluentScene(there).then(rest).push(there).reverse().pop("then").build()


video = acts.Act(Dots(), Stage(), [race()])

if __name__ == "__main__":
    print(rayanim.produce(video, fps=30, outfile="eased_scenes.mp4"))
