"""Promises of where Ray is asked to put render actors."""

from __future__ import annotations

import pytest

from rayanim.engine.placement import NODE_ID_LABEL, Need, actor_options, matches, selector

NODES = {each: {NODE_ID_LABEL: each} for each in "abcd"}


@pytest.mark.parametrize(
    ("asked", "excluded", "remain"),
    [
        (None, [], "abcd"),
        (None, ["a"], "bcd"),
        (None, ["a", "c"], "bd"),
        ("!d", ["a"], "bc"),
        ("!in(c,d)", ["a", "c"], "b"),
        ("in(a,b)", ["a"], "b"),
        ("in(a,b)", [], "ab"),
        ("a", ["a"], ""),
    ],
)
def test_excluded_nodes_get_no_actor(asked, excluded, remain):
    """Beside all that was asked for of a node's id."""
    labels = {} if asked is None else {NODE_ID_LABEL: asked}
    chosen = selector(labels, excluded)
    assert "".join(each for each in NODES if matches(NODES[each], chosen)) == remain
    assert " " not in chosen.get(NODE_ID_LABEL, "")


def test_other_labels_stay():
    """An excluded node changes nothing of what else a node must be."""
    assert selector({"role": "render"}, ["a"]) == {"role": "render", NODE_ID_LABEL: "!in(a)"}


def test_on_one_machine_nothing_is_asked_for():
    """The actor's class says what it takes."""
    assert actor_options(None) == {}


def test_a_need_becomes_what_ray_reads():
    """CPUs and memory have options of their own."""
    need = Need(resources={"CPU": 2.0, "memory": 1e9, "render": 1.0}, labels={"role": "render"})
    assert actor_options(need, ["a"]) == {
        "num_cpus": 2.0,
        "memory": 1e9,
        "resources": {"render": 1.0},
        "scheduling_strategy": "SPREAD",
        "label_selector": {"role": "render", NODE_ID_LABEL: "!in(a)"},
    }
