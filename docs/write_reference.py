"""Writes docs/reference.md from the public docstrings, so that the page is what the code says."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rayanim
from rayanim import acts, easing, errors, frame_gen

PAGE = Path(__file__).with_name("reference.md")

INTRODUCTION = """\
# Reference

What `import rayanim` offers, as `help()` shows it. The commands describe themselves:
`rayanim --help`, `rayanim run --help`.
"""

CHAPTERS: dict[str, tuple[Any, ...]] = {
    "Rendering": (rayanim.produce, rayanim.save, rayanim.show, rayanim.patch, rayanim.unpatch),
    "Animators": (
        rayanim.Animator,
        rayanim.Animator.setup,
        rayanim.Animator.update,
        rayanim.Animator.make_video,
        rayanim.IndexedFrameParams,
        rayanim.get_rendered_frame_ids,
    ),
    "Frame generators": (frame_gen.FrameGenerator, frame_gen.FluentFG),
    "Acts and scenes": (
        acts.ActState,
        acts.Scene,
        acts.ActRenderer,
        acts.FigureRenderer,
        acts.Act,
        acts.FluentScene,
    ),
    "Easings": (
        easing.Easing,
        easing.smoothstep,
        easing.smootheststep,
        easing.squeeze,
        easing.doublespeed,
        easing.freeze,
    ),
    "Settings and the report": (
        rayanim.PerformanceSettings,
        rayanim.ClusterSettings,
        rayanim.Report,
    ),
}

SECTION = re.compile(r"\n(\w+(?: \w+)*)\n-{3,}\n")
DOCTEST = "Examples"


def name_of(thing: Any) -> str:
    """As a script writes it."""
    module = thing.__module__
    if getattr(rayanim, thing.__qualname__.partition(".")[0], None) is not None:
        module = "rayanim"
    return f"{module}.{thing.__qualname__}"


def signature_of(thing: Any) -> str:
    """Its parameters with their defaults, and without their types."""
    signature = inspect.signature(thing)
    parameters = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    bare = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    text = re.sub(r"<[^<>]*factory[^<>]*>", "...", f"{thing.__qualname__}{bare}")
    return "\n".join(textwrap.wrap(text, 96, subsequent_indent="    ", break_long_words=False))


def paragraphs(text: str) -> str:
    """Docstring text as Markdown: ``code`` and `names` are code."""
    return text.replace("``", "`").strip()


def listed(text: str) -> Iterator[str]:
    """The entries of a section: names, and indented what is said of each."""
    for entry in re.split(r"\n(?=\S)", text.strip("\n")):
        names, _, said = entry.partition("\n")
        words = " ".join(inspect.cleandoc(said).split())
        shown = ", ".join(f"`{name.strip()}`" for name in names.split(","))
        yield f"- {shown}: {paragraphs(words)}" if words else f"- {shown}"


def described(thing: Any) -> Iterator[str]:
    """The lines about one name."""
    yield f"\n### `{name_of(thing)}`\n"
    if callable(thing):
        yield f"```\n{signature_of(thing)}\n```\n"
    text, *sections = SECTION.split("\n" + inspect.getdoc(thing) + "\n")
    yield paragraphs(text)
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        yield f"\n**{title}**\n"
        if title == DOCTEST:
            shown = body.strip().replace("  # doctest: +SKIP", "")
            yield f"```pycon\n{shown}\n```"
        else:
            yield from listed(body)
    yield from methods(thing)


def methods(thing: Any) -> Iterator[str]:
    """A line about each method that has no part of its own."""
    apart = {each for things in CHAPTERS.values() for each in things}
    found = [
        (name, each)
        for name, each in inspect.getmembers(thing, inspect.isroutine)
        if inspect.isclass(thing) and not name.startswith("_") and inspect.getdoc(each)
    ]
    if shown := [(name, each) for name, each in found if each not in apart]:
        yield "\n**Methods**\n"
    for name, each in shown:
        call = signature_of(each).removeprefix(f"{each.__qualname__}")
        said = inspect.getdoc(each).split("\n\n")[0]
        yield f"- `{name}{' '.join(call.split())}`: {paragraphs(' '.join(said.split()))}"


def inherited(kind: type, below: int = 0) -> Iterator[str]:
    """The tree of errors under `kind`."""
    yield f"{'  ' * below}- `{kind.__name__}`: {paragraphs(inspect.getdoc(kind).splitlines()[0])}"
    for each in kind.__subclasses__():
        if getattr(rayanim, each.__name__, None) is each:
            yield from inherited(each, below + 1)


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION.rstrip("\n")]
    for title, things in CHAPTERS.items():
        lines.append(f"\n## {title}")
        for thing in things:
            lines += described(thing)
    lines += ["\n## Errors\n", *inherited(errors.RayanimError)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
