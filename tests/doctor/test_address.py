"""`rayanim doctor --address`: what is no driver's address ends at once, with the one to use."""

from __future__ import annotations

import pytest

from rayanim.cli import main


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://h:8265", "rayanim submit SCRIPT.py --address http://h:8265"),
        ("ray://h:10001", "rayanim submit SCRIPT.py --address http://h:8265"),
        ("h", "HOST:PORT"),
    ],
)
def test_an_address_of_something_else_is_an_error_of_usage(address, words, capsys):
    """As with `rayanim run`: exit code 2, nothing on the standard output, and what to do."""
    assert main.main(["doctor", "--address", address], standalone_mode=False) == 2
    said = capsys.readouterr()
    assert said.out == "" and words in said.err
