"""What is said of a cluster, from made facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from doctor.test_checks import FONTS, MACHINE, PROBE, SOFTWARE
from rayanim.doctor.checks import check_cluster, check_token
from rayanim.doctor.facts import (
    ClusterFacts,
    DrawnFacts,
    Finding,
    Installed,
    NodeFacts,
    Probe,
    Token,
)

DRAWN = DrawnFacts({"text": "a", "lines": "b"}, "all", {"libx264": "x", "libvpx-vp9": "y"})
HERE = replace(PROBE, drawn=DRAWN)


def node(name: str = "n", probe: Probe | None = HERE, **more: Any) -> NodeFacts:
    versions = {"ray": "2.60.0", "python": "3.12.1", "rayanim": "0.1.0"}
    return NodeFacts(
        name, "10.0.0.1", False, 8.0, 2**34, 2**32, **{**versions, **more}, probe=probe
    )


def said_of(*nodes: NodeFacts) -> list[Finding]:
    cluster = ClusterFacts("10.0.0.1:6379", ray="2.60.0", python="3.12.1", nodes=nodes)
    return [each for each in check_cluster(HERE, cluster) if each.level != "ok"]


def drawing(**changes: Any) -> Probe:
    return replace(HERE, drawn=replace(DRAWN, **changes))


def test_nodes_that_draw_alike_are_well() -> None:
    """The message says that all were compared."""
    cluster = ClusterFacts("auto", ray="2.60.0", python="3.12.1", nodes=(node("a"), node("b")))
    found = check_cluster(HERE, cluster)
    assert [each.level for each in found] == ["ok", "ok"]
    assert "2 nodes, 16 CPUs, 32.0 GiB of memory, 8.00 GiB of object store" in found[0].text
    assert "all 2 nodes" in found[1].text


def test_a_cluster_that_cannot_be_reached_is_one_finding() -> None:
    """With why, and what to do."""
    (finding,) = check_cluster(HERE, ClusterFacts("h:1", "nothing answers at h:1: start it"))
    assert (finding.level, finding.text) == ("error", "nothing answers at h:1: start it")


def test_a_node_with_another_matplotlib_is_named_with_what_it_draws_otherwise() -> None:
    """The panels that differ, and the versions that explain it."""
    packages = (*SOFTWARE.packages[:2], Installed("matplotlib", ">=3.10", "3.10.1"))
    other = replace(
        drawing(frames="other", panels={"text": "z", "lines": "b"}),
        software=replace(SOFTWARE, packages=(*packages, SOFTWARE.packages[3])),
    )
    (finding,) = said_of(node("good"), node("strange", other))
    assert (finding.level, finding.topic) == ("error", "pixels")
    assert "strange" in finding.where and "good" not in finding.where
    assert finding.text.startswith("text come")
    assert "matplotlib 3.10.1 there, 3.11.0 here" in finding.text


def test_other_fonts_explain_other_text() -> None:
    """Another file under the same name, what is missing, what is more."""
    fonts = replace(
        FONTS,
        default_digest="bb",
        families=(
            "DejaVu Sans",
            "Arial",
        ),
    )
    (finding,) = said_of(node(probe=replace(drawing(frames="other"), fonts=fonts)))
    assert "another file of that name" in finding.text
    assert "fonts missing there: STIXGeneral" in finding.text
    assert "fonts missing here: Arial" in finding.text


def test_other_pixels_without_a_cause_are_reported_as_that() -> None:
    """They are no less wrong."""
    (finding,) = said_of(node(probe=drawing(frames="other")))
    assert finding.level == "error" and "no reason that shows" in finding.text


def test_other_fonts_with_the_same_pixels_are_worth_knowing() -> None:
    """Another video may ask for those."""
    fonts = replace(FONTS, settings={"font.size": "14.0"})
    (finding,) = said_of(node(probe=replace(HERE, fonts=fonts)))
    assert (finding.level, finding.topic) == ("warning", "versions")
    assert "font.size (14.0)" in finding.text


def test_other_bytes_of_the_same_pixels_are_reported_by_encoder() -> None:
    """The video plays, but its SHA-256 depends on who encoded what."""
    (finding,) = said_of(node(probe=drawing(segments={"libx264": "other", "libvpx-vp9": "y"})))
    assert (finding.level, finding.topic) == ("warning", "bytes")
    assert finding.text.startswith("libx264 gives")


def test_an_encoder_that_only_this_machine_has_is_an_error() -> None:
    """Segments would fail there."""
    probe = drawing(segments={"libvpx-vp9": "y"}, failures={"libx264": "not in this build"})
    (finding,) = said_of(node(probe=probe))
    assert finding.level == "error" and "libx264 does not work there" in finding.text


@pytest.mark.parametrize(
    ("made", "level", "words"),
    [
        (node(probe=None, failure="it did not answer within 60 s"), "error", "60 s"),
        (node(probe=None, rayanim=None), "warning", "is not installed there"),
        (node(probe=None, rayanim="0.0.9"), "warning", "is 0.0.9 there and 0.1.0 here"),
        (node(ray="2.59.0"), "error", "is 2.59.0 there and 2.60.0 here"),
        (node(python="3.11.2"), "error", "3.11.2 there and 3.12.1 here"),
        (node(probe=replace(HERE, drawn=None, failure="MemoryError")), "error", "MemoryError"),
        (
            node(probe=replace(HERE, machine=replace(MACHINE, usable_cores=4))),
            "warning",
            "with 8 CPUs, processes may use 4",
        ),
        (
            node(probe=replace(HERE, machine=replace(MACHINE, shared_memory_bytes=2**26))),
            "warning",
            "/dev/shm has 64.0 MiB",
        ),
    ],
)
def test_what_a_node_lacks_is_reported_with_its_name(
    made: NodeFacts, level: str, words: str
) -> None:
    """One finding each."""
    (finding,) = said_of(node("ok"), made)
    assert finding.level == level and words in finding.text
    assert finding.nodes == (made.name,)
    assert finding.remedy


def test_another_patch_of_python_is_no_difference() -> None:
    """Code can be sent between those."""
    assert said_of(node(python="3.12.9")) == []


@pytest.mark.parametrize(
    ("token", "level", "words"),
    [
        (Token(None, None), "ok", "none"),
        (Token("token", None), "error", "no usable token"),
        (Token("token", "/f", is_usable=False), "error", "/f"),
        (Token(None, "/f", is_usable=True, readable_by_others=True), "warning", "every user"),
        (Token("token", "/f", is_usable=True), "ok", "/f"),
    ],
)
def test_the_token_is_checked(token: Token, level: str, words: str) -> None:
    """Missing where it is asked for, or open to all."""
    finding = check_token(token, None)
    assert finding.level == level and words in finding.text
