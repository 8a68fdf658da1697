"""Judges what was found on one machine.

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
    Look,
    MachineFacts,
    NodeFacts,
    Software,
    Token,
    merged,
)

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

WANTED_CODECS = ("h264", "h265", "vp9", "av1")


def judge_machine(look: Look, token: Token) -> Iterator[Finding]:
    """What is to be said of this machine."""
    yield from judge_software(look.software)
    yield from judge_look(look)
    yield from judge_encoders(look.encoders)
    yield from judge_resources(look.machine)
    yield judge_home(look.machine, token)


def judge_look(look: Look) -> Iterator[Finding]:
    """Fonts, and whether the test video could be drawn."""
    if look.fonts is not None:
        yield from judge_fonts(look.fonts)
    if look.failure is not None:
        yield Finding(
            "mend",
            "drawing",
            f"the test video cannot be drawn: {look.failure}",
            "install matplotlib and numpy afresh: python -m pip install --force-reinstall "
            "matplotlib numpy",
        )
    elif look.drawn is not None:
        yield Finding("well", "drawing", "the test video is drawn and encoded")


def judge_software(software: Software) -> Iterator[Finding]:
    """Versions, and whether the packages load."""
    yield Finding("well", "Python", software.python)
    for package in software.packages:
        yield _package(package, software)


def _package(package: Installed, software: Software) -> Finding:
    name, wanted = package.name, f"{package.name}{package.wanted}"
    if package.version is None:
        return Finding(
            "mend", name, "is not installed", f"install it: python -m pip install '{wanted}'"
        )
    if package.failure is not None:
        return Finding(
            "mend",
            name,
            f"{package.version} cannot be imported: {package.failure}",
            f"install it afresh: python -m pip install --force-reinstall '{wanted}'",
        )
    if not package.is_wanted:
        return Finding(
            "note",
            name,
            f"{package.version}; rayanim was tested with {package.wanted}",
            f"install one of those: python -m pip install '{wanted}'",
        )
    return Finding("well", name, _version(package, software))


def _version(package: Installed, software: Software) -> str:
    version = str(package.version)
    if package.name == "av":
        ffmpeg = [f"{name} {number}" for name, number in software.libraries.items() if name in LIBS]
        return f"{version} with FFmpeg's {', '.join(ffmpeg)}"
    if package.name == "ray" and not software.has_cluster_extra:
        return f"{version}, without jobs, dashboard and metrics (pip install 'rayanim[cluster]')"
    return version


LIBS = ("libavcodec", "libavformat", "libswscale")
"""Those of FFmpeg's libraries that decide a video's bytes."""


def judge_encoders(encoders: tuple[Encoder, ...]) -> Iterator[Finding]:
    """Which codecs work, and which devices."""
    software = [each for each in encoders if not each.is_hardware]
    for codec in WANTED_CODECS if software else ():
        yield _codec(codec, [each for each in software if each.codec == codec])
    hardware = [each for each in encoders if each.is_hardware]
    if hardware:
        yield _hardware(hardware)


def _codec(codec: str, encoders: list[Encoder]) -> Finding:
    working = [each.name for each in encoders if each.failure is None]
    if working:
        return Finding("well", codec, " and ".join(working))
    reasons = "; ".join(dict.fromkeys(each.failure or "" for each in encoders))
    return Finding(
        "mend" if codec == "h264" else "note",
        codec,
        f"no encoder works: {reasons or 'there is none'}",
        "install PyAV's own wheel, which brings FFmpeg: python -m pip install --force-reinstall "
        "--only-binary av av",
    )


def _hardware(encoders: list[Encoder]) -> Finding:
    """Never an ill: videos are encoded in software, which gives the same bytes everywhere."""
    working = [each.name for each in encoders if each.failure is None]
    failing = [each for each in encoders if each.failure is not None]
    reasons: dict[str, list[str]] = {}
    for each in failing:
        reasons.setdefault(_short(each), []).append(each.name)
    listed = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    works = f"{', '.join(working)} work" if working else "none works"
    rest = f" (listed, and do not: {listed})" if listed else ""
    return Finding("well", "hardware", f"{works}; rayanim needs none{rest}")


def _short(encoder: Encoder) -> str:
    """What FFmpeg logged first; its error codes say less."""
    _, _, logged = str(encoder.failure).partition("; ")
    first = (logged or str(encoder.failure)).split("; ")[0]
    return first.removeprefix(f"{encoder.name}: ").rstrip(".")


def judge_fonts(fonts: Fonts) -> Iterator[Finding]:
    """matplotlib's fonts and settings."""
    wanted = ", ".join(fonts.family)
    if fonts.default_is_fallback:
        yield Finding(
            "note",
            "fonts",
            f"none of the families in font.family ({wanted}) is there; "
            f"{fonts.default_file} stands in",
            "install such a font, or ask for another in matplotlibrc",
        )
    else:
        yield Finding(
            "well",
            "fonts",
            f"{len(fonts.families)} families; {wanted} is {fonts.default_file}",
        )
    if fonts.cache_is_temporary:
        yield Finding(
            "note",
            "font cache",
            "matplotlib's usual folder cannot be written: every process looks for fonts anew",
            "set MPLCONFIGDIR to a folder that can be written",
        )
    if fonts.settings:
        shown = ", ".join(f"{name}: {value}" for name, value in list(fonts.settings.items())[:5])
        more = f" and {len(fonts.settings) - 5} more" if len(fonts.settings) > 5 else ""
        yield Finding("well", "settings", f"{fonts.settings_file} sets {shown}{more}")


