from __future__ import annotations

from pathlib import Path

from tensorflow.core.framework import graph_pb2

from amp_tuner.runtime.pass_dumps import MAIN_ITEM, read_dumps


def write(folder: Path, name: str, node: str) -> None:
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name=node)
    (folder / f"{name}.pb").write_bytes(graph_def.SerializeToString())
    (folder / f"{name}.pb.txt").write_text(str(graph_def))


def test_pairs_are_found_by_item_and_time(tmp_path: Path) -> None:
    write(tmp_path, "graphdef_preop_tf_graph_17", "before")
    write(tmp_path, "graphdef_AutoMixedPrecision_tf_graph_17", "after")
    write(tmp_path, "graphdef_preop_while_body_3_18", "body")
    (tmp_path / "paintbuckets_AutoMixedPrecision_tf_graph_17.txt").write_text("AllowList:\n")
    main, body = read_dumps(tmp_path)
    assert (main.item, main.before.node[0].name) == (MAIN_ITEM, "before")
    assert main.after is not None
    assert main.after.node[0].name == "after"
    assert (body.item, body.after) == ("while_body_3", None)


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert read_dumps(tmp_path) == ()
