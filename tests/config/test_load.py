"""A study file is loaded whole, or every problem is told with its place."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from amp_tuner.config.load import check_study, load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError

VALID: dict[str, Any] = {
    "name": "fashion-cnn",
    "model": {"path": "models/fashion_cnn", "signature": "serving_default"},
    "target": {
        "runtime": "engine",
        "device": "cpu",
        "data_types": ["bfloat16", "float16"],
        "rules": {"bfloat16": "tf-cpu-bfloat16", "float16": "tf-cpu-float16"},
        "profile": None,
        "python": None,
        "threads": {"intra_op": 2, "inter_op": 1},
    },
    "data": {
        "path": "data/fashion_test.npz",
        "inputs": {"x": "images"},
        "labels": "labels",
        "batch_size": 64,
        "holdout": 0.5,
    },
    "accuracy": {"metric": "top1", "goal": {"max_drop": 0.01, "kind": "relative"}},
    "search": {
        "trials": 200,
        "time_budget": "8h",
        "sampler": "tpe",
        "seed": 0,
        "op_types": "auto",
        "lists": ["allow", "infer", "clear", "deny"],
    },
    "measure": {
        "ci_half_width": 0.005,
        "max_seconds": 20,
        "min_block_ms": 100,
        "percentiles": [50, 90, 99],
    },
    "limits": {"trial_seconds": 300, "worker_memory": "8GiB", "disk": "5GiB"},
    "storage": None,
    "output": "runs/fashion-cnn",
}
HERE = Path("/studies/study.yaml")


def changed(**places: Any) -> dict[str, Any]:
    """VALID with dotted places (``target__device``) replaced; Ellipsis removes one."""
    study = copy.deepcopy(VALID)
    for place, value in places.items():
        *path, last = place.split("__")
        section = study
        for key in path:
            section = section[key]
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return study


def check(study: dict[Any, Any]) -> StudyConfig:
    return check_study(study, HERE, check_files=False)


def problems(study: dict[Any, Any]) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        check(study)
    found = {problem.where: problem.message for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems), "two problems for one place"
    return found


def test_the_file_of_the_documentation_is_valid() -> None:
    config = check(VALID)
    assert config.search.time_budget_s == 28_800
    assert config.limits.worker_memory_bytes == 8 << 30
    assert config.limits.disk_bytes == 5 << 30
    assert config.max_proposals == 4000
    assert config.measure.timing_batches == 16


def test_defaults_fill_a_short_file() -> None:
    config = check({"name": "a", "model": {"path": "m"}, "data": {"path": "d.npz"}})
    assert config.target.runtime == "engine"
    assert config.target.rules == {"bfloat16": "tf-cpu-bfloat16", "float16": "tf-cpu-float16"}
    assert config.target.threads.intra_op == len(os.sched_getaffinity(0))
    assert (config.data.batch_size, config.data.holdout) == (1, 0.5)
    assert (config.accuracy.metric, config.accuracy.goal) == ("agreement", "99%")
    assert config.search.trials == 200
    assert config.search.time_budget_s is None
    assert config.output == Path("/studies/runs/a")


def test_relative_paths_start_at_the_study_file(tmp_path: Path) -> None:
    config = check(changed(target__python="env/bin/python", data__path="/data/x.npz"))
    assert config.model.path == Path("/studies/models/fashion_cnn")
    assert config.data.path == Path("/data/x.npz")
    assert config.output == Path("/studies/runs/fashion-cnn")
    assert config.target.python == "/studies/env/bin/python"
    assert config.folder == Path("/studies")


def test_a_bare_interpreter_name_is_left_to_be_found_on_the_path() -> None:
    assert check(changed(target__python="python3.9")).target.python == "python3.9"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("$.nam", "x", "unknown key (did you mean name?); allowed: name, model, target, data"),
        ("$.target.devise", "cpu", "unknown key (did you mean device?); allowed: runtime, device"),
        ("$.name", 3, "found 3; allowed: text"),
        ("$.name", "a/b", "found 'a/b'; allowed: letters, digits"),
        ("$.model", None, "found nothing (null); allowed: a mapping"),
        ("$.model.path", ..., "this key is required"),
        ("$.model.path", "", "allowed: a path"),
        ("$.model.fetches", "Identity", "found 'Identity'; allowed: a list"),
        ("$.model.allow_unsafe", "yes", "found 'yes'; allowed: true or false"),
        ("$.target.device", "cpuu", "found 'cpuu'; allowed: cpu, gpu, xpu (did you mean cpu?)"),
        ("$.target.data_types", [], "found a list of 0; allowed: at least one item"),
        ("$.target.data_types", ["float16", "float16"], "each item once ('float16' comes twice)"),
        ("$.target.threads.intra_op", "2", "found '2'; allowed: a whole number"),
        ("$.target.threads.intra_op", 0, "found 0; allowed: 1 or more"),
        ("$.target.threads.intra_op", True, "found true; allowed: a whole number"),
        ("$.target.cores", "all", "found 'all'; allowed: cores such as 0-3 or [0, 1], or a list"),
        ("$.target.cores", "3-1", "found '3-1'; allowed: cores such as"),
        ("$.target.cores", [1, 0], "found a list of 2; allowed: cores such as"),
        ("$.target.cores", [0, "1-2"], "allowed: cores such as 0-3"),
        ("$.target.cores", [], "found a list of 0; allowed: cores such as"),
        ("$.target.cores", True, "found true; allowed: cores such as"),
        ("$.target.cores", ["0-1", "2"], "found a list of 2; allowed: sets of as many cores each"),
        ("$.data.batch_size", 64.0, "found 64.0; allowed: a whole number"),
        ("$.data.holdout", 1, "found 1; allowed: a number below 1"),
        ("$.data.holdout", -0.1, "found -0.1; allowed: 0 or more"),
        ("$.data.inputs.x", 3, "found 3; allowed: text"),
        ("$.data.inputs", {3: "x"}, "found the key 3; allowed: words as keys"),
        ("$.accuracy.metric", "topp1", "top<k>, or 'module:function' (did you mean top1?)"),
        ("$.accuracy.goal", "99", "allowed: '99%' or '99.9%'"),
        ("$.accuracy.goal", "101%", "above 0% and at most 100%"),
        ("$.accuracy.goal", {"max_drop": -1}, "max_drop -1 must be 0 or more"),
        ("$.accuracy.goal", {"max_drop": 1.0}, "must be 0 or more and below 1"),
        ("$.accuracy.goal", {"max_drop": 0.1, "kind": "rel"}, "neither relative nor absolute"),
        ("$.accuracy.goal", {"min": float("nan")}, "min nan is not a finite number"),
        ("$.accuracy.goal", {"min": True}, "min True is not a finite number"),
        ("$.accuracy.goal", {}, "keys (none)"),
        ("$.search.trials", 0, "found 0; allowed: 1 or more"),
        ("$.search.trials", "20", "found '20'; allowed: a whole number"),
        ("$.search.time_budget", "-8h", "found '-8h'; allowed: numbers with units d, h, m, s"),
        ("$.search.time_budget", "0s", "allowed: more than zero"),
        ("$.search.time_budget", 8, "found 8; allowed: numbers with units"),
        ("$.search.sampler", "tp", "allowed: amp, tpe, nsga2, gp, random (did you mean tpe?)"),
        ("$.search.stop", "soon", "allowed: auto, never"),
        ("$.search.granularity", "nodes", "allowed: op_type, node (did you mean node?)"),
        ("$.search.op_types", "all", "found 'all'; allowed: auto, or a list of op types"),
        ("$.search.op_types", [3], "allowed: auto, or a list of op types, such as AvgPool"),
        ("$.measure.max_seconds", -20, "found -20; allowed: a number above 0"),
        ("$.measure.ci_half_width", float("nan"), "found nan; allowed: a finite number"),
        ("$.measure.timing_batches", 0, "found 0; allowed: 1 or more"),
        ("$.limits.trial_seconds", 0, "found 0; allowed: a number above 0"),
        ("$.limits.worker_memory", "8Gb", "found '8Gb'; allowed: a number and a unit"),
        ("$.limits.worker_memory", 8, "found 8; allowed: a number and a unit"),
        ("$.limits.max_proposals", 0, "found 0; allowed: 1 or more"),
        ("$.output", 3, "found 3; allowed: a path"),
    ],
)
def test_a_wrong_value_is_one_problem_with_place_finding_and_remedy(
    place: str, value: Any, message: str
) -> None:
    found = problems(changed(**{place[2:].replace(".", "__"): value}))
    assert list(found) == [place]
    assert message in found[place]


@pytest.mark.parametrize(
    ("places", "where", "message"),
    [
        (
            {"target__runtime": "roofline"},
            "$.target.profile",
            "runtime roofline needs it: a device profile",
        ),
        (
            {"target__device": "xpu"},
            "$.target.device",
            "runtime engine on xpu is planned but not available in this version; allowed: cpu, gpu",
        ),
        ({"target__device": "tpu"}, "$.target.device", "tpu is planned but not available"),
        (
            {"target__data_types": ["float16"]},
            "$.target.rules.bfloat16",
            "bfloat16 is not in $.target.data_types; allowed: float16",
        ),
        (
            {"target__rules": {"bfloat16": "tf-cpu-bfloat61"}},
            "$.target.rules.bfloat16",
            "did you mean tf-cpu-bfloat16?",
        ),
        (
            {"target__rules": {"bfloat16": "tf-cpu-float16"}},
            "$.target.rules.bfloat16",
            "rule set 'tf-cpu-float16' is for float16, not for bfloat16",
        ),
        (
            {
                "target__runtime": "tensorflow",
                "target__rules": {"bfloat16": "tf-cpu-bfloat16@2.15"},
            },
            "$.target.rules",
            "runtime tensorflow has rules of its own",
        ),
        (
            {"target__runtime": "tensorflow", "target__device": "gpu", "target__rules": {}},
            "$.target.data_types[0]",
            "tensorflow on gpu has no bfloat16 pass; allowed: float16",
        ),
        (
            {
                "target__runtime": "tensorflow",
                "target__rules": {},
                "search__granularity": "node",
            },
            "$.search.granularity",
            "node needs a runtime that rewrites the graph itself (engine, xla, roofline)",
        ),
        ({"target__profile": "x.yaml"}, "$.target.profile", "only runtime roofline"),
        ({"target__baseline": "fp32"}, "$.target.baseline", "only runtime xla has a choice"),
        (
            {"target__runtime": "xla", "target__baseline": "tf32"},
            "$.target.baseline",
            "cpu has no tf32; allowed: fp32",
        ),
        ({"data__path": None}, "$.data", "found neither of path and function"),
        ({"data__function": "m:f"}, "$.data", "found both of path and function"),
        ({"data__function": "m.f", "data__path": None}, "$.data.function", "'module:function'"),
        ({"data__labels": None}, "$.data.labels", "metric top1 needs labels"),
        (
            {"accuracy__metric": "agreement", "accuracy__also": ["auc"], "data__labels": None},
            "$.data.labels",
            "metric auc needs labels",
        ),
        ({"accuracy__also": ["top1"]}, "$.accuracy.also[0]", "is $.accuracy.metric already"),
        ({"accuracy__also": ["m:f"]}, "$.accuracy.also[0]", "allowed: built-in metrics"),
        ({"accuracy__direction": "maximize"}, "$.accuracy.direction", "top1 has its own"),
        (
            {"accuracy__metric": "m:f"},
            "$.accuracy.direction",
            "a metric of your own (m:f) needs it; allowed: maximize, minimize",
        ),
        (
            {"accuracy__metric": "rmse", "accuracy__goal": {"min": 1}},
            "$.accuracy.goal",
            "{min} is not for rmse, where lower is better; allowed: {max: x}",
        ),
        (
            {"accuracy__goal": {"max": 1}},
            "$.accuracy.goal",
            "{max} is not for top1, where higher is better; allowed: {min: x}",
        ),
        (
            {"accuracy__metric": "sqnr", "accuracy__goal": "99%"},
            "$.accuracy.goal",
            "allowed: {min: dB}, such as {min: 40}",
        ),
        (
            {"accuracy__metric": "auc", "accuracy__threshold": 0.5},
            "$.accuracy.threshold",
            "auc decides nothing by a threshold",
        ),
    ],
)
def test_what_cannot_be_together_is_a_problem(
    places: dict[str, Any], where: str, message: str
) -> None:
    found = problems(changed(**places))
    assert list(found) == [where]
    assert message in found[where]


def test_a_wrong_item_is_told_by_its_position() -> None:
    assert problems(changed(search__lists=["deny", "alow"])) == {
        "$.search.lists[1]": "found 'alow'; allowed: allow, infer, clear, deny, none (did you "
        "mean allow?)"
    }


def test_fp16_for_a_runtime_that_has_none_is_named() -> None:
    found = problems(changed(target__runtime="itex", target__rules={}))
    assert found == {
        "$.target.data_types[1]": "itex on cpu has no float16 pass; allowed: bfloat16",
    }


def test_the_default_data_types_are_those_that_the_runtime_has() -> None:
    study = changed(target__runtime="itex", target__rules={})
    del study["target"]["data_types"]
    target = check(study).target
    assert target.data_types == ("bfloat16",)
    assert target.rules == {"bfloat16": "itex-cpu-bfloat16"}


@pytest.mark.parametrize(
    ("cores", "sets"),
    [
        ("0-1", ("0-1",)),
        ("0,1", ("0-1",)),
        ([0, 1], ("0-1",)),
        ([3], ("3",)),
        (["0-1", "4,5"], ("0-1", "4-5")),
        (None, None),
    ],
)
def test_cores_have_one_spelling(cores: Any, sets: tuple[str, ...] | None) -> None:
    assert check(changed(target__cores=cores, target__threads={})).target.cores == sets


def test_a_worker_has_the_first_set_of_cores_and_as_many_threads() -> None:
    config = check(changed(target__cores=["0-2", "4-6"], target__threads={"inter_op": 2}))
    assert config.worker_cores == (0, 1, 2)
    assert config.target.threads.model_dump() == {"intra_op": 3, "inter_op": 2}
    assert check(VALID).worker_cores is None


def test_more_threads_than_cores_are_refused() -> None:
    found = problems(changed(target__cores="0", target__threads={"intra_op": 2}))
    assert found == {
        "$.target.threads.intra_op": "found 2 for 1 of $.target.cores; allowed: at most as many"
    }


def test_cores_that_this_machine_lacks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    plain = changed(target__cores="0,4000-4001", target__threads={})
    path.write_text(yaml.safe_dump(plain), "utf-8")
    with pytest.raises(InputError) as caught:
        load_study(path)
    found = {problem.where: problem.message for problem in caught.value.problems}
    assert "4000-4001, which cannot be used here; allowed: " in found["$.target.cores"]


def test_two_workers_never_share_cores(tmp_path: Path) -> None:
    core = str(max(os.sched_getaffinity(0)))
    path = tmp_path / "study.yaml"
    plain = changed(target__cores=[core, core], target__threads={})
    path.write_text(yaml.safe_dump(plain), "utf-8")
    with pytest.raises(InputError) as caught:
        load_study(path)
    found = {problem.where: problem.message for problem in caught.value.problems}
    assert f"cores {core} and {core} overlap, so two workers" in found["$.target.cores"]


def test_itex_has_rules_of_its_own_and_no_gpu_yet() -> None:
    rules = {"bfloat16": "itex-cpu-bfloat16"}
    found = problems(
        changed(
            target__runtime="itex",
            target__device="gpu",
            target__data_types=["bfloat16"],
            target__rules=rules,
        )
    )
    assert list(found) == ["$.target.device", "$.target.rules"]
    assert "itex on gpu is planned but not available" in found["$.target.device"]


def test_every_problem_is_told_at_once() -> None:
    study = changed(name=..., target__device="cpuu", search__trials=0, accuracy__goal={"max": 1})
    assert list(problems(study)) == [
        "$.name",
        "$.target.device",
        "$.search.trials",
        "$.accuracy.goal",
    ]


def test_a_storage_is_refused_without_repeating_its_password() -> None:
    found = problems(changed(storage="postgresql://me:secret@host/db"))
    assert list(found) == ["$.storage"]
    assert "secret" not in found["$.storage"]
    assert "allowed: env:NAME" in found["$.storage"]


def test_a_metric_of_ones_own_has_a_direction() -> None:
    config = check(changed(accuracy__metric="mine:f", accuracy__direction="minimize"))
    assert config.accuracy.direction == "minimize"


@pytest.mark.parametrize("runtime", ["engine", "tensorflow", "itex", "xla"])
def test_the_plain_form_loads_again_as_the_same_study(tmp_path: Path, runtime: str) -> None:
    config = check(
        changed(target__runtime=runtime, target__data_types=["bfloat16"], target__rules={})
    )
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(config.to_plain()), "utf-8")
    again = load_study(path, check_files=False)
    assert again.to_plain() == config.to_plain()


def test_identity_holds_what_must_not_change_and_nothing_else() -> None:
    same = changed(
        search__trials=5,
        search__time_budget=None,
        search__sampler="random",
        search__seed=1,
        limits__disk="1GiB",
        model__path="elsewhere",
        output="b",
    )
    assert check(same).identity() == check(VALID).identity()
    for places in (
        {"accuracy__goal": "99%"},
        {"target__data_types": ["bfloat16"], "target__rules": {}},
        {"target__threads": {"intra_op": 1, "inter_op": 1}},
        {"search__op_types": ["Conv2D"]},
        {"data__batch_size": 32},
        {"target__cores": "0-1"},
    ):
        assert check(changed(**places)).identity() != check(VALID).identity()


def test_overrides_are_checked_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(VALID), "utf-8")
    overrides = {"search.trials": 3, "search.time_budget": "1m", "output": "/elsewhere"}
    config = load_study(path, overrides=overrides, check_files=False)
    assert (config.search.trials, config.search.time_budget_s) == (3, 60)
    assert config.output == Path("/elsewhere")
    with pytest.raises(InputError, match=r"\$\.search\.trials: found -1; allowed: 1 or more"):
        load_study(path, overrides={"search.trials": -1}, check_files=False)


def test_missing_model_and_data_are_named_with_their_full_paths(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(VALID), "utf-8")
    with pytest.raises(InputError) as caught:
        load_study(path)
    model, data = (str(problem) for problem in caught.value.problems)
    assert model.startswith(f"$.model.path: no such file: {tmp_path}/models/fashion_cnn; allowed:")
    assert (
        data
        == f"$.data.path: no such file: {tmp_path}/data/fashion_test.npz; allowed: an .npz file"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "found nothing (null)"),
        (b"- 1", "found a list of 1"),
        (b"\xff\xfe", "not UTF-8 text (byte 0)"),
    ],
)
def test_a_file_that_is_no_study_is_one_problem(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_study(path)
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in items:
        found.append((*place, key))
        if isinstance(item, (dict, list)):
            found += _places(item, (*place, key))
    return found


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["gpu", "amp", "xla", "99%", "rmse", "m:f", "8h", "1GiB", 10**400, -(10**400)]
    )
)
_values = (
    _scalars | st.lists(_scalars, max_size=3) | st.dictionaries(_scalars, _scalars, max_size=3)
)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(_places(VALID)), st.sampled_from(["set", "drop", "add"]), _values
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_mutation_of_a_valid_study_loads_or_is_an_input_error(
    mutations: list[tuple[tuple[Any, ...], str, Any]],
) -> None:
    study = copy.deepcopy(VALID)
    for (*path, last), action, value in mutations:
        section: Any = study
        for key in path:
            # An earlier mutation may have taken the section away.
            section = section.get(key) if isinstance(section, dict) else None
        if isinstance(section, dict):
            if action == "drop":
                section.pop(last, None)
            else:
                section["added" if action == "add" else last] = value
    try:
        config = check(study)
    except InputError as error:
        places = [problem.where for problem in error.problems]
        assert places and all(place.startswith("$") for place in places)  # noqa: PT018
    else:
        assert yaml.safe_dump(config.to_plain())