def judge_resources(machine: MachineFacts) -> Iterator[Finding]:
    """Cores, memory, shared memory and the temporary folder."""
    yield _cores(machine)
    yield _threads(machine)
    yield _memory(machine)
    if machine.shared_memory_bytes is not None:
        yield _shared_memory(machine.shared_memory_bytes)
    yield _temp(machine)


def _cores(machine: MachineFacts) -> Finding:
    text = f"{machine.usable_cores}"
    if machine.usable_cores < machine.cores:
        text += f" of {machine.cores} (affinity or the container's limit)"
    return Finding("well", "cores", text)


def _threads(machine: MachineFacts) -> Finding:
    """Threads of OpenMP, which NumPy's BLAS heeds too, and which multiply with the actors."""
    if machine.omp_threads in ("", "1"):
        told = "as many in each render actor as Ray sets CPUs aside for it, 1 unless told otherwise"
        return Finding("well", "OpenMP threads", told if not machine.omp_threads else "1")
    return Finding(
        "note",
        "OpenMP threads",
        f"OMP_NUM_THREADS={machine.omp_threads} holds in each render actor, so that actors "
        "together may run more threads than there are cores",
        "unset it: Ray then gives each actor as many as it has CPUs (--actor-cpus)",
    )


def _memory(machine: MachineFacts) -> Finding:
    free = size_text(machine.free_memory_bytes)
    limit = machine.group_memory_bytes
    if limit is not None and limit < machine.memory_bytes:
        text = f"{free} free; the container may use {size_text(limit)} of "
    else:
        text = f"{free} free of "
    text += size_text(machine.memory_bytes)
    if machine.free_memory_bytes < LEAST_FREE_BYTES:
        return Finding(
            "note",
            "memory",
            text,
            "end other programs, give the container more memory, or draw in one process: -j 1",
        )
    return Finding("well", "memory", text)


def _shared_memory(size_bytes: int) -> Finding:
    text = f"/dev/shm has {size_text(size_bytes)}"  # noqa: S108 # it is named, not used
    if size_bytes < LEAST_SHARED_BYTES:
        return Finding(
            "note",
            "shared memory",
            f"{text}, too little for Ray's objects: it would keep them on the disk, slowly",
            "give the container more: docker run --shm-size=1g, in Kubernetes an emptyDir with "
            "medium: Memory at /dev/shm",
        )
    return Finding("well", "shared memory", text)


def _temp(machine: MachineFacts) -> Finding:
    folder, free = machine.temp_folder, size_text(machine.temp_free_bytes)
    if not machine.temp_is_writable:
        return Finding(
            "mend", "temporary files", f"{folder} cannot be written", "set RAY_TMPDIR to a folder"
        )
    if len(folder.encode()) > LONGEST_TEMP_CHARS:
        return Finding(
            "mend",
            "temporary files",
            f"{folder} is too long a path: Ray's sockets below it would have more than 107 bytes",
            f"set RAY_TMPDIR to a folder of at most {LONGEST_TEMP_CHARS} characters",
        )
    if machine.temp_free_bytes < LEAST_FREE_SHARE * machine.temp_bytes:
        return Finding(
            "note",
            "temporary files",
            f"{folder} is on a disk with {free} free, less than a twentieth: Ray spills nothing "
            "to it",
            "free some, or set RAY_TMPDIR to a folder on another disk",
        )
    return Finding("well", "temporary files", f"{folder}, {free} free")


