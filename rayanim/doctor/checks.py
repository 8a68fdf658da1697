"""Turns facts about this machine and a cluster into findings.

PURE: facts in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayanim.doctor.facts import (
    ClusterFacts,
    DrawnFacts,
    Encoder,
    Finding,
    Fonts,
    Installed,
    MachineFacts,
    NodeFacts,
    Probe,
    Software,
    Token,
    merged,
)
from rayanim.progress.base import size_text

LEAST_FREE_BYTES = 2**30
"""Ray's processes take some 500 MB, and each actor with matplotlib 200 MB and more."""

LEAST_SHARED_BYTES = 256 * 2**20
"""Docker's default of 64 MB makes Ray keep its objects on the disk; its least store has 75 MiB."""

LEAST_FREE_SHARE = 0.05
"""Of the disk: where less is free, Ray's `local_fs_capacity_threshold` lets it spill no more."""

LONGEST_TEMP_CHARS = 40
"""A socket's path has 107 bytes at most; below the folder Ray's take up to 67.

``/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store``.
"""

FFMPEG_LIBRARIES = ("libavcodec", "libavformat", "libswscale")
"""Those that decide a video's bytes."""

DECIDING = ("matplotlib", "numpy", "pillow", "av")
"""Packages whose versions decide pixels and bytes."""

NAMED = 5
"""So many of the names that differ are listed."""


def check_machine(probe: Probe, token: Token) -> Iterator[Finding]:
    """What is to be said of this machine."""
    yield Finding("ok", "Python", probe.software.python)
    for package in probe.software.packages:
        yield check_package(package, probe.software)
    if probe.fonts is not None:
        yield from check_fonts(probe.fonts)
    if probe.failure is not None:
        yield Finding(
            "error",
            "drawing",
            f"the test video cannot be drawn: {probe.failure}",
            "install matplotlib and numpy afresh: python -m pip install --force-reinstall "
            "matplotlib numpy",
        )
    elif probe.drawn is not None:
        yield Finding("ok", "drawing", "the test video is drawn and encoded")
    yield from check_encoders(probe.encoders)
    yield from check_resources(probe.machine)
    yield check_home(probe.machine, token)


def check_package(package: Installed, software: Software) -> Finding:
    """Whether a package is there, loads, and has a version that was tested."""
    name, version, wanted = package.name, package.version, f"{package.name}{package.wanted}"
    if version is None:
        remedy = f"install it: python -m pip install '{wanted}'"
        return Finding("error", name, "is not installed", remedy)
    if package.failure is not None:
        text = f"{version} cannot be imported: {package.failure}"
        remedy = f"install it afresh: python -m pip install --force-reinstall '{wanted}'"
        return Finding("error", name, text, remedy)
    if not package.is_wanted:
        text = f"{version}; rayanim was tested with {package.wanted}"
        return Finding(
            "warning", name, text, f"install one of those: python -m pip install '{wanted}'"
        )
    if name == "av":
        libraries = (each for each in software.libraries.items() if each[0] in FFMPEG_LIBRARIES)
        version += f" with FFmpeg's {', '.join(' '.join(each) for each in libraries)}"
    if name == "ray" and not software.has_cluster_extra:
        version += ", without jobs, dashboard and metrics (pip install 'rayanim[cluster]')"
    return Finding("ok", name, version)


def check_encoders(encoders: tuple[Encoder, ...]) -> Iterator[Finding]:
    """Which codecs work; H.264 must, the others are asked for by name."""
    for codec in dict.fromkeys(each.codec for each in encoders):
        of_codec = [each for each in encoders if each.codec == codec]
        working = [each.name for each in of_codec if each.failure is None]
        if working:
            yield Finding("ok", codec, " and ".join(working))
        else:
            reasons = dict.fromkeys(str(each.failure) for each in of_codec)
            yield Finding(
                "error" if codec == "h264" else "warning",
                codec,
                f"no encoder works: {'; '.join(reasons)}",
                "install PyAV's own wheel, which brings FFmpeg: python -m pip install "
                "--force-reinstall --only-binary av av",
            )


