"""The files in `cluster/` are valid, and agree with each other and with the package."""

from __future__ import annotations

import os
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


SIZES = {"ray-up": 8 * 16, "kuberay": 10 * 8}
"""CPUs of each kind's cluster when all of its nodes are there."""


def test_each_command_for_a_cluster_that_starts_at_nothing_says_how_many_actors() -> None:
    """As many as the cluster's CPUs: none of its nodes is there to tell the number by."""
    readme = (CLUSTER / "README.md").read_text()
    sections = {kind: readme.split(f"]({kind})")[1].split("\n## ")[0] for kind in SIZES}
    sections["kuberay"] += (CLUSTER / "kuberay" / "rayjob.yaml").read_text()
    for kind, section in sections.items():
        commands = re.findall(r"\brayanim (?:run|submit) [^\n`#]*", section)
        assert len(commands) >= 2
        for command in commands:
            assert f"--max-workers {SIZES[kind]}" in command, command


def test_the_sizes_are_those_of_the_files() -> None:
    """Machines times their CPUs, which the machines' names or the pods' limits say."""
    cpus = {"c7i.4xlarge": 16, "n2-standard-16": 16}
    for name in ("aws", "gcp"):
        config = yaml.safe_load((CLUSTER / "ray-up" / f"{name}.yaml").read_text())
        render = config["available_node_types"]["render"]
        node = render["node_config"]
        machine = node.get("InstanceType") or node["machineType"]
        assert render["max_workers"] * cpus[machine] == SIZES["ray-up"]
        assert config["max_workers"] == render["max_workers"]
    for spec in specs():
        (workers,) = spec["workerGroupSpecs"]
        (container,) = workers["template"]["spec"]["containers"]
        limit = int(container["resources"]["limits"]["cpu"])
        assert workers["maxReplicas"] * limit == SIZES["kuberay"]


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.name)
def test_every_shell_of_a_machine_finds_its_environment(path: Path, tmp_path: Path) -> None:
    """Before Ubuntu's .bashrc turns away shells that are not interactive; and written once."""
    (tmp_path / ".bashrc").write_text("case $- in *i*) ;; *) return;; esac\n")
    (command,) = yaml.safe_load(path.read_text())["initialization_commands"]
    script = f"{command}; {command}; source ~/.bashrc; echo $RAY_AUTH_MODE $PATH"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"token {tmp_path}/rayanim-env/bin:")
    assert (tmp_path / ".bashrc").read_text().count("rayanim-env") == 1


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.name)
def test_a_machine_gets_what_the_package_is_built_of_and_no_more(path: Path) -> None:
    """Neither .git nor videos go along, and the folder is not the one videos are put in."""
    mounts = yaml.safe_load(path.read_text())["file_mounts"]
    sources = {name: given for name, given in mounts.items() if given.startswith("..")}
    copied = re.findall(r"^COPY (.*) \S+$", (CLUSTER / "image" / "Dockerfile").read_text(), re.M)
    names = {name for line in copied for name in line.split()}
    assert {Path(given).name for given in sources.values()} == names
    for target, given in sources.items():
        assert (path.parent / given).exists()
        assert target == f"/home/ubuntu/rayanim-source/{Path(given).name}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_tasks_of_slurm_get_the_cpus_that_ray_is_told(path: Path) -> None:
    """srun is told what sbatch was."""
    text = path.read_text()
    assert "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK" in text.split("srun --")[0]
