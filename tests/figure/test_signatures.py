"""What stands before matplotlib's renderer is called exactly as matplotlib's renderer is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox

from rayanim.figure.canvas import IncrementalCanvas, VideoCanvas
from rayanim.figure.recorder import RecordingRenderer

SIZE_PX = (60, 40)
SHAPE = Path([(5, 5), (30, 9), (20, 30), (5, 5)])
MOVED = Affine2D().translate(3, 2)
PICTURE = np.full((8, 9, 4), 130, np.uint8)
CORNERS = np.array([[[2.0, 2], [30, 4]], [[4, 30], [34, 36]]])
RED, BLUE = np.array([[1.0, 0, 0, 1]]), np.array([[0.0, 0, 1, 1]])
NONE = np.empty((0, 3, 3))


def public_methods(kind: Any) -> list[str]:
    """Names of the methods that anybody may call."""
    return [
        name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))
    ]


def compiled_methods() -> list[str]:
    """Names of the methods of the C++ renderer."""
    return public_methods(RendererAgg(*SIZE_PX, 100)._renderer)


def documented_parameters(method: Any) -> list[tuple[str, bool]] | None:
    """Names of a C++ method's parameters, each with whether it has a default; None if unknown."""
    lines = (method.__doc__ or "").splitlines()
    if not lines or lines[0].startswith(f"{method.__name__}(*args"):
        return None
    signature = re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", lines[0]))
    inside = signature[signature.index("(") + 1 : signature.rindex(") ->")]
    found = re.findall(r"(?:^|, )(\*|[a-z_0-9]+): ?([^,=]*)(=)?", inside)
    if found and any(re.fullmatch(r"arg\d+", name) for name, *_ in found):
        return None
    return [(name, bool(default)) for name, _, default in found if name != "self"]