def check_fonts(fonts: Fonts) -> Iterator[Finding]:
    """matplotlib's fonts and settings."""
    wanted = ", ".join(fonts.family)
    if fonts.default_is_fallback:
        yield Finding(
            "warning",
            "fonts",
            f"none of the families in font.family ({wanted}) is there; {fonts.default_file} "
            "stands in",
            "install such a font, or ask for another in matplotlibrc",
        )
    else:
        text = f"{len(fonts.families)} families; {wanted} is {fonts.default_file}"
        yield Finding("ok", "fonts", text)
    yield from check_font_cache(fonts)
    if fonts.settings:
        named = [f"{name}: {value}" for name, value in fonts.settings.items()]
        yield Finding("ok", "settings", f"{fonts.settings_file} sets {_listed(named)}")


def check_font_cache(fonts: Fonts) -> Iterator[Finding]:
    """Whether matplotlib can keep its list of fonts."""
    if fonts.cache_is_temporary:
        yield Finding(
            "warning",
            "font cache",
            "matplotlib's usual folder cannot be written: every process looks for fonts anew",
            "set MPLCONFIGDIR to a folder that can be written",
        )


def check_resources(machine: MachineFacts) -> Iterator[Finding]:
    """Cores, memory, shared memory and the temporary folder."""
    fewer = machine.usable_cores < machine.cores
    of_all = f" of {machine.cores} (affinity or the container's limit)" if fewer else ""
    yield Finding("ok", "cores", f"{machine.usable_cores}{of_all}")
    yield _threads(machine)
    yield _memory(machine)
    if machine.shared_memory_bytes is not None:
        yield _shared_memory(machine.shared_memory_bytes)
    yield _temp(machine)


def _threads(machine: MachineFacts) -> Finding:
    """Threads of OpenMP, which NumPy's BLAS heeds too, and which multiply with the actors."""
    if machine.omp_threads in ("", "1"):
        by_ray = "as many in each render actor as it has CPUs, by default 1"
        return Finding("ok", "OpenMP threads", machine.omp_threads or by_ray)
    return Finding(
        "warning",
        "OpenMP threads",
        f"OMP_NUM_THREADS={machine.omp_threads} holds in each render actor, so that actors "
        "together may run more threads than there are cores",
        "unset it: Ray then gives each actor as many as it has CPUs (--actor-cpus)",
    )


def _memory(machine: MachineFacts) -> Finding:
    limit = machine.group_memory_bytes
    limited = limit is not None and limit < machine.memory_bytes
    container = f"; the container may use {size_text(limit or 0)}" if limited else ""
    free, total = size_text(machine.free_memory_bytes), size_text(machine.memory_bytes)
    text = f"{free} free{container} of {total}"
    if machine.free_memory_bytes < LEAST_FREE_BYTES:
        remedy = "end other programs, give the container more memory, or draw in one process: -j 1"
        return Finding("warning", "memory", text, remedy)
    return Finding("ok", "memory", text)


def _shared_memory(size_bytes: int) -> Finding:
    text = f"/dev/shm has {size_text(size_bytes)}"  # noqa: S108 # it is named, not used
    if size_bytes < LEAST_SHARED_BYTES:
        return Finding(
            "warning",
            "shared memory",
            f"{text}, too little for Ray's objects: it would keep them on the disk, slowly",
            "give the container more: docker run --shm-size=1g, in Kubernetes an emptyDir with "
            "medium: Memory at /dev/shm",
        )
    return Finding("ok", "shared memory", text)


def _temp(machine: MachineFacts) -> Finding:
    topic, folder = "temporary files", machine.temp_folder
    free = size_text(machine.temp_free_bytes)
    if not machine.temp_is_writable:
        return Finding("error", topic, f"{folder} cannot be written", "set RAY_TMPDIR to a folder")
    if len(folder.encode()) > LONGEST_TEMP_CHARS:
        return Finding(
            "error",
            topic,
            f"{folder} is too long a path: Ray's sockets below it would have more than 107 bytes",
            f"set RAY_TMPDIR to a folder of at most {LONGEST_TEMP_CHARS} characters",
        )
    if machine.temp_free_bytes < LEAST_FREE_SHARE * machine.temp_bytes:
        return Finding(
            "warning",
            topic,
            f"{folder} is on a disk with {free} free, less than a twentieth: Ray spills nothing "
            "to it",
            "free some, or set RAY_TMPDIR to a folder on another disk",
        )
    return Finding("ok", topic, f"{folder}, {free} free")


