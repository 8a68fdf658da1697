"""Where a cluster is and what may be asked of it; what makes no sense is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from numbered import Numbered

from rayanim import produce
from rayanim.engine.cluster import same_place
from rayanim.errors import SettingsError
from rayanim.overrides import Overrides, overriding
from rayanim.settings import ClusterSettings, RenderSettings, parse_size, read_address


@pytest.mark.parametrize(
    ("given", "environment", "text", "origin"),
    [
        ("auto", {}, "auto", "address='auto'"),
        ("10.0.0.1:6379", {}, "10.0.0.1:6379", "address='10.0.0.1:6379'"),
        (None, {"RAY_ADDRESS": "head:1234"}, "head:1234", "RAY_ADDRESS=head:1234"),
        ("auto", {"RAY_ADDRESS": "head:1234"}, "head:1234", "RAY_ADDRESS=head:1234"),
        ("other:1", {"RAY_ADDRESS": "head:1234"}, "other:1", "address='other:1'"),
    ],
)
def test_an_address_is_taken_as_ray_takes_it(
    given: str | None, environment: dict[str, str], text: str, origin: str
) -> None:
    """What is given goes before the environment, which goes before looking for a cluster."""
    found = read_address(given, environment)
    assert found is not None
    assert (found.text, found.origin) == (text, origin)


@pytest.mark.parametrize("given", [None, "local"])
def test_without_an_address_ray_stays_here(given: str | None) -> None:
    """``local`` does so whatever the environment says."""
    environment = {} if given is None else {"RAY_ADDRESS": "head:1234"}
    assert read_address(given, environment) is None


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ("ray://10.0.0.1:10001", "rayanim submit SCRIPT.py --address http://10.0.0.1:8265"),
        ("http://head:8265", "rayanim submit SCRIPT.py --address http://head:8265"),
    ],
)
def test_an_address_that_takes_jobs_names_the_command_to_use(given: str, command: str) -> None:
    """Ray Client and the dashboard are no place for a driver."""
    for origin, request in (
        (f"address='{given}'", {"given": given, "environment": {}}),
        (f"RAY_ADDRESS={given}", {"given": None, "environment": {"RAY_ADDRESS": given}}),
    ):
        with pytest.raises(SettingsError) as refused:
            read_address(**request)  # type: ignore[arg-type]
        assert command in refused.value.message
        assert refused.value.message.startswith(origin)


@pytest.mark.parametrize("given", ["head", "head:", "head:99999", "head:0", ":6379", 7, ""])
def test_what_is_no_address_is_refused(given: Any) -> None:
    """A host alone would otherwise be looked for, and not found, for a minute."""
    with pytest.raises(SettingsError, match="HOST:PORT"):
        read_address(given, {})


def test_drawing_here_and_a_cluster_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the environment gives way."""
    with pytest.raises(SettingsError, match="exclude each other"):
        RenderSettings(address="auto", engine="local")
    monkeypatch.setenv("RAY_ADDRESS", "head:1234")
    assert RenderSettings(engine="local").cluster_address is None
    assert RenderSettings(address="local").cluster_address is None
    found = RenderSettings().cluster_address
    assert found is not None and found.origin == "RAY_ADDRESS=head:1234"


def test_settings_for_clusters_are_named_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Bounds for the number of actors do have an effect on one machine."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def plan(cluster: ClusterSettings, address: str | None = None) -> str:
        caplog.clear()
        with overriding(Overrides(dry_run=True)):
            produce(Numbered(3), outfile=tmp_path / "a.mp4", cluster=cluster, address=address)
        return caplog.text

    assert plan(ClusterSettings(min_workers=1, max_workers=2)) == ""
    for_clusters = ClusterSettings(actor_cpus=2, keep_head_free=True, max_workers=2)
    assert "actor_cpus, keep_head_free have no effect" in plan(for_clusters)
    assert plan(for_clusters, "head:6379") == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1:6379", "127.0.0.1:6379", True),
        ("localhost:6379", "127.0.0.1:6379", True),
        ("127.0.0.1:6379", "127.0.0.1:6380", False),
        ("203.0.113.7:6379", "127.0.0.1:6379", False),
        ("[::1]:6379", "127.0.0.1:6379", True),
        ("no-such-host.invalid:6379", "127.0.0.1:6379", True),
    ],
)
def test_two_names_of_one_head_are_told_from_two_heads(one: str, other: str, same: bool) -> None:
    """By what they stand for; a name that cannot be looked up here gets the benefit."""
    assert same_place(one, other) == same


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"min_workers": 0}, "min_workers"),
        ({"min_workers": 4, "max_workers": 2}, "above max_workers=2"),
        ({"actor_cpus": -1}, "actor_cpus"),
        ({"actor_memory_bytes": 2}, "16 MiB"),
        ({"resources": {"CPU": 2}}, "actor_cpus"),
        ({"resources": {"x": 0}}, "resources"),
        ({"label_selector": {"role": 1}}, "label_selector"),
        ({"packages": "numpy"}, "packages"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    """With what was got, before anything is asked of a cluster."""
    with pytest.raises(SettingsError, match=told):
        ClusterSettings(**wrong)


def test_sizes_are_read_as_people_write_them() -> None:
    """Decimal units, binary ones, and a bare number of bytes."""
    assert [parse_size(each) for each in ("2GB", "1.5 GiB", "800m", "12")] == [
        2_000_000_000,
        1_610_612_736,
        838_860_800,
        12,
    ]
    with pytest.raises(SettingsError, match="got 'two'"):
        parse_size("two")
