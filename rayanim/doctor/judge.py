"""Judges what was found on one machine.

PURE: facts in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator

from rayanim.doctor.facts import Encoder, Fonts, Look, Machine, Package, Software, Token
from rayanim.doctor.findings import Finding

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
    """Fonts, and whether the test film could be drawn."""
    if look.fonts is not None:
        yield from judge_fonts(look.fonts)
    if look.failure is not None:
        yield Finding(
            "mend",
            "drawing",
            f"the test film cannot be drawn: {look.failure}",
            "install matplotlib and numpy afresh: python -m pip install --force-reinstall "
            "matplotlib numpy",
        )
    elif look.drawn is not None:
        yield Finding("well", "drawing", "the test film is drawn and encoded")


def judge_software(software: Software) -> Iterator[Finding]:
    """Versions, and whether the packages load."""
    yield Finding("well", "Python", software.python)
    for package in software.packages:
        yield _package(package, software)


def _package(package: Package, software: Software) -> Finding:
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


def _version(package: Package, software: Software) -> str:
    version = str(package.version)
    if package.name == "av":
        ffmpeg = [f"{name} {number}" for name, number in software.libraries.items() if name in LIBS]
        return f"{version} with FFmpeg's {', '.join(ffmpeg)}"
    if package.name == "ray" and not software.has_cluster_extra:
        return f"{version}, without jobs, dashboard and metrics (pip install 'rayanim[cluster]')"
    return version


LIBS = ("libavcodec", "libavformat", "libswscale")
"""Those of FFmpeg's libraries that decide a film's bytes."""


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
    """Never an ill: films are encoded in software, which gives the same bytes everywhere."""
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


def judge_resources(machine: Machine) -> Iterator[Finding]:
    """Cores, memory, shared memory and the temporary folder."""
    yield _cores(machine)
    yield _threads(machine)
    yield _memory(machine)
    if machine.shared_memory_bytes is not None:
        yield _shared_memory(machine.shared_memory_bytes)
    yield _temp(machine)


def _cores(machine: Machine) -> Finding:
    text = f"{machine.usable_cores}"
    if machine.usable_cores < machine.cores:
        text += f" of {machine.cores} (affinity or the container's limit)"
    return Finding("well", "cores", text)


def _threads(machine: Machine) -> Finding:
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


def _memory(machine: Machine) -> Finding:
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


def _temp(machine: Machine) -> Finding:
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


def judge_home(machine: Machine, token: Token) -> Finding:
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
