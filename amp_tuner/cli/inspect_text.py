"""What ``amp-tune inspect`` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from amp_tuner.rewrite.cast_costs import CastCosts
from amp_tuner.rewrite.explain import Explanation
from amp_tuner.rewrite.moves import MoveGroup, SingleMoves
from amp_tuner.text import one_line

_MIB = 2**20
_KIB = 2**10
#: How many op types a row names before it counts.
_NAMED = 4


def show_explanation(console: Console, explanation: Explanation, rules: str) -> None:
    """The whole graph in a few lines, and a table of its op types."""
    for line in summary_lines(explanation, rules):
        print(line)
    table = _table("op type", "list")
    for title in ("nodes", "type attributes", "in 16 bits", "casts at its edges", "cast per run"):
        table.add_column(title, justify="right")
    by_size = sorted(explanation.op_types, key=lambda one: (-one.attributes_16bit, one.op))
    for one in by_size:
        figures = (one.nodes, one.attributes, one.attributes_16bit, one.casts.count)
        table.add_row(Text(one.op), one.list, *map(str, figures), _bytes_of(one.casts))
    console.print(table)


def summary_lines(explanation: Explanation, rules: str) -> list[str]:
    """The whole graph in a few lines: colours, casts, what stayed FP32 though it need not."""
    effective = explanation.effective
    nodes = f"{effective.nodes_16bit} of {len(explanation.nodes)} nodes in 16 bits"
    lines = [f"{rules}: {nodes}, {effective.casts} casts", f"kernels: {explanation.kernel_source}"]
    if explanation.skipped is not None:
        lines.append(f"the pass leaves this graph alone: {explanation.skipped}")
    casts, stayed = _about_casts(explanation), _about_stayed(explanation)
    return [*lines, f"casts: {casts}", f"stayed FP32 {stayed}"]


def show_nodes(explanation: Explanation) -> None:
    """One line a node."""
    for node in explanation.nodes:
        if node.colour != "other":
            print(one_line(f"{node.name} ({node.op}, {node.list}): {node.reason}"))


def show_moves(console: Console, moves: SingleMoves) -> None:
    """A row for each group of moves with the same outcome; those of little interest in a line."""
    able = [group for group in moves.groups if not group.change.cannot_run]
    running = [group for group in able if group.change.is_running]
    print(
        f"\nsingle moves: {_count(running)} of {moves.tried} change what runs, in "
        f"{len(running)} ways; {moves.idle} change nothing"
    )
    table = _table("move", "type attributes")
    for title in ("casts", "on every run", "cast per run"):
        table.add_column(title, justify="right")
    for group in running:
        table.add_row(*_move_row(group))
    if running:
        console.print(table)
    constant = [group for group in able if not group.change.is_running]
    if constant:
        print(f"only constants change, before the first run: {_named_groups(constant)}")
    unable = [group for group in moves.groups if group.change.cannot_run]
    if unable:
        print(f"not possible, a node would lack its 16-bit kernel: {_named_groups(unable)}")


def _move_row(group: MoveGroup) -> tuple[Text, Text, str, str, str]:
    change = group.change
    unknown = f"{change.unknown:+d} of unknown size" if change.unknown else ""
    known = amount(change.bytes_per_run, sign="+")
    return (
        Text(_named_moves(group.moves)),
        Text(_about_types(group)),
        f"{change.casts:+d}",
        f"{change.casts_per_run:+d}",
        f"{known} {unknown}".rstrip() if change.bytes_per_run else unknown or known,
    )


def _count(groups: Iterable[MoveGroup]) -> int:
    return sum(len(group.moves) for group in groups)


def _named_groups(groups: Iterable[MoveGroup]) -> str:
    return "; ".join(_named_moves(group.moves) for group in groups)


def amount(count: int, sign: str = "") -> str:
    """A number of bytes: ``12.3 MiB``."""
    if abs(count) < _KIB:
        return f"{count:{sign}d} B" if count else "0 B"
    if abs(count) < _MIB:
        return f"{count / _KIB:{sign}.1f} KiB"
    return f"{count / _MIB:{sign}.1f} MiB"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=title in ("op type", "list"))
    return table


def _about_casts(explanation: Explanation) -> str:
    casts = explanation.casts
    running = casts.count - casts.constant
    parts = [f"{casts.constant} of weights or other constants, cast once; {running} on every run"]
    if running > casts.unknown + casts.looping:
        at_size = f" at batch size {explanation.batch_size}" if explanation.batch_size else ""
        free = ", which the model leaves free (--batch-size)" if explanation.batch_size else ""
        parts.append(f"{amount(casts.bytes_per_run)} read and written{at_size}{free}")
    if casts.unknown:
        parts.append(f"{casts.unknown} of unknown size")
    if casts.looping:
        parts.append(f"{casts.looping} in loops, which run an unknown number of times")
    if explanation.shape_problem is not None:
        parts.append(f"no shapes: {one_line(explanation.shape_problem)}")
    return "; ".join(parts)


def _about_stayed(explanation: Explanation) -> str:
    if explanation.skipped is not None:
        return "everywhere"
    parts = []
    for one in explanation.stayed:
        some = "" if len(one.nodes) == one.of else f"{len(one.nodes)} of {one.of}: "
        parts.append(f"{one.op} ({some}{one.reason})")
    return f"though they could be 16-bit: {', '.join(parts) or 'nothing'}"


def _bytes_of(casts: CastCosts) -> str:
    hidden = casts.unknown + casts.looping
    if not hidden:
        return amount(casts.bytes_per_run)
    known = casts.count - casts.constant > hidden
    return f"{amount(casts.bytes_per_run)} + ?" if known else "?"


def _named_moves(moves: Iterable[tuple[str, str]]) -> str:
    """``AvgPool to allow, infer; Mean to infer``."""
    places: Mapping[str, list[str]] = defaultdict(list)
    for op, place in moves:
        places[op].append(place)
    return "; ".join(f"{op} to {', '.join(found)}" for op, found in places.items())


def _about_types(group: MoveGroup) -> str:
    """``+3 (Mean 1, Softmax 2), -1 (Mul 1)``."""
    sides = (("+", group.change.gained), ("-", group.change.lost))
    return ", ".join(
        f"{sign}{sum(by_op.values())} ({_named_counts(by_op)})" for sign, by_op in sides if by_op
    )


def _named_counts(by_op: Mapping[str, int]) -> str:
    ordered = sorted(by_op.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{op} {count}" for op, count in ordered[:_NAMED])
    more = len(ordered) - _NAMED
    return f"{named} and {more} more op types" if more > 0 else named
