"""What is said of a machine, from made facts."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from rayanim.cli.doctor_command import _print_text
from rayanim.doctor.checks import check_encoders, check_machine, check_resources
from rayanim.doctor.facts import (
    Encoder,
    Finding,
    Fonts,
    Installed,
    MachineFacts,
    Probe,
    Software,
    Token,
    merged,
)
from rayanim.doctor.nodes import Examination

GIB = 2**30

MACHINE = MachineFacts(
    host="here",
    cores=8,
    usable_cores=8,
    memory_bytes=32 * GIB,
    free_memory_bytes=20 * GIB,
    group_memory_bytes=None,
    shared_memory_bytes=16 * GIB,
    temp_folder="/tmp",
    temp_bytes=100 * GIB,
    temp_free_bytes=50 * GIB,
    temp_is_writable=True,
    home="/home/me",
    home_is_writable=True,
)
FONTS = Fonts(
    families=(
        "DejaVu Sans",
        "STIXGeneral",
    ),
    family=("sans-serif",),
    default_file="DejaVuSans.ttf",
    default_digest="aa",
    default_is_fallback=False,
    cache_is_temporary=False,
    settings_file="matplotlibrc",
    settings={},
)
SOFTWARE = Software(
    python="3.12.1",
    packages=(
        Installed("rayanim", "", "0.1.0"),
        Installed("av", ">=15", "18.1.0"),
        Installed("matplotlib", ">=3.10", "3.11.0"),
        Installed("ray", ">=2.55", "2.60.0"),
    ),
    has_cluster_extra=True,
    libraries={"libavcodec": "62", "machine": "x86_64"},
)
ENCODERS = tuple(
    Encoder(name, codec)
    for name, codec in (
        ("libx264", "h264"),
        ("libx265", "h265"),
        ("libvpx-vp9", "vp9"),
        ("libsvtav1", "av1"),
    )
)
PROBE = Probe(SOFTWARE, MACHINE, FONTS, None, ENCODERS)
TOKEN = Token(None, None)


def said_of(probe: Probe, token: Token = TOKEN) -> list[Finding]:
    return [each for each in check_machine(probe, token) if each.level != "ok"]


def with_package(**changes: object) -> Probe:
    av = replace(SOFTWARE.packages[1], **changes)  # type: ignore[arg-type]
    packages = (SOFTWARE.packages[0], av, *SOFTWARE.packages[2:])
    return replace(PROBE, software=replace(SOFTWARE, packages=packages))


def test_a_sound_machine_has_nothing_to_mend() -> None:
    """Each thing that was checked is named, and all is well."""
    assert said_of(PROBE) == []
    assert {each.topic for each in check_machine(PROBE, TOKEN)} >= {"Python", "av", "h264", "home"}


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"version": None}, "error", "pip install 'av>=15'"),
        ({"failure": "ImportError: libGL.so.1"}, "error", "--force-reinstall"),
        ({"version": "12.0", "is_wanted": False}, "warning", "'av>=15'"),
    ],
)
def test_a_package_that_is_not_right_is_reported_with_the_command(
    changes: dict[str, object], level: str, words: str
) -> None:
    """Missing, broken, or of a version that was not tested."""
    (finding,) = said_of(with_package(**changes))
    assert (finding.level, finding.topic) == (level, "av")
    assert words in finding.remedy


@pytest.mark.parametrize(
    ("changes", "topic", "level", "words"),
    [
        ({"free_memory_bytes": GIB // 2}, "memory", "warning", "-j 1"),
        ({"shared_memory_bytes": 64 * 2**20}, "shared memory", "warning", "--shm-size"),
        ({"temp_is_writable": False}, "temporary files", "error", "RAY_TMPDIR"),
        ({"temp_folder": "/scratch/" + "x" * 60}, "temporary files", "error", "40 characters"),
        ({"temp_free_bytes": 2 * GIB}, "temporary files", "warning", "another disk"),
        ({"home_is_writable": False}, "home", "error", "RAY_AUTH_MODE=disabled"),
        ({"home": "", "home_is_writable": False}, "home", "error", "HOME"),
    ],
)
def test_what_a_machine_lacks_is_reported_with_what_to_do(
    changes: dict[str, object], topic: str, level: str, words: str
) -> None:
    """One finding each, and none beside it."""
    (finding,) = said_of(replace(PROBE, machine=replace(MACHINE, **changes)))  # type: ignore[arg-type]
    assert (finding.topic, finding.level) == (topic, level)
    assert words in finding.remedy


def test_an_unwritable_home_does_no_harm_where_the_token_is_elsewhere() -> None:
    """Ray writes there only if it has to make a token."""
    probe = replace(PROBE, machine=replace(MACHINE, home_is_writable=False))
    assert said_of(probe, Token(None, "RAY_AUTH_TOKEN", is_usable=True)) == []
    assert said_of(probe, Token("disabled", None)) == []


def test_threads_that_multiply_are_reported() -> None:
    """Ray gives each actor as many as it has processors, unless the variable says otherwise."""
    assert said_of(replace(PROBE, machine=replace(MACHINE, omp_threads="1"))) == []
    (finding,) = said_of(replace(PROBE, machine=replace(MACHINE, omp_threads="8")))
    assert (finding.topic, finding.level) == ("OpenMP threads", "warning")
    assert "OMP_NUM_THREADS=8" in finding.text and "--actor-cpus" in finding.remedy


def test_limits_of_a_container_are_reported() -> None:
    """Its cores and its memory, beside the hardware's."""
    machine = replace(MACHINE, usable_cores=2, group_memory_bytes=4 * GIB)
    text = " ".join(each.text for each in check_resources(machine))
    assert "2 of 8" in text and "may use 4.00 GiB of 32.0 GiB" in text


