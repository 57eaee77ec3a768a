"""Device profiles: those that are shipped, and what is wrong with others."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.config.yaml12 import read_yaml
from amp_tuner.errors import InputError
from amp_tuner.roofline.device import load_profile, parse_profile

DEVICES = Path(__file__).parents[2] / "configs" / "devices"
PROFILES = sorted(DEVICES.glob("*.yaml"))


def figures(value: Any) -> list[dict[str, Any]]:
    """Every figure in a profile."""
    if not isinstance(value, dict):
        return []
    if "value" in value:
        return [value]
    return [figure for item in value.values() for figure in figures(item)]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_shipped_profile_loads_and_every_figure_has_a_source(path: Path) -> None:
    profile = load_profile(path)
    raw = read_yaml(path)
    assert len(figures(raw)) >= 15
    for figure in figures(raw):
        assert len(figure["source"]) > 10
        # A source is named where it stands: lines move.
        assert not re.match(r"the same(?! as [a-z0-9]+$)", figure["source"])
        assert "http" not in figure["source"]
    assert profile.data_types[0] == "float32"
    assert len(profile.data_types) > 1


def test_there_is_a_profile_of_each_kind_of_device() -> None:
    names = {path.stem for path in PROFILES}
    assert names >= {"xeon-amx", "xeon-avx512-bf16", "intel-max-1550", "nvidia-h200"}
    assert names >= {"nvidia-t4", "nvidia-v100", "nvidia-a100", "amd-epyc-avx2"}


def test_every_problem_of_a_profile_is_told_at_once() -> None:
    raw = copy.deepcopy(read_yaml(DEVICES / "nvidia-t4.yaml"))
    raw["format"] = 2
    raw["devise"] = raw.pop("device")
    raw["fusion"] = "xla"
    raw["launch_s"] = 1e-6
    raw["cache_bytes"]["value"] = -1
    raw["tile"]["source"] = " "
    raw["fused"] = {"value": "float32", "source": " "}
    raw["memory_efficiency"]["value"] = 1.5
    raw["rates"]["matrix"]["float8"] = {"value": 1.0, "source": "a dream"}
    raw["rates"]["matmull"] = raw["rates"]["vector"]
    del raw["rates"]["vector"]
    with pytest.raises(InputError) as caught:
        parse_profile(raw, "t4.yaml")
    told = [str(problem) for problem in caught.value.problems]
    expected = [
        "format: found 2; this amp-tune reads format 1",
        "devise: unknown key (did you mean device?); allowed: ",
        "device: found nothing (null); allowed: cpu, gpu, xpu",
        "fusion: found 'xla'; allowed: tensorflow-cpu, ",
        "cache_bytes.value: found -1; allowed: a number above 0",
        "launch_s: found 1e-06; allowed: {value: a number, source: where it is from}",
        "tile.source: found ' '; allowed: a text that says where it is from",
        "memory_efficiency.value: found 1.5; allowed: a share, at most 1",
        "fused.value: found 'float32'; allowed: a list of float32, bfloat16, float16",
        "fused.source: found ' '; allowed: a text that says where it is from",
        "rates.matrix: found the key 'float8'; allowed: float32, bfloat16, float16",
        "rates.vector: found nothing (null); allowed: a mapping of data types, float32 among",
        "rates.matmull: unknown kind of work (did you mean matmul?); allowed: matrix, ",
    ]
    assert len(told) == len(expected)
    for line, beginning in zip(told, expected):
        assert line.startswith(f"t4.yaml: {beginning}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda raw: raw["cache_bytes_per_s"].update(value=1.0), "cache_bytes_per_s: is below"),
        (lambda raw: raw["winograd"].update(value=0.5), "winograd: is below 1"),
        (
            lambda raw: raw.update(fused={"value": ["bfloat16"], "source": "a guess"}),
            "fused.value: has bfloat16; allowed: those of rates.matrix, float32, float16",
        ),
        (
            lambda raw: raw["rates"].update(gathered=raw["rates"]["vector"] | {"bfloat16": None}),
            "rates.gathered.bfloat16: found nothing",
        ),
        (lambda raw: raw.update(name="T4\n"), r"name: found 'T4.n'; allowed: a line of text"),
        (lambda raw: raw["rates"]["vector"].pop("float16"), "rates.vector: has float32; allowed"),
    ],
)
def test_figures_that_contradict_each_other_are_refused(change: Any, problem: str) -> None:
    raw = copy.deepcopy(read_yaml(DEVICES / "nvidia-t4.yaml"))
    change(raw)
    with pytest.raises(InputError, match=problem):
        parse_profile(raw, "t4.yaml")


@pytest.mark.parametrize("raw", [None, [], "profile", 7])
def test_what_is_no_mapping_is_no_profile(raw: Any) -> None:
    with pytest.raises(InputError, match="allowed: a device profile, a mapping"):
        parse_profile(raw, "some.yaml")
