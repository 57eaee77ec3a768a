"""Settings given as the variables of a pass: ``--lists FILE.env``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command, Files

PREFIX = "export TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"


def test_variables_are_lists_and_their_traps_are_told(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    path = tmp_path / "mine.env"
    text = f"{PREFIX}ALLOWLIST_ADD='Mul, Sum'\n{PREFIX}INFERLIST_REMOVE=Mul,Sogmoid\n"
    path.write_text(text)
    ended = quick("inspect", small.model, "--lists", path, "--json", "-")
    assert ended.code == 0, ended.err
    lists = {one["op"]: one["list"] for one in json.loads(ended.out)["op_types"]}
    assert (lists["Mul"], lists["Sum"]) == ("allow", "infer")
    assert "' Sum' matches nothing" in ended.err
    assert "no list or graph has 'Sogmoid' (did you mean Sigmoid?)" in ended.err


def test_variables_that_the_pass_rejects_are_an_error(
    amp_tune: Command, small: Files, tmp_path: Path
) -> None:
    path = tmp_path / "mine.env"
    path.write_text(f"{PREFIX}ALLOWLIST_ADD=Mul\n")
    ended = amp_tune("inspect", small.model, "--lists", path)
    assert ended.code == 2
    assert "op types in two or more lists: 'Mul'" in ended.err
