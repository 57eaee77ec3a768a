"""Recipes for clusters, as far as they can be checked without one.

What Kubernetes itself defines is validated against its published schema (kubernetes-validate). That
of KubeRay's own resources is not packaged for Python: their pods are validated as Kubernetes' pods.
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


def test_the_jobs_pods_have_whole_cpus_of_their_own() -> None:
    pod = read("kubernetes-job.yaml")["spec"]["template"]["spec"]
    for container in pod["containers"]:
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
