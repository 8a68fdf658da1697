"""What the end of a job means: an exit code, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rayanim.jobs.client import RESUME_KEY, SubmittedJob
from rayanim.jobs.watch import outcome_of

AGAIN = "rayanim submit wave.py --resume"


def job(status: str, code: int | None, message: str = "") -> SubmittedJob:
    return SubmittedJob("job-1", status, message, code, "node-1", 1.0, 2.0, {RESUME_KEY: AGAIN})


def test_a_job_that_has_succeeded_needs_no_words() -> None:
    """It has said all itself."""
    outcome = outcome_of(job("SUCCEEDED", 0), None)
    assert (outcome.exit_code, outcome.text) == (0, "")


def test_a_job_that_somebody_has_stopped_says_how_to_go_on() -> None:
    """With the exit code of SIGTERM."""
    outcome = outcome_of(job("STOPPED", None), {"text": "stopped"})
    assert outcome.exit_code == 143
    assert outcome.text == f"job-1 was stopped. To resume it: {AGAIN}"


@pytest.mark.parametrize(("code", "name"), [(-9, "SIGKILL"), (137, "SIGKILL"), (-11, "SIGSEGV")])
def test_a_driver_that_a_signal_ended_is_lost(code: int, name: str) -> None:
    """Exit code 3, for nothing is wrong with the command."""
    outcome = outcome_of(job("FAILED", code), None)
    assert outcome.exit_code == 3
    assert f"was ended by {name}" in outcome.text and AGAIN in outcome.text


def test_a_driver_whose_node_is_gone_is_lost() -> None:
    """With Ray's own sentence, where there is one, and how to go on."""
    outcome = outcome_of(job("FAILED", None, "The node died."), None)
    assert outcome.exit_code == 3 and "The node died." in outcome.text and AGAIN in outcome.text


def test_a_job_that_never_started_says_why() -> None:
    """By the end of what Ray says, where pip says the cause; there is nothing to go on from."""
    message = "Failed to set up the runtime environment" + "\n  pip" * 1000 + "\nno such package"
    failed = replace(job("FAILED", None, message), failure="RUNTIME_ENV_SETUP_FAILURE")
    outcome = outcome_of(failed, None)
    assert outcome.exit_code == 3 and len(outcome.text) < 2200
    assert outcome.text.startswith("job-1 could not be started: Failed to set up")
    assert outcome.text.endswith("no such package")


@pytest.mark.parametrize("code", [1, 2, 3, 42])
def test_a_failure_that_was_told_is_not_told_again(code: int) -> None:
    """The exit code is the job's own."""
    outcome = outcome_of(job("FAILED", code), {"text": "FrameError: frame 7"})
    assert (outcome.exit_code, outcome.text) == (code, "")


def test_an_exit_code_without_a_word_is_reported() -> None:
    """A script may call sys.exit."""
    outcome = outcome_of(job("FAILED", 42), None)
    assert (outcome.exit_code, outcome.text) == (42, "job-1 failed with exit code 42.")


def test_a_head_without_python_is_reported() -> None:
    """The shell's exit code for a command that it does not find."""
    outcome = outcome_of(job("FAILED", 127), None)
    assert outcome.exit_code == 3 and "no python on its PATH" in outcome.text


def test_a_missing_package_comes_with_the_remedy() -> None:
    """It is named, and so is the option."""
    error = {"error": "ModuleNotFoundError", "text": "No module named 'scipy.signal'"}
    outcome = outcome_of(job("FAILED", 1), error)
    assert outcome.exit_code == 1
    assert "no module 'scipy'" in outcome.text and "--pip" in outcome.text


def test_a_missing_file_comes_with_what_was_not_sent() -> None:
    """A file that is there at home may be named in .gitignore."""
    error = {"text": "FileNotFoundError: [Errno 2] No such file or directory: 'data/a.csv'"}
    outcome = outcome_of(job("FAILED", 1), error)
    assert outcome.exit_code == 1
    assert "'data/a.csv'" in outcome.text and "RAY_RUNTIME_ENV_IGNORE_GITIGNORE" in outcome.text
