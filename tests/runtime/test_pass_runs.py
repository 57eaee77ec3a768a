"""Which run of a pass is of which graph, told from what the dumps hold."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from tensorflow.core.framework import graph_pb2, types_pb2

from amp_tuner.amp.pass_logs import MAIN_ITEM, LogFiles
from amp_tuner.runtime.pass_dumps import PassDump
from amp_tuner.runtime.pass_runs import PassRuns, is_lost, itex_runs, stock_runs

CAST = "dense-0-CastToBf16-AutoMixedPrecision"
KEPT = ("x", "y")


def dump(*names: str, after: Optional[tuple[str, ...]] = None, item: str = "") -> PassDump:
    graphs = [
        graph_pb2.GraphDef(node=[{"name": name} for name in part]) for part in (names, after or ())
    ]
    return PassDump(LogFiles(Path(), item, 0), graphs[0], graphs[1] if after else None, None)


FIRST = dump("x", "dense", "y", after=("x", "dense", "y", CAST))
SECOND = dump("x", "dense", CAST, "y")
FUNCTION = dump("arg", "dense", "result")


def test_stock_tensorflow_names_the_graph() -> None:
    main, function = dump("x", item=MAIN_ITEM), dump("x", item="while_body")
    runs = stock_runs([function, main])
    assert runs is not None
    assert (runs.main, runs.again, runs.functions) == (main, (), (function,))
    assert stock_runs([function]) is None


def test_itex_graphs_are_told_by_the_nodes_that_a_session_keeps() -> None:
    # A function that happens to have the same nodes is still a function.
    namesake = dump("x", "y")
    runs = itex_runs([FIRST, SECOND, FUNCTION, namesake], KEPT, has_casts=False)
    assert runs is not None
    assert runs.main is FIRST
    assert runs.again == (SECOND,)
    assert runs.functions == (FUNCTION, namesake)


def test_nothing_is_told_from_no_dump_or_from_functions_alone() -> None:
    assert itex_runs([], KEPT, has_casts=False) is None
    assert itex_runs([FUNCTION], KEPT, has_casts=False) is None


def test_a_second_run_in_the_same_millisecond_is_not_taken_for_the_first() -> None:
    overwritten = dump("x", "dense", CAST, "y", after=("x", "dense", "y", CAST))
    assert itex_runs([overwritten], KEPT, has_casts=False) is None


def test_a_model_that_was_rewritten_before_has_casts_of_its_own() -> None:
    runs = itex_runs([SECOND], KEPT, has_casts=True)
    assert runs is not None
    assert runs.main is SECOND


def test_a_conversion_that_the_next_run_does_not_find_was_given_up() -> None:
    in_16_bits = dump("x", "dense", "y")
    in_16_bits.before.node[1].attr["T"].type = types_pb2.DT_BFLOAT16
    untouched = dump("x", "dense", "y")
    # SECOND has no 16-bit type, but a node in the place of a Cast.
    for found in (in_16_bits, SECOND):
        assert not is_lost(PassRuns(FIRST, (found,), ()))
    assert is_lost(PassRuns(FIRST, (untouched,), ()))
    assert not is_lost(PassRuns(untouched, (untouched,), ())), "nothing was converted"
    assert not is_lost(PassRuns(FIRST, (), ())), "nothing is known"


def test_a_pair_of_two_different_graphs_is_no_pair() -> None:
    mixed = dump("arg", "dense", "result", after=("x", "dense", "y", CAST))
    assert itex_runs([FIRST, mixed], KEPT, has_casts=False) is None