def check_home(machine: MachineFacts, token: Token) -> Finding:
    """The home folder, where Ray writes a token when it starts."""
    if machine.home_is_writable:
        return Finding("ok", "home", machine.home)
    where = f"{machine.home} cannot be written" if machine.home else "there is none"
    if token.mode == "disabled" or token.is_usable:
        return Finding("ok", "home", f"{where}; Ray's token does not need it")
    return Finding(
        "error",
        "home",
        f"{where}, and Ray does not start without its token in ~/.ray",
        "set HOME to a folder that can be written, or RAY_AUTH_MODE=disabled",
    )


def check_token(token: Token, cluster: ClusterFacts | None) -> Finding:
    """How Ray's token authentication stands."""
    origin = token.origin or "none"
    if token.mode == "token" and not token.is_usable:
        return Finding(
            "error",
            "token",
            f"RAY_AUTH_MODE is token, and there is no usable token (looked in {origin})",
            "copy the cluster's token to ~/.ray/auth_token or RAY_AUTH_TOKEN; on the head "
            "`ray get-auth-token` prints it",
        )
    if token.readable_by_others:
        text = f"{origin} can be read by every user of this machine"
        return Finding("warning", "token", text, f"chmod 600 {origin}")
    if not token.is_usable:
        return Finding("ok", "token", "none; clusters without authentication need none")
    is_taken = token.mode == "token" and cluster is not None and cluster.failure is None
    return Finding("ok", "token", f"{origin}{', and the cluster takes it' if is_taken else ''}")


def check_cluster(here: Probe, cluster: ClusterFacts) -> tuple[Finding, ...]:
    """What is to be said of `cluster`, compared with this process."""
    if cluster.failure is not None:
        return (Finding("error", "cluster", cluster.failure),)
    nodes = cluster.nodes
    found = [
        Finding(
            "ok",
            "cluster",
            f"{'1 node' if len(nodes) == 1 else f'{len(nodes)} nodes'}, "
            f"{sum(node.cpus for node in nodes):g} CPUs, "
            f"{size_text(sum(node.memory_bytes for node in nodes))} of memory, "
            f"{size_text(sum(node.store_bytes for node in nodes))} of object store; "
            f"Ray {cluster.ray}, Python {cluster.python}",
        )
    ]
    for node in nodes:
        for each in _check_node(here, node):
            found.append(Finding(each.level, each.topic, each.text, each.remedy, (node.name,)))
    if nodes and all(each.level != "error" for each in found):
        count = sum(node.probe is not None and node.probe.drawn is not None for node in nodes)
        who = "the node draws" if count == 1 else f"all {count} nodes draw"
        found.append(Finding("ok", "pixels", f"{who} the test video as this process does"))
    return merged(found)


def _check_node(here: Probe, node: NodeFacts) -> Iterator[Finding]:
    """What is not well on one node."""
    if node.failure is not None:
        remedy = "see `ray status` and that node's logs; stop Ray on it if it stays silent"
        yield Finding("error", "no answer", node.failure, remedy)
        return
    yield from _versions(here, node)
    if node.probe is None:
        mine = here.software.version("rayanim")
        there = f"is {node.rayanim} there" if node.rayanim else "is not installed there"
        yield Finding(
            "warning",
            "rayanim",
            f"{there} and {mine} here, so nothing was drawn to compare",
            f"install it there: python -m pip install 'rayanim=={mine}'; its image has it",
        )
        return
    yield from _compared(here, node.probe)
    yield from (each for each in check_resources(node.probe.machine) if each.level != "ok")
    if node.probe.fonts is not None:
        yield from check_font_cache(node.probe.fonts)
    cores = node.probe.machine.usable_cores
    if node.cpus > cores:
        yield Finding(
            "warning",
            "cores",
            f"Ray was started with {node.cpus:g} CPUs, processes may use {cores}: actors would "
            "wait for each other",
            f"start Ray there with --num-cpus={cores}",
        )


