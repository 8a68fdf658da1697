"""Judges what was found on a cluster: what nodes lack, and where they draw otherwise.

PURE: facts in, findings out. What a node draws is compared with what the driver's
process drew, as the driver draws a film's first frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayanim.doctor.facts import Cluster, Drawn, Fonts, Look, Node, Token
from rayanim.doctor.findings import Finding, merged
from rayanim.doctor.judge import judge_resources, size_text

DECIDING = ("matplotlib", "numpy", "pillow", "av")
"""Packages whose versions decide pixels and bytes."""

SHOWN = 5
"""So many of the names that differ are shown."""


def judge_cluster(here: Look, cluster: Cluster) -> tuple[Finding, ...]:
    """What is to be said of `cluster`, compared with what this process sees."""
    if cluster.failure is not None:
        return (Finding("mend", "cluster", cluster.failure, cluster.remedy or ""),)
    found = [_reached(cluster)]
    for node in cluster.nodes:
        found += _of_node(here, node)
    if all(each.level != "mend" for each in found) and cluster.nodes:
        found.append(_all_alike(cluster))
    return merged(found)


def judge_token(token: Token, cluster: Cluster | None) -> Finding:
    """How Ray's token authentication stands."""
    origin = token.origin or "none"
    if token.mode == "token" and not token.is_usable:
        return Finding(
            "mend",
            "token",
            f"RAY_AUTH_MODE is token, and there is no usable token (looked in {origin})",
            "copy the cluster's token to ~/.ray/auth_token or RAY_AUTH_TOKEN; on the head "
            "`ray get-auth-token` prints it",
        )
    if token.readable_by_others:
        return Finding(
            "note",
            "token",
            f"{origin} can be read by every user of this machine",
            f"chmod 600 {origin}",
        )
    asked = cluster is not None and cluster.failure is None
    used = ", and the cluster takes it" if asked and token.mode == "token" else ""
    if not token.is_usable:
        return Finding("well", "token", "none; clusters without authentication need none")
    return Finding("well", "token", f"{origin}{used}")


def _reached(cluster: Cluster) -> Finding:
    cpus = sum(node.cpus for node in cluster.nodes)
    memory = size_text(sum(node.memory_bytes for node in cluster.nodes))
    nodes = "1 node" if len(cluster.nodes) == 1 else f"{len(cluster.nodes)} nodes"
    return Finding(
        "well",
        "cluster",
        f"{nodes}, {cpus:g} CPUs, {memory} of memory; Ray {cluster.ray}, Python {cluster.python}",
    )


def _of_node(here: Look, node: Node) -> Iterator[Finding]:
    """What is not well on one node."""
    if node.failure is not None:
        yield _silent(node)
        return
    yield from _versions(here, node)
    if node.look is None:
        yield _without_rayanim(here, node)
        return
    yield from _on(node, _compared(here, node.look))
    yield from _on(node, _resources(node))


def _on(node: Node, findings: Iterator[Finding]) -> Iterator[Finding]:
    for each in findings:
        yield Finding(each.level, each.topic, each.text, each.remedy, (node.name,))


def _silent(node: Node) -> Finding:
    return Finding(
        "mend",
        "no answer",
        str(node.failure),
        "see `ray status` and that node's logs; stop Ray on it if it stays silent",
        (node.name,),
    )


def _versions(here: Look, node: Node) -> Iterator[Finding]:
    driver_ray = here.software.version("ray")
    if node.ray not in (None, driver_ray):
        yield Finding(
            "mend",
            "Ray",
            f"is {node.ray} there and {driver_ray} here",
            f"install the same on both: python -m pip install ray=={driver_ray}",
            (node.name,),
        )
    if node.python is not None and _minor(node.python) != _minor(here.software.python):
        yield Finding(
            "mend",
            "Python",
            f"is {node.python} there and {here.software.python} here; code travels between the "
            "same minor versions only",
            f"run Python {_minor(here.software.python)} on every node",
            (node.name,),
        )


def _without_rayanim(here: Look, node: Node) -> Finding:
    mine = here.software.version("rayanim")
    there = f"is {node.rayanim} there" if node.rayanim else "is not installed there"
    return Finding(
        "note",
        "rayanim",
        f"{there} and {mine} here, so nothing was drawn to compare",
        f"install it there: python -m pip install 'rayanim=={mine}'; its image has it",
        (node.name,),
    )


