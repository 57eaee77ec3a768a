from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.environment import from_environment
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError
from amp_tuner.records import Setting
from amp_tuner.results.container_files import (
    config_map_name,
    config_map_text,
    container_text,
)
from tests.results.examples import HOSTILE, point

MOVES = {"Mean": "allow", "Exp": "clear"}
FAMILIES = ["tf-cpu-bfloat16", "tf-cpu-float16", "itex-cpu-bfloat16"]
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def docker(text: str) -> dict[str, str]:
    """As ``docker run --env-file`` reads it: comments, blank lines, then text as it stands."""
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert all("=" in line for line in lines), "a name alone would be taken from Docker's own"
    return dict(line.split("=", 1) for line in lines)


def systemd(text: str) -> dict[str, str]:
    """As ``EnvironmentFile=`` reads it: quotes and backslashes are a shell's, but nothing runs."""
    lines = [line for line in text.split("\n") if line and line[0] not in "#;"]
    items = [line.split("=", 1) for line in lines]
    return {name: "".join(shlex.split(value.strip(), posix=True)) for name, value in items}


@pytest.mark.parametrize("rules", FAMILIES)
def test_docker_and_systemd_read_the_points_lists(rules: str) -> None:
    given_point = point(rules, MOVES)
    text = container_text(given_point, measured=True, baked=False)
    assert docker(text) == systemd(text)
    found = from_environment(rule_set(given_point.rules), docker(text))
    assert found == (given_point.lists, "default")


def test_what_may_not_be_set_is_named_since_no_file_can_remove_it() -> None:
    text = container_text(point("tf-cpu-float16", MOVES), measured=True, baked=False)
    (line,) = [line for line in text.splitlines() if "UnsetEnvironment=" in line]
    absent = line.split("UnsetEnvironment=")[1].rstrip(")").split()
    assert "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_BLACKLIST_ADD" in absent
    assert not set(absent) & docker(text).keys()


def test_around_a_baked_model_no_list_is_set() -> None:
    measured = point("tf-cpu-float16", MOVES, runtime="engine")
    text = container_text(measured, measured=False, baked=True)
    assert docker(text) == {"TF_ENABLE_ONEDNN_OPTS": "1"}
    assert "serves the baked one" in text
    assert "predicted" not in text


def test_around_a_model_that_xla_compiles_there_are_its_flags() -> None:
    measured = replace(point("tf-cpu-float16", MOVES), runtime="xla", setting=Setting("float16"))
    text = container_text(measured, measured=False, baked=True)
    assert docker(text) == {"XLA_FLAGS": "--xla_allow_excess_precision=false"}
    assert "jit_compile=True" in text


def test_a_value_that_they_would_read_differently_is_refused() -> None:
    for value in ("a b", "'quoted'", "back\\slash", "line\nTWO=2", "#", "ü"):
        sly = point(environment={"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_DENYLIST_ADD": value})
        with pytest.raises(InputError, match="read differently by Docker and by systemd"):
            container_text(sly, measured=True, baked=False)


def test_no_text_of_a_point_becomes_a_variable() -> None:
    sly = point(study=HOSTILE, notices=(HOSTILE,), hardware={HOSTILE: HOSTILE})
    plain = point()
    text = container_text(sly, measured=True, baked=False)
    assert docker(text) == docker(container_text(plain, measured=True, baked=False))
    text = config_map_text(sly, measured=True, baked=False)
    whole = yaml.safe_load(text)
    assert whole.keys() == {"apiVersion", "kind", "metadata", "data"}
    assert set(whole["data"]) == set(docker(container_text(plain, measured=True, baked=False)))


@pytest.mark.parametrize("rules", FAMILIES)
def test_a_config_map_has_the_same_variables_as_strings(rules: str) -> None:
    given_point = point(rules, MOVES)
    text = config_map_text(given_point, measured=True, baked=False)
    config_map = yaml.safe_load(text)
    assert (config_map["apiVersion"], config_map["kind"]) == ("v1", "ConfigMap")
    assert config_map["data"] == docker(container_text(given_point, measured=True, baked=False))
    assert all(isinstance(value, str) for value in config_map["data"].values())
    assert f"configMapRef: {{name: {config_map['metadata']['name']}}}" in text
    assert "# speed-up over FP32: 1.31 [1.3, 1.32]" in text


@given(study=st.text(max_size=90), number=st.integers(0, 10_000))
def test_a_config_maps_name_is_a_dns_label(study: str, number: int) -> None:
    assert DNS_LABEL.fullmatch(config_map_name(point(study=study, number=number)))