def test_h264_must_work_and_the_other_codecs_may_lack() -> None:
    """H.264 is what videos are by default; the others are asked for by name."""
    broken = tuple(replace(each, failure="no such encoder") for each in ENCODERS)
    levels = {each.topic: each.level for each in check_encoders(broken)}
    assert levels == {"h264": "error", "h265": "warning", "vp9": "warning", "av1": "warning"}


def test_one_working_encoder_is_enough_for_a_codec() -> None:
    """A build that lacks libaom encodes AV1 with SVT-AV1."""
    two = (*ENCODERS, Encoder("libaom-av1", "av1", "missing"))
    assert [each.level for each in check_encoders(two)] == ["ok"] * 4


def test_fonts_that_stand_in_and_a_lost_cache_are_reported() -> None:
    """Both change videos or cost time, and neither stops a video."""
    fonts = replace(FONTS, default_is_fallback=True, family=("Arial",), cache_is_temporary=True)
    found = {each.topic: each for each in said_of(replace(PROBE, fonts=fonts))}
    assert set(found) == {"fonts", "font cache"}
    assert "Arial" in found["fonts"].text and "MPLCONFIGDIR" in found["font cache"].remedy


def test_a_video_that_cannot_be_drawn_is_an_error() -> None:
    """The message has its own words."""
    (finding,) = said_of(replace(PROBE, failure="ValueError: no such backend"))
    assert finding.level == "error" and "no such backend" in finding.text


def test_the_same_finding_on_several_nodes_is_reported_once() -> None:
    """The nodes are named, three in a line, all of them for programs."""
    same = [Finding("warning", "memory", "little", "more", (f"n{i}",)) for i in range(5)]
    (finding,) = merged([*same[:3], *same[3:]])
    assert finding.where == "n0, n1, n2 and 2 more"
    assert finding.to_dict()["nodes"] == ["n0", "n1", "n2", "n3", "n4"]


def found(*findings: Finding) -> Examination:
    """An examination with these findings."""
    return Examination(PROBE, Token(None, None), None, findings, ())


def test_the_summary_counts() -> None:
    """Warnings are no errors."""
    warning, error = Finding("warning", "a", "b"), Finding("error", "a", "b")
    assert found(warning).is_well and not found(warning, error).is_well
    assert found().summary == "No errors, no warnings."
    assert found(warning).summary == "No errors, 1 warning."
    assert found(error, error, warning).summary == "2 errors, 1 warning."


def test_people_read_the_machine_s_name_and_what_to_do() -> None:
    """A line for each finding, the remedy below it, and the summary last."""
    findings = (Finding("ok", "home", "/home/me"), Finding("error", "ray", "is missing", "get it"))
    shown = io.StringIO()
    _print_text(shown, found(*findings))
    assert shown.getvalue().splitlines() == [
        "This machine (here)",
        "  ✓ home  /home/me",
        "  ✗ ray   is missing",
        "          To do: get it.",
        "",
        "1 error, no warnings.",
    ]
