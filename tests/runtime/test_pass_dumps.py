from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.pass_logs import MAIN_ITEM
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError
from amp_tuner.runtime.pass_dumps import describe_dump, read_dumps, write_dump
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite import graphs


def write(folder: Path, name: str, node: str) -> None:
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name=node, op="NoOp")
    (folder / f"{name}.pb").write_bytes(graph_def.SerializeToString())


def test_pairs_are_found_by_item_and_time(tmp_path: Path) -> None:
    write(tmp_path, "graphdef_preop_tf_graph_17", "before")
    write(tmp_path, "graphdef_AutoMixedPrecision_tf_graph_17", "after")
    write(tmp_path, "graphdef_preop_while_body_3_18", "body")
    main, body = read_dumps(tmp_path)
    assert (main.item, main.before.node[0].name) == (MAIN_ITEM, "before")
    assert main.after is not None
    assert main.after.node[0].name == "after"
    assert (body.item, body.after, body.lists) == ("while_body_3", None, None)


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert read_dumps(tmp_path) == ()
    with pytest.raises(InputError, match="holds no graphdef_preop"):
        describe_dump(tmp_path, None, ())


def test_a_broken_graph_is_named(tmp_path: Path) -> None:
    (tmp_path / "graphdef_preop_7.pb").write_bytes(b"\xff\xff")
    with pytest.raises(InputError, match=r"graphdef_preop_7\.pb: is truncated or no GraphDef"):
        read_dumps(tmp_path)


def test_itex_names_no_item(tmp_path: Path) -> None:
    rules = rule_set("itex-cpu-bfloat16")
    graph_def = graphs.chain("MatMul")
    write_dump(tmp_path, "itex", graph_def, graph_def, rules.lists)
    assert [dump.item for dump in read_dumps(tmp_path)] == [""]
    assert describe_dump(tmp_path, None, ())["rules"] == "itex-cpu-bfloat16@2.15"


def test_a_dump_that_could_be_of_several_passes_asks_for_the_rules(tmp_path: Path) -> None:
    write(tmp_path, "graphdef_preop_tf_graph_17", "before")
    with pytest.raises(InputError, match=r"--rules: .*tf-cpu-bfloat16, tf-cpu-float16"):
        describe_dump(tmp_path, None, ())


def test_a_later_run_on_what_is_rewritten_already_does_not_count(tmp_path: Path) -> None:
    rules = rule_set("itex-cpu-bfloat16")
    given = graphs.chain("MatMul")
    rewritten = rewrite_graph(given, rules, rules.lists, preserved=["out"], default_device="CPU")
    dumps = {"preop_17": given, "AutoMixedPrecision_17": rewritten, "preop_18": rewritten}
    for name, graph_def in dumps.items():
        (tmp_path / f"graphdef_{name}.pb").write_bytes(graph_def.SerializeToString())
    found = describe_dump(tmp_path, rules.name, ())
    assert (found["file"], found["graphs"]) == ("graphdef_preop_17.pb", 1)
    assert ["MatMul1", "T", -1] in found["changed"]
    for name in ("preop_17", "AutoMixedPrecision_17"):
        (tmp_path / f"graphdef_{name}.pb").unlink()
    assert describe_dump(tmp_path, rules.name, ())["file"] == "graphdef_preop_18.pb"
