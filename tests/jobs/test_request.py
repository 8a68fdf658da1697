"""A job's name, command line and folder for videos."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path

import pytest

from rayanim.cli.job_commands import _sent_off, check_log, submit
from rayanim.cli.options import going_on, words_again
from rayanim.cli.printing import Stopped
from rayanim.errors import SettingsError
from rayanim.jobs import client, driver


def test_a_job_is_called_after_its_script() -> None:
    """By characters that every log file's name may have."""
    assert client.make_submission_id(Path("a b/wäve 2.py"), "1f") == "rayanim-w-ve-2-1f"
    assert client.make_submission_id(Path("???.py"), "1f") == "rayanim-script-1f"
    for name in (client.make_submission_id(Path("x" * 300), "1f"), "my.job_1-a"):
        assert client.check_submission_id(name) == name


@pytest.mark.parametrize("name", ["", "../x", "-x", "a b", "x" * 102])
def test_a_name_that_is_no_file_s_is_refused(name: str) -> None:
    """Ray would make a log file of it."""
    with pytest.raises(SettingsError, match="submission ID"):
        client.check_submission_id(name)


def test_the_command_line_arrives_as_it_was_written() -> None:
    """Through the shell that Ray gives it to."""
    words = ["--json", "-o", "my video.mp4", "it's.py", "--", "$HOME", "*"]
    line = client.entrypoint("videos-1", words)
    assert shlex.split(line) == [
        "exec", "python", "-m", "rayanim.jobs.driver", "videos-1", "run", *words,
    ]  # fmt: skip


def test_videos_of_one_folder_go_to_one_place() -> None:
    """Those of another folder, or of somebody else, to another."""
    mine = client.videos_folder(Path("/home/me/video"), "me@here")
    assert mine == client.videos_folder(Path("/home/me/video"), "me@here")
    others = {
        client.videos_folder(Path("/home/me/other/video"), "me@here"),
        client.videos_folder(Path("/home/me/video"), "you@here"),
    }
    assert len(others | {mine}) == 3 and all(each.startswith("video-") for each in others)


def test_a_script_outside_the_folder_that_is_sent_is_refused(tmp_path: Path) -> None:
    """It would not be there."""
    script = tmp_path / "deep" / "wave.py"
    assert client.relative_script(script, tmp_path) == "deep/wave.py"
    with pytest.raises(SettingsError, match=r"wave\.py.*other"):
        client.relative_script(script, tmp_path / "other")


def test_variables_of_the_user_s_stay() -> None:
    """Ours are added to them."""
    theirs = {"env_vars": {"A": "1", "RAY_JOB_STOP_WAIT_TIME_S": "90"}, "pip": ["x"]}
    made = client.with_variables(theirs, "rayanim submit wave.py --resume", "[rayanim 1] ")
    assert made["pip"] == ["x"] and made["env_vars"]["A"] == "1"
    assert made["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "90"
    assert made["env_vars"][driver.RESUME_VARIABLE] == "rayanim submit wave.py --resume"
    assert made["env_vars"][driver.EVENTS_VARIABLE] == "[rayanim 1] "
    assert theirs["env_vars"] == {"A": "1", "RAY_JOB_STOP_WAIT_TIME_S": "90"}


@pytest.mark.parametrize(
    ("given", "again"),
    [
        ("wave.py", "wave.py --resume"),
        ("wave.py --resume", "wave.py --resume"),
        ("--submission-id x wave.py", "wave.py --resume"),
        ("--submission-id=x wave.py -- --submission-id y", "wave.py --resume -- --submission-id y"),
    ],
)
def test_a_job_is_gone_on_with_under_another_name(given: str, again: str) -> None:
    """A cluster takes each name once."""
    assert going_on(["/bin/rayanim", "submit", *given.split()]) == f"rayanim submit {again}"


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (
            '--runtime-env-json {"env_vars":{"A":"KEY"}} a.py',
            "--runtime-env-json ... a.py --resume",
        ),
        ('--runtime-env-json={"env_vars":{}} a.py', "--runtime-env-json=... a.py --resume"),
        ("--runtime-env-json {} a.py", "--runtime-env-json '{}' a.py --resume"),
        ("--address https://me:KEY@head:8265", "--address https://...@head:8265 --resume"),
        ("--pip git+https://KEY@host/a.git", "--pip git+https://...@host/a.git --resume"),
        ("--pip git+ssh://git@host/a.git", "--pip git+ssh://git@host/a.git --resume"),
        ("-o s3://videos/a@b.mp4", "-o s3://videos/a@b.mp4 --resume"),
    ],
)
def test_a_command_line_that_is_kept_has_no_secrets(given: str, again: str) -> None:
    """It stands in logs, in the dashboard, and in the environment of every actor."""
    assert going_on(["rayanim", "submit", *given.split()]) == f"rayanim submit {again}"


def test_a_log_that_would_go_with_the_job_is_refused() -> None:
    """Ray removes the copy of the script's folder in which it would lie."""
    for words in (["--log-json", "-"], ["--log-json", "/shared/log"], []):
        check_log(words)
    with pytest.raises(SettingsError, match="absolute path"):
        check_log(["--crf", "20", "--log-json", "log"])


def test_an_option_without_its_value_goes_on_without_one() -> None:
    """What click makes of it is not what it writes."""
    context = submit.make_context("submit", ["wave.py", "--log-json", "--crf", "20"])
    assert words_again(context, ["log_json", "crf"]) == ["--log-json", "-", "--crf", "20"]


class StoppedWhileSending:
    """A client whose user has had enough before the cluster answered."""

    def submit(self, request: object) -> str:
        raise Stopped(signal.SIGTERM)

    def command(self, words: str) -> str:
        return f"rayanim {words}"


def test_a_job_that_was_perhaps_submitted_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is random, and nobody else knows it."""
    made = client.JobRequest(submission_id="job-1", entrypoint="", runtime_env={}, metadata={})
    with pytest.raises(Stopped):
        _sent_off(StoppedWhileSending(), made)  # type: ignore[arg-type]
    shown = capsys.readouterr().err
    assert "rayanim status job-1" in shown and "rayanim stop job-1" in shown
