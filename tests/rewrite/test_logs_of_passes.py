"""Log folders of the real pass, read; and ours, compared with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.runtime.pass_dumps import describe_dump, read_dumps, write_dump
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.oracle import PREFIX, Oracle, differences
from tests.rewrite import graphs

BF16 = rule_set("tf-cpu-bfloat16")


@pytest.mark.parametrize("name", ["tf-cpu-bfloat16", "tf-cpu-float16"])
def test_a_real_dump_tells_its_pass_and_what_it_did(
    cpu_oracle: Oracle, tmp_path: Path, name: str
) -> None:
    environment = {PREFIX + "LOG_PATH": str(tmp_path)}
    cpu_oracle.real_pass_with(graphs.conv_net(), rule_set(name), environment, ["out"])
    found = describe_dump(tmp_path, None, ())
    graph = TypedGraph.from_json(found["graph"])
    assert found["rules"] == f"{name}@2.21"
    assert ["Conv2D", "T", -1] in found["changed"]
    assert ["out", "T", -1] not in found["changed"]
    assert {node.name for node in graph.nodes if not node.processable} == {"x", "out"}


def test_our_five_files_are_named_and_filled_as_the_real_ones(
    cpu_oracle: Oracle, tmp_path: Path
) -> None:
    graph_def = graphs.conv_net()
    real, ours = tmp_path / "real", tmp_path / "ours"
    real.mkdir()
    cpu_oracle.real_pass_with(graph_def, BF16, {PREFIX + "LOG_PATH": str(real)}, ["out"])
    after = rewrite_graph(graph_def, BF16, BF16.lists, preserved=["x", "out"])
    write_dump(ours, "tensorflow", graph_def, after, BF16.lists)
    theirs, written = read_dumps(real)[0], read_dumps(ours)[0]
    assert {_kind(file) for file in real.iterdir()} == {_kind(file) for file in ours.iterdir()}
    assert len(list(ours.iterdir())) == 5
    assert theirs.after is not None
    assert written.after is not None
    assert differences(written.after, theirs.after) == []
    assert written.lists == theirs.lists == BF16.lists
    text = written.files.after.with_suffix(".pb.txt").read_text()
    assert text_format.Parse(text, graph_pb2.GraphDef()) == after


def _kind(file: Path) -> str:
    first, second, *_ = file.name.split("_")
    return f"{first} {second} {''.join(file.suffixes)}"
