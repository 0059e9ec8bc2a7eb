"""How to start on many machines: the commands are ours, and KubeRay finds what it needs.

The files for Kubernetes were checked once against the schema of KubeRay's own resources; what is
stated here is what a change of them could break.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from pipeline import cli
from pipeline import config as configuration
from pipeline.cluster import connection
from pipeline.cluster.groups import divide, place
from pipeline.config import Config
from tests.conftest import ROOT

PAGE = ROOT / "pipeline" / "cluster" / "README.md"
FOLDER = ROOT / "configs" / "kuberay"
FILES = ("raycluster.yaml", "rayjob.yaml")
SHARED = "/site"
OF_CLUSTER = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
OF_JOB = {
    "entrypoint",
    "backoffLimit",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "rayClusterSpec",
}
OF_WORKERS = {
    "groupName",
    "replicas",
    "minReplicas",
    "maxReplicas",
    "rayStartParams",
    "template",
}
MEBI = {"Mi": 1, "Gi": 1024}


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return document


def cluster(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = read(name)["spec"]
    found: dict[str, Any] = spec.get("rayClusterSpec", spec)
    return found


def containers(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The pod of each group, with its container."""
    spec = cluster(name)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        yield pod, container


def machines(name: str) -> list[dict[str, float]]:
    """What each machine of a cluster has, by Ray's names."""
    found = []
    for group in cluster(name)["workerGroupSpecs"]:
        (container,) = group["template"]["spec"]["containers"]
        own = json.loads(json.loads(group["rayStartParams"]["resources"]))
        has = {"CPU": float(container["resources"]["limits"]["cpu"]), **own}
        found += [has] * group["replicas"]
    return found


def site() -> Config:
    return configuration.load(str(FOLDER / "site.yaml"))


@pytest.mark.parametrize(("name", "kind"), [(FILES[0], "RayCluster"), (FILES[1], "RayJob")])
def test_each_file_is_one_resource_of_kuberay_with_the_fields_that_it_needs(
    name: str, kind: str
) -> None:
    document = read(name)
    assert document["apiVersion"] == "ray.io/v1"
    assert document["kind"] == kind
    assert document["metadata"]["name"].startswith("people-tracker")
    spec = cluster(name)
    assert set(spec) == OF_CLUSTER
    assert set(spec["headGroupSpec"]) == {"rayStartParams", "template"}
    assert len(spec["workerGroupSpecs"]) > 1
    for group in spec["workerGroupSpecs"]:
        assert set(group) == OF_WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    if kind == "RayJob":
        assert set(document["spec"]) == OF_JOB


@pytest.mark.parametrize("name", FILES)
def test_ray_is_started_with_text_only(name: str) -> None:
    spec = cluster(name)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("name", FILES)
def test_all_pods_have_one_image_limits_and_the_shared_volume(name: str) -> None:
    found = list(containers(name))
    assert len({container["image"] for _, container in found}) == 1
    for pod, container in found:
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        memory = resources["limits"]["memory"]
        assert int(memory[:-2]) * MEBI[memory[-2:]] >= 4096
        (mount,) = container["volumeMounts"]
        (volume,) = pod["volumes"]
        assert mount["name"] == volume["name"]
        assert mount["mountPath"] == SHARED
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        nowhere = {"name": "RAY_USAGE_STATS_REPORT_URL", "value": connection.NOWHERE}
        assert nowhere in container["env"]


def test_the_job_runs_our_command_on_files_of_the_shared_volume() -> None:
    program, *words = shlex.split(read("rayjob.yaml")["spec"]["entrypoint"])
    assert program == "people-tracker"
    parsed = cli.parse(words)
    assert parsed.config == f"{SHARED}/site.yaml"
    assert str(parsed.output).startswith(f"{SHARED}/")
    parsed.config = str(FOLDER / "site.yaml")
    config = cli.settings(parsed)
    assert config.engine == "ray"
    assert config.ray.address == ""
    assert all(camera.source.startswith(f"{SHARED}/") for camera in config.cameras)


@pytest.mark.parametrize("name", FILES)
def test_each_group_of_cameras_finds_a_machine(name: str) -> None:
    groups = divide(site().cameras, site().ray)
    assert {group.name for group in groups} == set(site().ray.groups)
    assert place(groups, machines(name)) == []


@pytest.mark.parametrize("name", FILES)
def test_the_version_of_ray_is_one_that_the_package_allows(name: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (allowed,) = extras["project"]["optional-dependencies"]["ray"]
    assert Version(cluster(name)["rayVersion"]) in Requirement(allowed).specifier


def test_files_that_the_page_links_to_exist() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8"))
    assert targets
    assert [name for name in targets if not (PAGE.parent / name).exists()] == []


def test_the_commands_of_the_page_are_ours_and_their_settings_valid() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    commands = [line.partition("people-tracker ")[2] for line in lines if "--set engine" in line]
    assert len(commands) == 3
    for words in commands:
        parsed = cli.parse(shlex.split(words, comments=True))
        assert parsed.config.endswith("site.yaml")
        parsed.config = str(FOLDER / "site.yaml")
        assert cli.settings(parsed).engine == "ray"


def test_the_settings_of_the_page_are_valid() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    config = configuration.build(yaml.safe_load(text), "the page")
    configuration.check_groups(config)
