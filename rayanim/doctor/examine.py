"""Looks, asks the cluster, and judges: what `rayanim doctor` does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rayanim.cluster import read_address
from rayanim.doctor.facts import Cluster, Look, Token
from rayanim.doctor.findings import Finding, is_well, summary
from rayanim.doctor.judge import judge_machine
from rayanim.doctor.judge_cluster import judge_cluster, judge_token
from rayanim.doctor.look import look_here
from rayanim.doctor.reach import find_token
from rayanim.doctor.survey import ANSWER_LIMIT_S, survey


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, and what is to be said of it.

    Attributes
    ----------
    here
        This machine.
    token
        Ray's token.
    cluster
        The cluster; None where none was asked for.
    of_machine, of_cluster
        The findings.
    """

    here: Look
    token: Token
    cluster: Cluster | None
    of_machine: tuple[Finding, ...]
    of_cluster: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return self.of_machine + self.of_cluster

    @property
    def is_well(self) -> bool:
        """Whether there is nothing that must be mended."""
        return is_well(self.findings)

    @property
    def summary(self) -> str:
        """One line."""
        return summary(self.findings)

    def facts(self) -> dict[str, Any]:
        """What was found as plain values that JSON can hold."""
        return {
            "machine": _plain(asdict(self.here)),
            "token": asdict(self.token),
            "cluster": None if self.cluster is None else _plain(asdict(self.cluster)),
        }


def examine(address: str | None = None, *, limit_s: float = ANSWER_LIMIT_S) -> Examination:
    """Examine this machine, and the cluster at `address`.

    Parameters
    ----------
    address
        ``auto`` or the head's ``HOST:PORT``; None looks at this machine alone.
    limit_s
        Seconds that all nodes together have to answer.

    Raises
    ------
    SettingsError
        If `address` is none that a driver can connect to.
    """
    # As where a film is made; what the environment says is not asked for here.
    cluster_address = None if address is None else read_address(address, {})
    here, token = look_here(), find_token()
    cluster = None
    if cluster_address is not None and here.software.version("ray") is not None:
        version = str(here.software.version("rayanim"))
        cluster = survey(cluster_address.text, token, version, limit_s=limit_s)
    return Examination(
        here,
        token,
        cluster,
        (*judge_machine(here, token), judge_token(token, cluster)),
        () if cluster is None else judge_cluster(here, cluster),
    )


def _plain(value: Any) -> Any:
    """`value` with sets as sorted lists, and what holds them likewise."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return sorted(value) if isinstance(value, frozenset) else value