def _compared(here: Look, there: Look) -> Iterator[Finding]:
    for package in there.software.packages[1:]:
        if package.version is None or package.failure is not None:
            why = package.failure or "is not installed"
            yield Finding("mend", package.name, f"{why}", "install it on that node")
    if there.failure is not None:
        yield Finding(
            "mend", "drawing", f"fails: {there.failure}", "install matplotlib and numpy afresh"
        )
    causes = _causes(here, there)
    if here.drawn is None or there.drawn is None:
        return
    if here.drawn.frames != there.drawn.frames:
        yield _other_pixels(here.drawn, there.drawn, causes)
        return
    yield from _other_segments(here.drawn, there.drawn, causes)
    if causes:
        yield Finding(
            "note",
            "versions",
            f"{'; '.join(causes)}. The test film is the same; others may not be",
            "run the same image or the same lock file everywhere",
        )


def _other_pixels(here: Drawn, there: Drawn, causes: list[str]) -> Finding:
    panels = [name for name, digest in here.panels.items() if there.panels.get(name) != digest]
    because = f": {'; '.join(causes)}" if causes else ", for no reason that shows in versions"
    return Finding(
        "mend",
        "pixels",
        f"{_listed(panels) or 'frames'} come out otherwise than here{because}",
        "run the same image everywhere, or install the same fonts and versions there",
    )


def _other_segments(here: Drawn, there: Drawn, causes: list[str]) -> Iterator[Finding]:
    lacking = sorted(set(here.segments) & set(there.failures))
    if lacking:
        yield Finding(
            "mend",
            "encoders",
            f"{', '.join(lacking)} does not work there: {there.failures[lacking[0]]}",
            "install PyAV's own wheel there: python -m pip install --only-binary av av",
        )
    both = set(here.segments) & set(there.segments)
    other = sorted(name for name in both if here.segments[name] != there.segments[name])
    if other:
        because = f": {'; '.join(causes)}" if causes else ", of the same pixels"
        yield Finding(
            "note",
            "bytes",
            f"{', '.join(other)} gives other bytes than here{because}",
            "films play all the same; for the same SHA-256 run the same PyAV on processors of "
            "one kind",
        )


def _causes(here: Look, there: Look) -> list[str]:
    """What differs between the two and may explain what they draw."""
    found = [
        f"{name} {there.software.version(name)} there, {here.software.version(name)} here"
        for name in DECIDING
        if there.software.version(name) != here.software.version(name)
    ]
    found += [
        f"{name} {theirs} there, {ours} here"
        for name, theirs, ours in _unequal(there.software.libraries, here.software.libraries)
    ]
    if here.fonts is not None and there.fonts is not None:
        found += _font_causes(here.fonts, there.fonts)
    return found


def _unequal(
    theirs: Mapping[str, str], ours: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted(set(theirs) | set(ours)):
        if name != "av" and theirs.get(name) != ours.get(name):
            yield name, theirs.get(name), ours.get(name)


def _font_causes(here: Fonts, there: Fonts) -> Iterator[str]:
    if there.default_digest != here.default_digest:
        same_name = there.default_file == here.default_file
        which = "another file of that name" if same_name else f"here {here.default_file}"
        yield f"the default font is {there.default_file}, {which}"
    lacking, more = here.families - there.families, there.families - here.families
    if lacking:
        yield f"fonts missing there: {_listed(sorted(lacking))}"
    if more:
        yield f"fonts missing here: {_listed(sorted(more))}"
    settings = [f"{name} ({theirs})" for name, theirs, _ in _unequal(there.settings, here.settings)]
    if settings:
        # A film takes the driver's settings along; the fonts that they name it does not.
        yield f"matplotlibrc there sets otherwise: {_listed(settings)}"


def _resources(node: Node) -> Iterator[Finding]:
    look = node.look
    if look is None:
        return
    for each in judge_resources(look.machine):
        if each.level != "well":
            yield each
    if look.fonts is not None and look.fonts.cache_is_temporary:
        yield Finding(
            "note",
            "font cache",
            "matplotlib's usual folder cannot be written: every actor looks for fonts anew",
            "set MPLCONFIGDIR there to a folder that can be written",
        )
    if node.cpus > look.machine.usable_cores:
        yield Finding(
            "note",
            "cores",
            f"Ray was told {node.cpus:g} CPUs, processes may use {look.machine.usable_cores}: "
            "actors would wait for each other",
            f"start Ray there with --num-cpus={look.machine.usable_cores}",
        )


def _all_alike(cluster: Cluster) -> Finding:
    drawn = [node for node in cluster.nodes if node.look is not None and node.look.drawn]
    who = "the node draws" if len(drawn) == 1 else f"all {len(drawn)} nodes draw"
    return Finding("well", "pixels", f"{who} the test film as this process does")


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
