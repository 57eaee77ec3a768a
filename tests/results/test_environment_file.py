from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amp_tuner.amp.environment import family_variables, from_environment
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError
from amp_tuner.records import Point, Setting
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.variables import PREDICTED
from tests.results.examples import HOSTILE, point

SHELLS = [name for name in ("sh", "bash", "dash") if shutil.which(name)]
POINTS = {
    "BF16": point("tf-cpu-bfloat16", {"Mean": "allow", "Exp": "clear"}),
    "FP16": point("tf-cpu-float16", {"Sum": "infer"}),
    "FP16 on CUDA": point("tf-cuda-float16", {"Sum": "infer"}),
    "default AMP": point("tf-cpu-float16"),
    "FP32": point("float32"),
    "ITEX": point("itex-cpu-bfloat16", {"Mean": "infer"}),
    "hostile": point(
        study=HOSTILE,
        notices=(HOSTILE,),
        hardware={HOSTILE: HOSTILE},
        setting=Setting("float16", {HOSTILE: HOSTILE}, "default", onednn=False),
        environment={
            "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_ADD": (
                "A'; touch pwned; echo '\n$(touch pwned) \\"
            )
        },
    ),
}


def sourced(shell: str, file: Path, before: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment that a program has which is started after sourcing ``file``."""
    script = 'set -eu; . "$1"; exec env -0'
    environment = {"PATH": os.environ["PATH"], **before}
    ended = subprocess.run(
        [shell, "-c", script, "shell", str(file)],
        env=environment,
        cwd=folder,
        check=True,
        capture_output=True,
    )
    assert ended.stdout.endswith(b"\0")
    assert ended.stderr == b""
    items = ended.stdout.decode().rstrip("\0").split("\0")
    found = dict(item.split("=", 1) for item in items)
    return {name: value for name, value in found.items() if name not in ("PWD", "SHLVL", "_")}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("given_point", POINTS.values(), ids=POINTS)
def test_sourcing_leaves_exactly_the_points_variables(
    tmp_path: Path, shell: str, given_point: Point
) -> None:
    file = tmp_path / "best.env"
    file.write_text(environment_text(given_point, measured=True), encoding="utf-8")
    before = dict.fromkeys(family_variables(given_point.family), "left over")
    before |= {"TF_ENABLE_ONEDNN_OPTS": "left over", "OTHER": "untouched"}
    after = sourced(shell, file, before, tmp_path)
    assert after.pop("OTHER") == "untouched"
    assert after.pop("PATH") == os.environ["PATH"]
    assert after.items() >= given_point.environment.items()
    switches = {name: after[name] for name in after if name not in given_point.environment}
    assert switches == SWITCHES[given_point.setting.data_type, given_point.rules or "FP32"] | {
        "TF_ENABLE_ONEDNN_OPTS": str(int(bool(given_point.setting.onednn)))
    }
    assert [path.name for path in tmp_path.iterdir()] == ["best.env"]


SWITCHES: dict[tuple[str, str], dict[str, str]] = {
    ("float32", "FP32"): {},
    ("bfloat16", "tf-cpu-bfloat16@2.21"): {},
    ("float16", "tf-cuda-float16@2.21"): {},
    ("float16", "tf-cpu-float16@2.21"): {"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_EMULATE_FP16": "0"},
    ("bfloat16", "itex-cpu-bfloat16@2.15"): {
        "ITEX_AUTO_MIXED_PRECISION": "1",
        "ITEX_AUTO_MIXED_PRECISION_DATA_TYPE": "BFLOAT16",
    },
}


@pytest.mark.parametrize("name", ["BF16", "FP16", "FP16 on CUDA", "default AMP", "ITEX"])
def test_the_pass_reads_the_points_lists_from_what_was_sourced(tmp_path: Path, name: str) -> None:
    file = tmp_path / "best.env"
    file.write_text(environment_text(POINTS[name], measured=True), encoding="utf-8")
    legacy = {
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_WHITELIST_ADD": "Softmax",
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LEVEL": "TREAT_INFER_AS_DENY",
    }
    after = sourced("sh", file, legacy, tmp_path)
    lists, level = from_environment(rule_set(POINTS[name].rules), after)
    assert (lists, level) == (POINTS[name].lists, "default")


def test_what_was_not_measured_says_so_in_its_first_line() -> None:
    assert environment_text(POINTS["FP16"], measured=False).startswith(f"# {PREDICTED}\n")
    assert PREDICTED not in environment_text(POINTS["FP16"], measured=True)


def test_the_file_says_that_variables_alone_do_not_switch_the_pass_on() -> None:
    text = environment_text(POINTS["BF16"], measured=True)
    assert "do not switch the pass on" in text
    assert "'auto_mixed_precision_onednn_bfloat16': True" in text
    assert "best.apply()" in environment_text(POINTS["FP16"], measured=True)
    assert "needs no change" in environment_text(POINTS["ITEX"], measured=True)
    assert "must not switch" in environment_text(POINTS["FP32"], measured=True)


def test_bf16_needs_onednn_whatever_the_engine_was_measured_with() -> None:
    setting = replace(POINTS["BF16"].setting, onednn=False)
    text = environment_text(replace(POINTS["BF16"], setting=setting), measured=False)
    assert "export TF_ENABLE_ONEDNN_OPTS=1\n" in text


def test_a_name_that_is_no_variable_is_refused() -> None:
    with pytest.raises(ValueError, match="not names of variables"):
        environment_text(point(environment={"A; touch pwned": "1"}), measured=True)


#: What shells make something of, beside any other text that a variable can hold.
SHELL_TEXT = st.text(
    st.one_of(
        st.sampled_from("'\"`$(){}[]<>|&;#!*?~=%\\ \n\r\t\x1b-"),
        st.characters(codec="utf-8", exclude_characters="\0"),
    ),
    max_size=20,
) | st.sampled_from(["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", "\n. /etc/profile"])


@settings(max_examples=40)
@given(values=st.lists(SHELL_TEXT, min_size=1, max_size=12), comment=SHELL_TEXT)
def test_whatever_the_texts_hold_sourcing_runs_nothing_and_gives_them_exactly(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], comment: str
) -> None:
    folder = tmp_path_factory.mktemp("sourced")
    environment = {f"VARIABLE_{number}": value for number, value in enumerate(values)}
    sly = point(environment=environment, study=comment, notices=(comment,), hardware={comment: 1})
    file = folder / "best.env"
    file.write_text(environment_text(sly, measured=False), encoding="utf-8", newline="")
    for shell in SHELLS:
        after = sourced(shell, file, {}, folder)
        assert {name: after[name] for name in environment} == environment
    assert [path.name for path in folder.iterdir()] == ["best.env"]


def test_a_value_that_no_variable_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="a zero byte"):
        environment_text(point(environment={"A": "x\0y"}), measured=True)


def test_around_a_baked_model_that_xla_compiles_there_are_its_flags_and_no_lists() -> None:
    measured = replace(POINTS["BF16"], runtime="xla", setting=Setting("bfloat16", tf32=True))
    text = environment_text(measured, measured=False, baked=True)
    assert PREDICTED not in text
    assert [line for line in text.splitlines() if line.startswith("export")] == [
        "export XLA_FLAGS=--xla_allow_excess_precision=false"
    ]
    assert "jit_compile=True" in text
    assert "speed-up over TF32: " in text


def test_a_modelled_point_says_so_first_whatever_its_device_is_called() -> None:
    text = environment_text(point(runtime="roofline", modelled_for=HOSTILE), measured=False)
    first, *others = text.splitlines()
    assert first.startswith("# modelled for coding: utf-7 ")
    assert first.endswith(", not measured: no device has shown this speed-up")
    assert all(line.startswith(("# ", "unset ", "export ")) for line in others)
    assert any(line.startswith("# modelled speed-up over FP32: ") for line in others)
    assert not any("measured with" in line for line in others)


def test_what_moves_single_nodes_is_refused_and_told_what_holds_it() -> None:
    baked = replace(point(moves={"Mul": "allow", "node:tower/*": "none"}), runtime="engine")
    with pytest.raises(InputError, match=r"moves.node:tower/\*: .*allowed: --format savedmodel"):
        environment_text(baked, measured=False)
    # Around the baked model there are no lists, so there is nothing to refuse.
    around = environment_text(baked, measured=False, baked=True)
    assert not [line for line in around.splitlines() if line.startswith("export TF_AUTO")]