def judge_home(machine: MachineFacts, token: Token) -> Finding:
    """The home folder, where Ray writes a token when it starts."""
    if machine.home_is_writable:
        return Finding("well", "home", machine.home)
    where = f"{machine.home} cannot be written" if machine.home else "there is none"
    if token.mode == "disabled" or token.is_usable:
        return Finding("well", "home", f"{where}; Ray's token does not need it")
    return Finding(
        "mend",
        "home",
        f"{where}, and Ray does not start without its token in ~/.ray",
        "set HOME to a folder that can be written, or RAY_AUTH_MODE=disabled",
    )


def size_text(size_bytes: float) -> str:
    """Bytes for people: ``3.1 GiB``."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes / 2**10:.3g} KiB"


DECIDING = ("matplotlib", "numpy", "pillow", "av")
"""Packages whose versions decide pixels and bytes."""

SHOWN = 5
"""So many of the names that differ are shown."""


def judge_cluster(here: Look, cluster: ClusterFacts) -> tuple[Finding, ...]:
    """What is to be said of `cluster`, compared with what this process sees."""
    if cluster.failure is not None:
        return (Finding("mend", "cluster", cluster.failure, cluster.remedy or ""),)
    found = [_reached(cluster)]
    for node in cluster.nodes:
        found += _of_node(here, node)
    if all(each.level != "mend" for each in found) and cluster.nodes:
        found.append(_all_alike(cluster))
    return merged(found)


def judge_token(token: Token, cluster: ClusterFacts | None) -> Finding:
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


def _reached(cluster: ClusterFacts) -> Finding:
    cpus = sum(node.cpus for node in cluster.nodes)
    memory = size_text(sum(node.memory_bytes for node in cluster.nodes))
    nodes = "1 node" if len(cluster.nodes) == 1 else f"{len(cluster.nodes)} nodes"
    return Finding(
        "well",
        "cluster",
        f"{nodes}, {cpus:g} CPUs, {memory} of memory; Ray {cluster.ray}, Python {cluster.python}",
    )


def _of_node(here: Look, node: NodeFacts) -> Iterator[Finding]:
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


def _on(node: NodeFacts, findings: Iterator[Finding]) -> Iterator[Finding]:
    for each in findings:
        yield Finding(each.level, each.topic, each.text, each.remedy, (node.name,))


def _silent(node: NodeFacts) -> Finding:
    return Finding(
        "mend",
        "no answer",
        str(node.failure),
        "see `ray status` and that node's logs; stop Ray on it if it stays silent",
        (node.name,),
    )


def _versions(here: Look, node: NodeFacts) -> Iterator[Finding]:
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


def _without_rayanim(here: Look, node: NodeFacts) -> Finding:
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
            f"{'; '.join(causes)}. The test video is the same; others may not be",
            "run the same image or the same lock file everywhere",
        )


def _other_pixels(here: DrawnFacts, there: DrawnFacts, causes: list[str]) -> Finding:
    panels = [name for name, digest in here.panels.items() if there.panels.get(name) != digest]
    because = f": {'; '.join(causes)}" if causes else ", for no reason that shows in versions"
    return Finding(
        "mend",
        "pixels",
        f"{_listed(panels) or 'frames'} come out otherwise than here{because}",
        "run the same image everywhere, or install the same fonts and versions there",
    )


def _other_segments(here: DrawnFacts, there: DrawnFacts, causes: list[str]) -> Iterator[Finding]:
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
            "videos play all the same; for the same SHA-256 run the same PyAV on processors of "
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
        # A video takes the driver's settings along; the fonts that they name it does not.
        yield f"matplotlibrc there sets otherwise: {_listed(settings)}"


def _resources(node: NodeFacts) -> Iterator[Finding]:
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


def _all_alike(cluster: ClusterFacts) -> Finding:
    drawn = [node for node in cluster.nodes if node.look is not None and node.look.drawn]
    who = "the node draws" if len(drawn) == 1 else f"all {len(drawn)} nodes draw"
    return Finding("well", "pixels", f"{who} the test video as this process does")


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
