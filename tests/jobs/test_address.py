"""Which address a cluster's Jobs API is looked for at."""

from __future__ import annotations

import pytest

from rayanim.errors import SettingsError
from rayanim.jobs.client import read_address


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("http://head:8265", "http://head:8265"),
        ("http://head", "http://head:8265"),
        ("http://head/ray", "http://head/ray"),
        ("https://head.example.org/", "https://head.example.org"),
        ("head", "http://head:8265"),
        ("10.0.0.1:9000", "http://10.0.0.1:9000"),
        ("10.0.0.1:6379", "10.0.0.1:6379"),  # Ray asks the head itself
        ("[::1]:8265", "http://[::1]:8265"),
        ("auto", "auto"),
    ],
)
def test_an_address_is_read_as_people_write_it(given: str, read: str) -> None:
    """The scheme and the dashboard's port may be left out."""
    assert read_address(given, {}) == read


def test_the_environment_counts_where_nothing_is_given() -> None:
    """In Ray's own order."""
    both = {"RAY_ADDRESS": "b:1", "RAY_API_SERVER_ADDRESS": "http://a:2"}
    assert read_address(None, both) == "http://a:2"
    assert read_address(None, {"RAY_ADDRESS": "b:1"}) == "http://b:1"
    assert read_address("c:3", both) == "http://c:3"
    assert read_address(None, {}) is None


def test_ray_client_is_refused_with_the_address_to_use() -> None:
    """It says why, too."""
    with pytest.raises(SettingsError, match=r"Ray Client.*--address http://head:8265"):
        read_address("ray://head:10001", {})


@pytest.mark.parametrize(
    "given", ["ftp://head", "http:///ray", "head:port", "http://head:99999999"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    """By what was got."""
    with pytest.raises(SettingsError, match=given.removeprefix("http://")):
        read_address(given, {})
