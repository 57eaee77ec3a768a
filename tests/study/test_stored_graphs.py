from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from amp_tuner.amp.lists import AmpLists
from amp_tuner.output.folder import RunFolder
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import paint
from amp_tuner.study.stored_graphs import read_graphs, write_graphs
from tests.report.pages import RULES
from tests.report.studies import CHAIN, chain_graph
from tests.rewrite.painted import prepared_graph


def test_a_graph_read_back_is_painted_as_it_was(tmp_path: Path) -> None:
    write_graphs(RunFolder(tmp_path), {"float16": chain_graph()})
    (found,) = read_graphs(RunFolder(tmp_path)).values()
    lists = RULES.lists.moved({"Exp": "allow"})
    original = prepared_graph(CHAIN, RULES)
    assert effective_graph(found, paint(found, lists)) == effective_graph(
        original, paint(original, lists)
    )


def test_the_studys_own_default_lists_are_kept(tmp_path: Path) -> None:
    own = AmpLists(allow=frozenset({"Exp"}))
    write_graphs(RunFolder(tmp_path), {"float16": replace(chain_graph(), lists=own)})
    assert read_graphs(RunFolder(tmp_path))["float16"].rules.lists == own


def test_what_is_there_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_graphs(folder, {"float16": chain_graph()})
    before = (folder.graphs / "float16.json").stat()
    write_graphs(folder, {"float16": chain_graph()})
    assert (folder.graphs / "float16.json").stat().st_mtime_ns == before.st_mtime_ns


def test_a_folder_without_graphs_gives_none(tmp_path: Path) -> None:
    assert read_graphs(RunFolder(tmp_path)) == {}
