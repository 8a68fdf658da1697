"""What is said of a token that a cluster does not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayanim.jobs import client

NAMES = (client.MODE, client.TOKEN, client.TOKEN_PATH)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a token, and no variables."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_token_is_sent_where_one_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless Ray was told what to do."""
    monkeypatch.setattr(client.os, "environ", environment := {"HOME": str(home)})
    client.send_token_if_there()
    assert client.MODE not in environment
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("f" * 64)
    client.send_token_if_there()
    assert environment[client.MODE] == "token"
    environment[client.MODE] = "disabled"
    client.send_token_if_there()
    assert environment[client.MODE] == "disabled"


def test_each_fault_has_its_own_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, one that is not sent, another one: what to set differs."""
    assert "there is none here: set RAY_AUTH_TOKEN" in client.why_refused()
    monkeypatch.setenv(client.MODE, "disabled")
    assert "is 'disabled' here: set RAY_AUTH_MODE=token" in client.why_refused()
    monkeypatch.setenv(client.MODE, "token")
    monkeypatch.setenv(client.TOKEN, "f" * 64)
    assert "The token in RAY_AUTH_TOKEN is not this cluster's" in client.why_refused()
    monkeypatch.delenv(client.TOKEN)
    monkeypatch.setenv(client.TOKEN_PATH, str(home / "missing"))
    assert "there is none here" in client.why_refused()