def given_parameters(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Name and kind of each parameter of a Python function but self."""
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind) for each in parameters if each.name != "self"]


def passes_all_on(function: Callable[..., Any]) -> bool:
    """Whether a function takes whatever it is given."""
    kinds = {kind for _, kind in given_parameters(function)}
    return {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds


def test_the_renderer_s_own_methods_have_matplotlib_s_signature() -> None:
    for name in public_methods(RendererAgg):
        theirs, ours = getattr(RendererAgg, name), getattr(RecordingRenderer, name)
        if ours is theirs or passes_all_on(ours):
            continue
        expected, got = inspect.signature(theirs), inspect.signature(ours)
        without_types = [
            [each.replace(annotation=each.empty) for each in signature.parameters.values()]
            for signature in (expected, got)
        ]
        assert without_types[0] == without_types[1], name


@pytest.mark.parametrize("ours", [VideoCanvas, IncrementalCanvas])
def test_a_canvas_has_the_methods_of_matplotlib_s(ours: type) -> None:
    for name in public_methods(FigureCanvasAgg):
        expected, got = getattr(FigureCanvasAgg, name), getattr(ours, name)
        if got is expected or inspect.isclass(expected) or not inspect.isroutine(expected):
            continue
        assert given_parameters(got) == given_parameters(expected), name


def test_the_recorder_has_each_method_of_the_compiled_renderer() -> None:
    recorder = RecordingRenderer(*SIZE_PX, 100).recorder
    assert [each for each in compiled_methods() if not callable(getattr(recorder, each))] == []


def test_a_recorder_s_parameters_have_the_names_that_the_compiled_ones_have() -> None:
    renderer = RecordingRenderer(*SIZE_PX, 100)
    for name in compiled_methods():
        expected = documented_parameters(getattr(renderer.raw, name))
        ours = getattr(renderer.recorder, name)
        if expected is None or passes_all_on(ours):
            continue
        parameters = list(inspect.signature(ours).parameters.values())
        got = [(each.name, each.default is not each.empty) for each in parameters]
        if any(each.kind is each.VAR_POSITIONAL for each in parameters):
            expected = expected[: len(got) - 1]
            got = got[: len(expected)]
        assert got == expected, name


def region(renderer: Any) -> Any:
    """Some pixels of a renderer that something was drawn with."""
    renderer.draw_path(GraphicsContextBase(), SHAPE, Affine2D())
    return renderer.copy_from_bbox(Bbox([[0, 0], [30, 30]]))


CALLS: dict[str, dict[str, Any]] = {
    "draw_path": {"path": SHAPE, "trans": MOVED, "face": (1, 0, 0)},
    "draw_markers": {
        "marker_path": SHAPE, "marker_path_trans": Affine2D().scale(0.2),
        "path": SHAPE, "trans": MOVED, "face": (1, 0, 0),
    },
    "draw_image": {"x": 4, "y": 6, "image": PICTURE},
    "draw_text_image": {"image": PICTURE[..., 0], "x": 4, "y": 30, "angle": 0},
    "draw_path_collection": {
        "master_transform": MOVED, "paths": [SHAPE], "transforms": NONE,
        "offsets": np.array([[1.0, 1], [9, 9]]), "offset_trans": Affine2D(), "facecolors": RED,
        "edgecolors": BLUE, "linewidths": np.array([2.0]), "dashes": [(0, None)],
        "antialiaseds": np.array([1], np.uint8), "ignored": [None], "offset_position": "screen",
    },
    "draw_quad_mesh": {
        "master_transform": MOVED, "mesh_width": 1, "mesh_height": 1, "coordinates": CORNERS,
        "offsets": np.array([[1.0, 1]]), "offset_trans": Affine2D(), "facecolors": RED,
        "antialiased": True, "edgecolors": BLUE,
    },
    "draw_gouraud_triangles": {
        "points": np.array([[[2.0, 2], [30, 4], [9, 30]]]),
        "colors": np.array([[[1.0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]]), "trans": MOVED,
    },
}  # fmt: skip
"""Arguments of each method that draws, by the names that the compiled renderer has for them."""


def drawn(renderer: Any, raw: Any, name: str, *, by_keyword: bool) -> np.ndarray:
    """The pixels of one call."""
    gc, arguments = GraphicsContextBase(), CALLS[name]
    gc.set_linewidth(2)
    order = ["gc", *arguments] if name != "draw_text_image" else [*arguments, "gc"]
    values = {**arguments, "gc": gc}
    if by_keyword:
        getattr(renderer, name)(**{each: values[each] for each in order})
    else:
        getattr(renderer, name)(*[values[each] for each in order])
    return np.asarray(raw).copy()


@pytest.mark.parametrize("by_keyword", [False, True], ids=["by place", "by name"])
@pytest.mark.parametrize("mode", ["pass", "both", "record"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_the_same_pixels_in_each_mode(name: str, mode: str, by_keyword: bool) -> None:
    theirs = RendererAgg(*SIZE_PX, 100)._renderer
    try:
        expected = drawn(theirs, theirs, name, by_keyword=by_keyword)
    except TypeError:
        pytest.skip("this matplotlib takes the arguments by place only")
    ours = RecordingRenderer(*SIZE_PX, 100)
    blank = ours.pixels.copy()
    ours.recorder.mode = mode
    got = drawn(ours.recorder, ours.raw, name, by_keyword=by_keyword)
    recording = ours.recorder.cut()
    assert np.array_equal(got, blank if mode == "record" else expected)
    if mode != "pass":
        ours.raw.clear()
        recording.replay()
        assert np.array_equal(ours.pixels, expected)
        rows, columns = np.nonzero((expected != blank).any(axis=2))
        left, top, right, bottom = recording.box or (0, 0, 0, 0)
        assert left <= columns.min() and columns.max() < right
        assert top <= rows.min() and rows.max() < bottom


def test_every_method_that_draws_has_a_sample() -> None:
    assert {name for name in compiled_methods() if name.startswith("draw_")} == set(CALLS)


@pytest.mark.parametrize("arguments", [(), (Bbox([[0, 0], [9, 9]]), (20, 20))])
def test_pixels_are_copied_and_put_back_as_matplotlib_does(arguments: tuple[Any, ...]) -> None:
    frames = []
    for kind in (RendererAgg, RecordingRenderer):
        renderer = kind(*SIZE_PX, 100)
        copied = region(renderer)
        renderer.clear()
        renderer.restore_region(copied, *arguments)
        frames.append(np.array(renderer.buffer_rgba()))
    assert np.array_equal(*frames)


def test_regions_are_put_back_by_name_as_well() -> None:
    places = {"xx1": 0, "yy1": 0, "xx2": 9, "yy2": 9, "x": 20, "y": 20}
    frames = []
    for kind in (RendererAgg, RecordingRenderer):
        renderer = kind(*SIZE_PX, 100)
        copied = region(renderer)
        renderer._renderer.clear()
        renderer._renderer.restore_region(region=copied, **places)
        renderer._renderer.copy_from_bbox(bbox=Bbox([[0, 0], [9, 9]]))
        frames.append(np.array(renderer.buffer_rgba()))
    assert np.array_equal(*frames)


def test_the_buffer_comes_in_all_forms() -> None:
    renderer, plain = RecordingRenderer(*SIZE_PX, 100), RendererAgg(*SIZE_PX, 100)
    for each in (renderer, plain):
        region(each)
    assert renderer.tostring_argb() == plain.tostring_argb()
    assert bytes(renderer.buffer_rgba()) == bytes(plain.buffer_rgba())
    assert np.array_equal(np.asarray(renderer._renderer), np.asarray(plain._renderer))


def test_an_array_of_the_renderer_is_its_buffer() -> None:
    """Scripts write into it, too: what is drawn next must not take their pixels for its own."""
    renderer = RecordingRenderer(*SIZE_PX, 100)
    pixels = np.asarray(renderer._renderer)
    pixels[:] = 7
    assert (np.array(renderer._renderer) == 7).all()
    assert renderer.recorder.lent
