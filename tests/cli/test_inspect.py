"""What ``amp-tune inspect`` says, on a real model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tensorflow as tf

from amp_tuner.cli.inspect_text import amount
from tests.cli.conftest import Command
from tests.conftest import Files
from tests.rewrite import graphs

RULES = ("--rules", "tf-cpu-bfloat16")


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """Two products with an Exp between, for any number of rows of four."""
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [None, 4], "x")
        y = graphs.raw.Exp(x=tf.matmul(x, graphs.matrix()))
        tf.identity(tf.matmul(y, graphs.matrix()), name="out")
    path = tmp_path / "dense.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_casts_are_told_with_their_bytes(quick: Command, dense: Path) -> None:
    ended = quick("inspect", dense, *RULES)
    # x, both sides of Exp, and out: four numbers each, read in four bytes, written in two.
    assert (
        "casts: 2 of weights or other constants, cast once; 4 on every run; 96 B read and written "
        "at batch size 1, which the model leaves free (--batch-size)"
    ) in ended.out
    assert re.search(r"Exp +deny +1 +1 +0 +2 +48 B", ended.out)
    larger = quick("inspect", dense, *RULES, "--batch-size", 256)
    assert "4 on every run; 24.0 KiB read and written at batch size 256" in larger.out


def test_shapes_that_are_not_known_are_told(quick: Command, tmp_path: Path) -> None:
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, None, "x")
        tf.identity(tf.matmul(x, graphs.matrix()), name="out")
    path = tmp_path / "free.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    ended = quick("inspect", path, *RULES)
    assert "2 on every run; 2 of unknown size" in ended.out


def test_what_stayed_fp32_is_one_line(quick: Command, dense: Path) -> None:
    lines = quick("inspect", dense, *RULES).out.splitlines()
    assert "stayed FP32 though they could be 16-bit: Exp (DENY)" in lines


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5"])
def test_a_batch_size_is_a_whole_number(
    amp_tune: Command, dense: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        amp_tune("inspect", dense, "--batch-size", text)
    assert f"'{text}' is not a whole number above 0" in capsys.readouterr().err


def test_moves_are_told_best_first(quick: Command, dense: Path) -> None:
    ended = quick("inspect", dense, *RULES, "--moves")
    table = ended.out[ended.out.index("single moves: ") :]
    assert re.match(r"single moves: \d+ of \d+ change what runs, in \d+ ways; \d+ change", table)
    first = table.splitlines()[2]
    assert re.match(r"Exp to allow, infer, clear +\+1 \(Exp 1\) +-2 +-2 +-48 B", first)
    printed = json.loads(quick("inspect", dense, *RULES, "--moves", "--json", "-").out)
    group = printed["moves"]["groups"][0]
    assert group["moves"] == [["Exp", "allow"], ["Exp", "infer"], ["Exp", "clear"]]
    assert group["change"]["bytes_per_run"] == -48
    assert "moves" not in json.loads(quick("inspect", dense, *RULES, "--json", "-").out)


def test_moves_that_cannot_run_are_told_apart(quick: Command, tmp_path: Path) -> None:
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        y = graphs.raw.Erfinv(x=tf.matmul(x, graphs.matrix()))
        tf.identity(y, name="out")
    path = tmp_path / "erfinv.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    ended = quick("inspect", path, *RULES, "--moves")
    assert (
        "not possible, a node would lack its 16-bit kernel: Erfinv to infer; Erfinv to allow"
        in ended.out
        or "not possible, a node would lack its 16-bit kernel: Erfinv to allow, infer" in ended.out
    )


def test_the_page_is_written_whole(quick: Command, small: Files, tmp_path: Path) -> None:
    path = tmp_path / "graph.html"
    ended = quick("inspect", small.model, *RULES, "--html", path)
    assert ended.code == 0
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert f"{small.model.name} under tf-cpu-bfloat16@2.21" in page
    assert str(path) in ended.out


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "+1023 B"), (-2048, "-2.0 KiB"), (5 * 2**20, "+5.0 MiB")],
)
def test_amounts_are_readable(count: int, text: str) -> None:
    assert amount(count, sign="+") == text
