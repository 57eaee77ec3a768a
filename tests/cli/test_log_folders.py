"""Log folders of the passes: written by ``rewrite``, read by ``inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command, Files


def inspected(quick: Command, folder: Path, *options: Any) -> tuple[dict[str, Any], str]:
    ended = quick("inspect", folder, "--json", "-", *options)
    assert ended.code == 0, ended.err
    return json.loads(ended.out), ended.err


def test_what_rewrite_logs_inspect_explains(quick: Command, small: Files, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    lists = tmp_path / "lists.yaml"
    lists.write_text("moves: {Mul: allow}\n")
    words = ["--rules", "tf-cpu-bfloat16", "--lists", lists, "--log-path", folder]
    assert quick("rewrite", small.model, *words, "--output", tmp_path / "baked").code == 0
    assert len(list(folder.iterdir())) == 5
    found, said = inspected(quick, folder)
    assert found["rules"] == "tf-cpu-bfloat16@2.21"
    assert "painting agrees with the pass" in said
    assert "lists: not the defaults of tf-cpu-bfloat16@2.21: Mul to allow" in said
    assert found["effective"]["nodes_16bit"] > 0


def test_a_log_without_devices_is_read_by_the_rules_that_it_was_written_by(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    words = ["--rules", "itex-cpu-bfloat16", "--log-path", folder]
    assert quick("rewrite", small.model, *words, "--output", tmp_path / "baked").code == 0
    found, said = inspected(quick, folder)
    assert found["rules"] == "itex-cpu-bfloat16@2.15"
    assert "painting agrees with the pass" in said
    assert found["effective"]["nodes_16bit"] > 0


def test_other_lists_may_be_asked_for(quick: Command, small: Files, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    words = ["--rules", "tf-cpu-bfloat16", "--log-path", folder]
    assert quick("rewrite", small.model, *words, "--output", tmp_path / "baked.pb").code == 0
    lists = tmp_path / "lists.yaml"
    lists.write_text("moves: {MatMul: deny}\n")
    found, said = inspected(quick, folder, "--lists", lists)
    assert "lists: the defaults" in said
    assert {one["list"] for one in found["op_types"] if one["op"] == "MatMul"} == {"deny"}


def test_a_broken_log_is_told(quick: Command, tmp_path: Path) -> None:
    (tmp_path / "graphdef_preop_3.pb").write_bytes(b"\xff")
    ended = quick("inspect", tmp_path)
    assert ended.code == 2
    assert "graphdef_preop_3.pb: is truncated or no GraphDef" in ended.err
