"""What the report says, read from its HTML and from what its script is given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.errors import InputError
from amp_tuner.files import write_json
from amp_tuner.report.study_folder import StudyFolder, read_study
from amp_tuner.report.study_page import study_page
from amp_tuner.report.study_rows import plotted
from tests.report import studies
from tests.report.html_text import Page
from tests.report.test_graph_page import HOSTILE

QUOTES = "\"quoted\" & 'single'\nsecond line"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return read_study(studies.write_folder(tmp_path_factory.mktemp("runs") / "flights"))


@pytest.fixture(scope="module")
def page(study: StudyFolder) -> Page:
    return Page(study_page(study))


def hostile_folder(folder: Path) -> Path:
    """A study of which everything that a name can be is one that would break a page."""
    graph = studies.chain_graph()
    nodes = tuple(
        node._replace(name=f"{HOSTILE}{QUOTES}") if node.op == "Exp" else node
        for node in graph.nodes
    )
    root = studies.write_folder(
        folder / "hostile",
        graph=replace(graph, nodes=nodes),
        config={"name": HOSTILE, "data": {"path": HOSTILE + QUOTES}},
        moved={HOSTILE: "allow", QUOTES: "deny"},
        hardware={"cpu": HOSTILE, QUOTES: HOSTILE},
        software={"tensorflow": HOSTILE},
        notices=(HOSTILE + QUOTES,),
    )
    for path in (root / "trials").glob("*.json"):
        held = json.loads(path.read_text())
        if held["trial"]["cause"]:
            held["trial"]["cause"] = HOSTILE + QUOTES
            write_json(path, held)
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(study_page(read_study(hostile_folder(tmp_path_factory.mktemp("runs")))))


def test_the_first_sentence_is_the_conclusion(page: Page, study: StudyFolder) -> None:
    best = study.points[study.front.best or -1]
    assert best.speedup is not None
    said = page.texts("conclusion")
    assert said.startswith(f"Best is trial {best.number}: float16 with ")
    assert f"{best.speedup.value:.3f} times" in said


def test_every_trial_is_drawn_or_listed_as_one_without_a_speed_up(
    page: Page, study: StudyFolder
) -> None:
    drawn = {row["n"] for row in page.data["trials"]}
    without = {row["n"] for row in page.data["unplaced"]}
    assert drawn | without == set(study.trials)
    assert not drawn & without
    assert {10, 20} <= without


def test_rows_have_intervals_on_both_axes_and_what_they_are(page: Page, study: StudyFolder) -> None:
    rows = {row["n"]: row for row in page.data["trials"]}
    best = rows[study.front.best]
    point = study.points[study.front.best or -1]
    assert point.speedup is not None
    assert (best["x0"], best["x"], best["x1"]) == (
        point.speedup.low,
        point.speedup.value,
        point.speedup.high,
    )
    # The goal is a share, so accuracy is drawn as percent of loss.
    assert best["y"] == pytest.approx(100 * point.accuracy.drop.value)
    assert best["kind"] == "best"
    assert rows[0]["kind"] == "FP32"
    assert rows[1]["kind"] == "default AMP"
    kinds = {row["kind"] for row in rows.values()}
    assert {"cached", "misses"} <= kinds


def test_a_speed_that_is_hardly_known_does_not_set_the_scale(tmp_path: Path) -> None:
    root = studies.write_folder(tmp_path / "run", trials=6)
    study = read_study(root)
    number = study.front.fastest
    path = root / "confirmed" / f"{number:04d}.json"
    held = json.loads(path.read_text())
    held["measurement"]["timing"]["speedup"] |= {"low": 1e-9, "high": 1e24}
    write_json(path, held)
    rows = plotted(read_study(root))
    speeds = [row["x"] for row in rows]
    assert max(row["x1"] for row in rows) == 2 * max(speeds)
    assert min(row["x0"] for row in rows) == min(speeds) / 2
    assert next(row["speed-up"] for row in rows if row["n"] == number).endswith("1e+24]")


def test_a_card_has_moves_variables_and_figures_of_both_measurements(
    page: Page, study: StudyFolder
) -> None:
    cards = {one["n"]: one for one in page.data["cards"]}
    best = cards[study.front.best]
    assert {op for op, _ in best["moves"]} == set(study.trials[best["n"]].setting.moves)
    assert "export TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_ADD=" in best["variables"]
    assert best["variables"].startswith("# predicted, not measured")
    assert best["searched"][0].endswith("]")
    assert best["confirmed"][2] == "meets the goal"
    cached = next(one for one in cards.values() if "cached_from" in one)
    assert "variables" not in cached
    assert cards[10]["cause"] == "timeout: the trial took more than 60 s" or cards[10]["cause"]


def test_effects_are_those_that_the_figures_were_made_of(page: Page) -> None:
    rows = {row["move"]: row for row in page.data["effects"]}
    for op_type, truth in studies.SPEED.items():
        row = rows.get(f"{op_type} to allow")
        if row is not None:
            assert row["x0"] - 0.01 <= truth <= row["x1"] + 0.01
    assert rows


def test_lists_and_colours_of_each_point_are_there(page: Page, study: StudyFolder) -> None:
    best = study.front.best
    layers, graph = page.data["layers"][str(best)], page.data["graphs"]["float16"]
    assert layers["data_type"] == "float16"
    assert len(layers["colours"]) == len(graph["names"]) == len(graph["ops"])
    assert layers["colours"].count("h") == study.points[best or -1].effective.nodes_16bit
    assert len(layers["casts"]) == study.points[best or -1].effective.casts
    moved = set(study.points[best or -1].setting.moves)
    assert moved <= set(re.findall(r"\w+", page.text))


def test_flips_block_times_failures_and_commands_are_there(page: Page) -> None:
    assert "Flips by class" in page.text
    assert "7 300 0 2 +2" in page.text
    assert "SIGSEGV" in page.text
    assert "amp-tune verify" in page.text
    assert "Imaginary 9000" in page.text
    (first,) = {len(column) for column in page.data["blocks"]["0"].values()}
    assert first == 48


def test_a_percentile_that_only_one_side_has_is_left_out(tmp_path: Path) -> None:
    known = {"baseline": {"p50": 12.5}, "candidate": {"p50": 9.5, "p99": 10.25}}
    page = study_page(read_study(studies.write_folder(tmp_path / "run", latency_ms=known)))
    assert "12.5, 9.5" in page
    assert "10.25" not in page


def test_the_page_loads_nothing_and_runs_only_its_own_scripts(page: Page) -> None:
    policy = page.policy()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert page.allowed_scripts() == page.script_digests()
    outside = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href") and not (value or "").startswith("#")
    ]
    assert outside == []
    assert page.source.count("window.vegaEmbed=") == 1


def test_hostile_names_stay_text(page: Page, hostile: Page) -> None:
    assert HOSTILE in hostile.text
    assert not {"img", "iframe"} & {tag for tag, _ in hostile.tags}
    assert len([tag for tag, _ in hostile.tags if tag == "script"]) == 3
    handlers = [key for _, attributes in hostile.tags for key in attributes if key.startswith("on")]
    assert handlers == []
    assert "<script>alert(1)" not in hostile.source
    moves = {op for one in hostile.data["cards"] for op, _ in one["moves"]}
    assert {HOSTILE, QUOTES} <= moves
    assert f"{HOSTILE}{QUOTES}" in hostile.data["graphs"]["float16"]["names"]


def broken(root: Path, file: str, change: Any) -> Iterator[str]:
    path = root / file
    held = json.loads(path.read_text())
    change(held)
    write_json(path, held)
    with pytest.raises(InputError) as raised:
        read_study(root)
    yield from (str(problem) for problem in raised.value.problems)


def list_of_no_name(held: Any) -> None:
    held["trial"]["setting"]["moves"] = {"Exp": "nowhere"}


def no_speed(held: Any) -> None:
    held["trial"]["measurement"]["timing"]["speedup"]["low"] = -1.0


def node_that_is_not(held: Any) -> None:
    held["graph"]["vertices"][0][0] = 10**6


def other_rules(held: Any) -> None:
    held["graph"]["rules"] = "tf-cpu-float8"


def no_goal(held: Any) -> None:
    held["config"]["accuracy"]["goal"] = "much"


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("trials/0003.json", list_of_no_name, "no such lists, level or speed-up"),
        ("trials/0002.json", no_speed, "no such lists, level or speed-up"),
        ("graphs/float16.json", node_that_is_not, "names nodes that it does not have"),
        ("graphs/float16.json", other_rules, "no rule set 'tf-cpu-float8'"),
        ("study.json", no_goal, "accuracy"),
    ],
)
def test_a_broken_folder_is_one_message_with_its_file(
    tmp_path: Path, file: str, change: Any, told: str
) -> None:
    root = studies.write_folder(tmp_path / "run", trials=6)
    problems = list(broken(root, file, change))
    assert told in problems[0]


def test_a_folder_from_before_graphs_were_kept_says_so(tmp_path: Path) -> None:
    root = studies.write_folder(tmp_path / "run", trials=6)
    (root / "graphs" / "float16.json").unlink()
    found = Page(study_page(read_study(root)))
    assert "does not hold the graph" in found.text
    assert "nothing is known of single moves" in found.text
