"""Recipes for clusters, as far as they can be checked without one.

What Kubernetes itself defines is validated against its published schema (kubernetes-validate). That
of KubeRay's own resources is not packaged for Python: their pods are validated as Kubernetes' pods,
and the keys around them are held against those of KubeRay 1.3, written down here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environments import ENVIRONMENTS

DEPLOY = Path(__file__).parents[2] / "configs" / "deploy"
MANIFESTS = sorted(DEPLOY.glob("*.yaml"))
SCRIPTS = sorted(DEPLOY.glob("*.sbatch"))
#: Keys of RayJobSpec, RayClusterSpec, HeadGroupSpec and (beside those) WorkerGroupSpec.
RAY_JOB = {
    *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint"),
    *("entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy"),
    *("metadata", "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "suspend"),
    *("submissionMode", "submitterConfig", "submitterPodTemplate", "ttlSecondsAfterFinished"),
}
RAY_CLUSTER = {
    *("autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec"),
    *("headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs"),
}
RAY_GROUP = {"enableIngress", "headService", "rayStartParams", "serviceType", "template"}
RAY_WORKERS = {
    *("groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "replicas"),
    *("scaleStrategy", "suspend"),
}
_VALIDATE = """
import json, sys
import kubernetes_validate as kubernetes

try:
    kubernetes.validate(json.load(sys.stdin), kubernetes.latest_version(), strict=True)
except kubernetes.ValidationError as error:
    sys.exit(error.message)
"""


def refused(resource: dict[str, Any]) -> str:
    """What the newest Kubernetes would say of a resource; empty: it accepts it."""
    schemas = ENVIRONMENTS / "kubernetes"
    if not (schemas / "kubernetes_validate").is_dir():
        pytest.skip("NOT TESTED: `make environments` has not made kubernetes")
    done = subprocess.run(
        [sys.executable, "-c", _VALIDATE],
        check=False,
        input=json.dumps(resource),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(schemas)},
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stderr


def read(name: str) -> dict[str, Any]:
    plain: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return plain


@pytest.mark.all_only
def test_the_job_is_what_kubernetes_accepts() -> None:
    job = read("kubernetes-job.yaml")
    assert refused(job) == ""
    job["spec"]["paralelism"] = 8
    assert "paralelism" in refused(job)


def ray_pods() -> dict[str, dict[str, Any]]:
    """Templates of the Ray cluster's pods, by group."""
    cluster = read("kuberay-job.yaml")["spec"]["rayClusterSpec"]
    groups = {one["groupName"]: one for one in cluster["workerGroupSpecs"]}
    return {
        name: group["template"]
        for name, group in {"head": cluster["headGroupSpec"], **groups}.items()
    }


@pytest.mark.all_only
def test_the_pods_of_the_ray_job_are_what_kubernetes_accepts() -> None:
    for name, template in ray_pods().items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        assert refused({**pod, **template, "metadata": {"name": name}}) == ""


def test_the_ray_job_has_the_keys_that_kuberay_knows() -> None:
    job = read("kuberay-job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"].keys() <= RAY_JOB
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster.keys() <= RAY_CLUSTER
    assert cluster["headGroupSpec"].keys() <= RAY_GROUP
    for group in cluster["workerGroupSpecs"]:
        assert group.keys() <= RAY_GROUP | RAY_WORKERS
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        # As `ray start --resources` takes it, quoted once more for the shell.
        resources = json.loads(json.loads(group["rayStartParams"]["resources"]))
        assert json.loads(job["spec"]["entrypointResources"]).items() <= resources.items()


def test_recipes_are_written_for_the_ray_that_is_installed() -> None:
    pins = (DEPLOY.parents[1] / "constraints.txt").read_text().splitlines()
    version = read("kuberay-job.yaml")["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"ray=={version}" in pins


def test_the_jobs_pods_have_whole_cpus_of_their_own() -> None:
    templates = [read("kubernetes-job.yaml")["spec"]["template"], ray_pods()["devices"]]
    for container in (one for pod in templates for one in pod["spec"]["containers"]):
        resources = container["resources"]
        # Else the kubelet's static CPU manager gives them no cores, and a quota stops them.
        assert resources["requests"] == resources["limits"]
        assert resources["limits"]["cpu"].isdecimal()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_no_manifest_holds_an_address(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    assert "://" not in code
    assert "secretKeyRef" in code


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_what_bash_can_read(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    checker = shutil.which("shellcheck")
    if checker is not None:
        subprocess.run([checker, path], check=True)
