from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.config.yaml12 import load_yaml
from amp_tuner.errors import InputError
from amp_tuner.judge.front import Entry, Front
from amp_tuner.records import EffectiveGraph, Interval, Origin, Point
from amp_tuner.results.points import (
    Lists,
    read_front,
    read_lists,
    read_point,
    write_pareto,
    write_point,
)
from tests.results.examples import HOSTILE, point

POINTS = {
    "measured": point(moves={"AvgPool": "allow", "Sum": "clear"}),
    "FP32": point("float32"),
    "itex": point("itex-cpu-bfloat16", {"Mean": "infer"}),
    "never timed": point(speedup=None, search_speedup=None),
    "hostile names": point(study=HOSTILE, notices=(HOSTILE, "")),
    "single nodes": point(moves={"Mul": "allow", "node:a/mul_3": "none", "node:b/*": "deny"}),
    "without idle moves": point(minimised_from=Origin(7, {"Sum": "allow"}, "12e45")),
    "minimal": point(
        minimised_from=Origin(3, {"Sum": "allow"}, "a1b2", Interval(1.0, 0.995, 1.005), 0.4),
        runs={"baseline": 300, "candidate": 310},
        throughput={"baseline": 1000.0, "candidate": 1310.5},
        stop_reason="narrow",
        processes=(1.3, 1.32, 1.31),
    ),
}


@pytest.mark.parametrize("given_point", POINTS.values(), ids=POINTS)
def test_a_point_is_read_back_as_it_was(tmp_path: Path, given_point: Point) -> None:
    write_point(tmp_path / "007.yaml", given_point)
    assert read_point(tmp_path / "007.yaml") == given_point


@pytest.mark.parametrize(
    "text", ["12e4567", "1e3", "0o17", "1_000", "1:30", "yes", "null", "~", "", ".inf", "0x1F", "-"]
)
def test_texts_that_look_like_numbers_stay_texts(tmp_path: Path, text: str) -> None:
    strange = point(study=text, effective=EffectiveGraph(text, 1, 2), software={"version": text})
    write_point(tmp_path / "p.yaml", strange)
    assert read_point(tmp_path / "p.yaml") == strange
    with (tmp_path / "p.yaml").open(encoding="utf-8") as file:
        assert yaml.safe_load(file)["study"] == text


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_any_number_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, text: str, number: float
) -> None:
    path = tmp_path_factory.mktemp("points") / "p.yaml"
    strange = point(study=text, search_speedup=number, hardware={"fact": number, "text": text})
    write_point(path, strange)
    assert read_point(path) == strange


def test_a_points_file_has_the_promised_keys(tmp_path: Path) -> None:
    write_point(tmp_path / "p.yaml", POINTS["measured"])
    content = load_yaml((tmp_path / "p.yaml").read_text(encoding="utf-8"), "p")
    assert content["format"] == 1
    assert content["moves"] == {"AvgPool": "allow", "Sum": "clear"}
    assert (
        content["environment"]["TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_ADD"] == "AvgPool"
    )
    assert content["speedup"] == {
        "value": 1.31,
        "low": 1.3,
        "high": 1.32,
        "search_time": 1.35,
        "processes": [],
    }
    assert content["accuracy"]["metric"] == "agreement"
    assert content["accuracy"]["drop"] == 0.0009
    assert content["accuracy"]["search_time"] == 0.9993
    assert "AvgPool" in content["lists"]["allow"]


def test_a_point_of_before_these_keys_is_read(tmp_path: Path) -> None:
    graph = EffectiveGraph("a1b2", 31, 4)
    write_point(tmp_path / "p.yaml", replace(POINTS["minimal"], effective=graph))
    content = load_yaml((tmp_path / "p.yaml").read_text(encoding="utf-8"), "p")
    for key in ("minimised_from", "runs", "throughput", "stop_reason", "tf32"):
        del content[key]
    del content["speedup"]["processes"]
    (tmp_path / "older.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read_point(tmp_path / "older.yaml") == point(effective=graph)


def test_lists_are_taken_from_a_points_file(tmp_path: Path) -> None:
    write_point(tmp_path / "p.yaml", POINTS["measured"])
    expected = Lists({"AvgPool": "allow", "Sum": "clear"}, "default", "float16")
    assert read_lists(tmp_path / "p.yaml") == expected


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lists.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_lists_are_taken_from_a_file_of_moves_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "moves: {Sum: deny, AvgPool: allow}\n")
    moves, level, data_type = read_lists(path)
    assert list(moves.items()) == [("AvgPool", "allow"), ("Sum", "deny")]
    assert (level, data_type) == ("default", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("moves: {Sum: alow}", r"found 'alow' \(did you mean allow\?\); allowed: allow, infer"),
        ("moves: [Sum]", "expected a mapping of op types to lists"),
        ("level: default", "expected a mapping of op types"),
        ("moves: {}\nlevel: high", "level: found 'high'; allowed: default"),
        ("moves: {}\ndata_type: fp16", "data_type: found 'fp16'; allowed: float32"),
        ("moves: {}\ndata_type: ''", "data_type: found ''"),
        ("move: {Sum: deny}", r"unknown key 'move' \(did you mean moves\?\)"),
        ("moves: {}\nformat: 2", "format 2 is not known; this amp-tune reads format 1"),
        ("moves: {}\nformat: true", "format True is not known"),
        ("- Sum", "expected a mapping, found list"),
        ("moves: {Sum: deny, Sum: allow}", "Sum"),
        ("moves: {", "not valid YAML"),
    ],
)
def test_wrong_lists_are_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_lists(write(tmp_path, text))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "moves: {Sum: a, Mul: b}\nlevel: high\n")
    with pytest.raises(InputError) as error:
        read_lists(path)
    assert len(error.value.problems) == 3


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_lists(tmp_path / "none.yaml")


def test_lists_alone_are_not_a_point(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a whole point: KeyError: 'speedup'"):
        read_point(write(tmp_path, "moves: {}\ndata_type: float16\n"))


def front(*numbers: int, **changes: Any) -> Front:
    entries = tuple(Entry(number, True, number == 0, ()) for number in numbers)
    return replace(Front(entries, numbers[0], numbers[0], numbers[0], numbers[-1]), **changes)


def test_a_front_is_read_back_as_it_was(tmp_path: Path) -> None:
    written = front(7, 0, best=None)
    points = {number: point(number=number) for number in (7, 0)}
    write_pareto(tmp_path, "flights", written, points)
    assert read_front(tmp_path / "front.yaml") == written
    assert read_point(tmp_path / "007.yaml") == points[7]


def test_points_that_left_the_front_leave_the_folder(tmp_path: Path) -> None:
    points = {number: point(number=number) for number in (0, 7, 1234)}
    write_pareto(tmp_path, "flights", front(7, 1234, 0), points)
    assert (tmp_path / "1234.yaml").exists()
    write_pareto(tmp_path, "flights", front(7, 0), points)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000.yaml",
        "007.yaml",
        "front.yaml",
    ]


def test_a_newer_front_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "format: 2\n")
    with pytest.raises(InputError, match=r"lists.yaml: format 2 is not known"):
        read_front(path)
