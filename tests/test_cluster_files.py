"""The files in `cluster/` are valid, and agree with each other and with the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from rayanim.cli import main

ROOT = Path(__file__).parent.parent
CLUSTER = ROOT / "cluster"
FILES = sorted(each for each in CLUSTER.rglob("*") if each.is_file())
RAY_UP = sorted((CLUSTER / "ray-up").glob("*.yaml"))
SCRIPTS = sorted((CLUSTER / "slurm").glob("*.sh"))
COMMAND = re.compile(r"\brayanim (run|still|doctor|submit|status|logs|stop)\b([^\n`#]*)")


def texts() -> str:
    return "\n".join(each.read_text() for each in FILES)


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def specs() -> list[dict]:
    """The clusters' specifications in both Kubernetes files."""
    cluster = yaml.safe_load((CLUSTER / "kuberay" / "raycluster.yaml").read_text())
    job = yaml.safe_load((CLUSTER / "kuberay" / "rayjob.yaml").read_text())
    return [cluster["spec"], job["spec"]["rayClusterSpec"]]


def test_the_ray_of_the_files_is_one_that_rayanim_takes() -> None:
    """One version stands everywhere, within pyproject's range."""
    found = set(re.findall(r"(?:==|rayVersion: \"|rayanim:)(\d+\.\d+\.\d+)", texts()))
    assert len(found) == 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (ray,) = [each for each in map(Requirement, project["dependencies"]) if each.name == "ray"]
    assert ray.specifier.contains(found.pop())


def test_one_image_stands_everywhere() -> None:
    """The one that the page builds."""
    assert len(set(re.findall(r"\S+/rayanim:\S+", texts()))) == 1


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.name)
def test_ray_takes_its_file(path: Path) -> None:
    """By the validator that `ray up` itself runs first; nothing is started."""
    util = pytest.importorskip("ray.autoscaler._private.util")
    config = yaml.safe_load(path.read_text())
    util.validate_config(util.prepare_config(config))
    with pytest.raises(Exception, match="minimum_workers"):
        util.validate_config(util.prepare_config({**config, "minimum_workers": 1}))


def test_the_kubernetes_clusters_scale_from_nothing_and_ask_for_a_token() -> None:
    """The head draws nothing, workers come and go, and pods are not root."""
    for spec in specs():
        assert spec["enableInTreeAutoscaling"] and spec["autoscalerOptions"]["version"] == "v2"
        assert spec["authOptions"] == {"mode": "token"}
        assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
        (workers,) = spec["workerGroupSpecs"]
        assert workers["minReplicas"] == workers["replicas"] == 0 < workers["maxReplicas"]
        for group in (spec["headGroupSpec"], workers):
            pod = group["template"]["spec"]
            assert pod["restartPolicy"] == "Never" and pod["securityContext"]["runAsUser"]
            (container,) = pod["containers"]
            assert container["resources"]["limits"] == container["resources"]["requests"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(path: Path) -> None:
    """Without a remark."""
    run = subprocess.run([tool("shellcheck"), str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_the_dockerfile_passes_hadolint() -> None:
    """Without a remark that is not answered in it."""
    path = CLUSTER / "image" / "Dockerfile"
    run = subprocess.run([tool("hadolint"), str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_the_image_copies_files_that_are_there() -> None:
    """All that the build needs."""
    copied = re.findall(r"^COPY (.*) \S+$", (CLUSTER / "image" / "Dockerfile").read_text(), re.M)
    names = [name for line in copied for name in line.split()]
    assert "pyproject.toml" in names and all((ROOT / name).exists() for name in names)
    assert "cluster" in distribution("rayanim").metadata.get_all("Provides-Extra", [])


def test_each_command_that_is_named_exists() -> None:
    """With its options."""
    named = COMMAND.findall(texts())
    assert len(named) > 4
    for name, rest in named:
        options = {option for each in main.commands[name].params for option in each.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= options, (name, rest)
