from __future__ import annotations

import json

import pytest

from amp_tuner.amp import rules as rules_module
from amp_tuner.amp.rules import (
    default_rules,
    rule_set,
    rule_set_names,
    rule_set_of_runtime,
)
from amp_tuner.errors import InputError


def test_all_six_rule_sets_exist_and_know_their_names():
    assert rule_set_names() == (
        *("tf-cpu-bfloat16", "tf-cpu-float16", "tf-cuda-float16"),
        *("itex-cpu-bfloat16", "itex-gpu-bfloat16", "itex-gpu-float16"),
    )
    assert all(rule_set(name).name == name for name in rule_set_names())


def test_without_a_version_the_newest_is_meant():
    assert rule_set("tf-cpu-bfloat16") == rule_set("tf-cpu-bfloat16@2.21")
    assert rule_set("itex-cpu-bfloat16").identifier == "itex-cpu-bfloat16@2.15"


@pytest.mark.parametrize(
    "name", [*rule_set_names(), "tf-cpu-bfloat16@2.15", "tf-cuda-float16@2.15"]
)
def test_default_lists_never_conflict(name):
    assert rule_set(name).lists.conflicts() == ()


def test_every_list_file_names_its_source():
    files = sorted(rules_module._DATA.glob("*.json"))
    assert len(files) >= 6
    assert all(len(json.loads(file.read_text())["source"]) > 30 for file in files)


def test_lists_of_the_two_tensorflow_versions_differ_where_the_headers_do():
    new, old = rule_set("tf-cpu-bfloat16").lists, rule_set("tf-cpu-bfloat16@2.15").lists
    assert (new.list_of("Mean"), old.list_of("Mean")) == ("infer", "deny")
    assert (new.list_of("IdentityN"), old.list_of("IdentityN")) == ("clear", "none")
    # A missing comma in 2.15's header glues two names.
    assert (new.list_of("Tanh"), old.list_of("Tanh")) == ("infer", "none")


def test_an_unknown_name_is_answered_with_a_near_one():
    with pytest.raises(InputError, match="did you mean tf-cpu-bfloat16"):
        rule_set("tf-cpu-bfloat")


def test_an_unknown_version_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"allowed: tf-cpu-float16@2.21, tf-cpu-float16@2.15"):
        rule_set("tf-cpu-float16@2.3")


def test_default_rules_follow_runtime_and_device():
    assert default_rules("engine", "cpu") == {
        "bfloat16": "tf-cpu-bfloat16",
        "float16": "tf-cpu-float16",
    }
    assert default_rules("roofline", "gpu") == {
        "bfloat16": "itex-gpu-bfloat16",
        "float16": "tf-cuda-float16",
    }
    assert default_rules("tensorflow", "gpu") == {"float16": "tf-cuda-float16"}


def test_itex_has_no_float16_on_cpus():
    assert default_rules("itex", "cpu") == {"bfloat16": "itex-cpu-bfloat16"}


def test_an_unknown_device_has_no_rules():
    assert default_rules("itex", "tpu") == {}


@pytest.mark.parametrize(
    ("runtime", "version"),
    [("2.15.1", "2.15"), ("2.17.0", "2.15"), ("2.21.0", "2.21"), ("3.0", "2.21"), ("2.9", "2.15")],
)
def test_a_runtime_follows_the_newest_rules_that_are_not_newer(runtime: str, version: str) -> None:
    assert rule_set_of_runtime("tf-cpu-float16", runtime).version == version
    assert rule_set_of_runtime("tf-cpu-float16@2.15", runtime).version == "2.15"