def _versions(here: Probe, node: NodeFacts) -> Iterator[Finding]:
    mine = here.software.version("ray")
    if node.ray not in (None, mine):
        text = f"is {node.ray} there and {mine} here"
        remedy = f"install the same on both: python -m pip install ray=={mine}"
        yield Finding("error", "Ray", text, remedy)
    python = here.software.python
    minor, theirs = python.split(".")[:2], (node.python or python).split(".")[:2]
    if minor != theirs:
        yield Finding(
            "error",
            "Python",
            f"is {node.python} there and {python} here; code can be sent between the same minor "
            "versions only",
            f"run Python {'.'.join(minor)} on every node",
        )


def _compared(here: Probe, there: Probe) -> Iterator[Finding]:
    for package in there.software.packages[1:]:
        if package.version is None or package.failure is not None:
            why = package.failure or "is not installed"
            yield Finding("error", package.name, why, "install it on that node")
    if there.failure is not None:
        remedy = "install matplotlib and numpy afresh"
        yield Finding("error", "drawing", f"fails: {there.failure}", remedy)
    if here.drawn is None or there.drawn is None:
        return
    causes = "; ".join(_causes(here, there))
    if here.drawn.frames != there.drawn.frames:
        theirs = there.drawn.panels
        panels = [name for name, digest in here.drawn.panels.items() if theirs.get(name) != digest]
        because = f": {causes}" if causes else ", for no reason that shows in versions"
        yield Finding(
            "error",
            "pixels",
            f"{_listed(panels) or 'frames'} come out different from here{because}",
            "run the same image everywhere, or install the same fonts and versions there",
        )
        return
    yield from _compared_segments(here.drawn, there.drawn, causes)
    if causes:
        yield Finding(
            "warning",
            "versions",
            f"{causes}. The test video is the same; others may not be",
            "run the same image or the same lock file everywhere",
        )


def _compared_segments(here: DrawnFacts, there: DrawnFacts, causes: str) -> Iterator[Finding]:
    lacking = sorted(set(here.segments) & set(there.failures))
    if lacking:
        yield Finding(
            "error",
            "encoders",
            f"{', '.join(lacking)} does not work there: {there.failures[lacking[0]]}",
            "install PyAV's own wheel there: python -m pip install --only-binary av av",
        )
    both = sorted(set(here.segments) & set(there.segments))
    other = [name for name in both if here.segments[name] != there.segments[name]]
    if other:
        yield Finding(
            "warning",
            "bytes",
            f"{', '.join(other)} gives other bytes than here"
            f"{f': {causes}' if causes else ', of the same pixels'}",
            "videos play all the same; for the same SHA-256 run the same PyAV on processors of "
            "one kind",
        )


def _causes(here: Probe, there: Probe) -> Iterator[str]:
    """What differs between the two and may explain what they draw."""
    for name in DECIDING:
        theirs, mine = there.software.version(name), here.software.version(name)
        if theirs != mine:
            yield f"{name} {theirs} there, {mine} here"
    for name in _unequal(there.software.libraries, here.software.libraries):
        if name != "av":
            theirs, mine = there.software.libraries.get(name), here.software.libraries.get(name)
            yield f"{name} {theirs} there, {mine} here"
    if here.fonts is None or there.fonts is None:
        return
    if there.fonts.default_digest != here.fonts.default_digest:
        same_name = there.fonts.default_file == here.fonts.default_file
        which = "another file of that name" if same_name else f"here {here.fonts.default_file}"
        yield f"the default font is {there.fonts.default_file}, {which}"
    here_has, there_has = set(here.fonts.families), set(there.fonts.families)
    for lacking, where in ((here_has - there_has, "there"), (there_has - here_has, "here")):
        if lacking:
            yield f"fonts missing {where}: {_listed(sorted(lacking))}"
    settings = _unequal(there.fonts.settings, here.fonts.settings)
    if settings:
        # A video is drawn with the driver's settings; the fonts that they name are not sent.
        named = [f"{name} ({there.fonts.settings.get(name)})" for name in settings]
        yield f"matplotlibrc differs there: {_listed(named)}"


def _unequal(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
