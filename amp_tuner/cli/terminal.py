"""The console, and the tables that a person sees at the end of a command."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from amp_tuner.records import Interval
from amp_tuner.study.verifying import VALID, Check
from amp_tuner.text import one_line

_WIDTH_OF_FILES = 160
_LONGEST_CELL = 60


class _Console(Console):
    """Rich's, which would end the process with exit code 1 when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """Leaves it to the command."""
        raise BrokenPipeError


def make_console(*, quiet: bool = False) -> Console:
    """Standard output; colours and movement only where it is a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks must not end a night.
        sys.stdout.reconfigure(errors="backslashreplace")
    console = _Console(quiet=quiet, highlight=False)
    if not console.is_terminal:
        # Lines stay whole for grep, and tables do not fold at the 80 columns that rich assumes.
        console.soft_wrap = True
        console.width = _WIDTH_OF_FILES
    return console


@dataclass(frozen=True)
class Row:
    """One line of a comparing table; None where there is no figure.

    Attributes:
        name: what it is (``FP32``, ``default bfloat16``, ``best``).
        data_type: the setting's data type.
        speedup: against FP32.
        accuracy: the metric's value.
        nodes_16bit: nodes with a 16-bit type attribute.
        casts: Casts inserted.
        remark: ``meets``, ``misses``, or why there are no figures.
        latency_ms: the median run of one batch.
        throughput: samples per second.
        modelled_for: the device whose model gave speed-up and times; None where they were measured.
    """

    name: str
    data_type: str
    speedup: Interval | None
    accuracy: Interval | None
    nodes_16bit: int | None
    casts: int | None
    remark: str
    latency_ms: float | None = None
    throughput: float | None = None
    modelled_for: str | None = None


def comparison(rows: Sequence[Row], metric: str) -> Table:
    """The table at the end of a run, of ``check`` and of ``compare``."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("data type", no_wrap=True)
    times = any(row.throughput is not None for row in rows)
    devices = {row.modelled_for for row in rows} - {None}
    modelled = "modelled " if devices else ""
    for title in (f"{modelled}speed-up", metric, "16-bit nodes", "casts"):
        table.add_column(title, justify="right")
    for title in (f"{modelled}latency, ms", f"{modelled}samples/s") if times else ():
        table.add_column(title, justify="right")
    if devices:
        table.caption = Text(one_line(f"modelled for {', '.join(map(str, devices))}, not measured"))
        table.caption_justify = "left"
    table.add_column("goal")
    for row in rows:
        table.add_row(
            Text(one_line(row.name)),
            row.data_type,
            "" if row.speedup is None else stacked(row.speedup, 3, "x"),
            "" if row.accuracy is None else stacked(row.accuracy, 6),
            "" if row.nodes_16bit is None else str(row.nodes_16bit),
            "" if row.casts is None else str(row.casts),
            *((_number(row.latency_ms), _number(row.throughput)) if times else ()),
            Text(one_line(row.remark)),
        )
    return table


def relative_table(
    columns: Mapping[str, Mapping[str, Interval]], *, modelled: bool = False
) -> Table:
    """Figures over FP32's: by column's title, then by row's name; ``modelled``: not measured."""
    what = "modelled, normalised to FP32" if modelled else "normalised to FP32"
    table = Table(what, box=None, pad_edge=False, header_style="bold")
    for title in columns:
        table.add_column(title, justify="right")
    for name in dict.fromkeys(name for figures in columns.values() for name in figures):
        cells = (figures.get(name) for figures in columns.values())
        table.add_row(name, *("" if cell is None else stacked(cell, 3) for cell in cells))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if value < 1000 else f"{value:,.0f}"


def checks_table(checks: Sequence[Check]) -> Table:
    """What ``verify`` compared: one row a check, differences marked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for title in ("published", "here"):
        table.add_column(title, overflow="fold")
    table.add_column("", no_wrap=True)
    for check in checks:
        same = check.published == check.here
        table.add_row(
            Text(check.name),
            Text(_shortened(check.published)),
            Text("the same" if same else _shortened(check.here)),
            Text("" if check.answer == VALID else check.answer, style="bold red"),
        )
    return table


def _shortened(text: str) -> str:
    """Lists of op types and digests are long; what differs is in ``--json``."""
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def interval(measured: Interval, digits: int = 3) -> str:
    """``1.234 [1.229, 1.240]``, or the value alone where it is exact."""
    return stacked(measured, digits).replace("\n", " ")


def stacked(measured: Interval, digits: int, unit: str = "") -> str:
    """The value, and its interval on a second line unless it is exact."""
    parts = (measured.value, measured.low, measured.high)
    value, low, high = (f"{part:.{digits}f}" for part in parts)
    return f"{value}{unit}" if low == high else f"{value}{unit}\n[{low}, {high}]"


@contextlib.contextmanager
def working(console: Console, text: str) -> Iterator[None]:
    """Says what is being done while a block runs, on a terminal only."""
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield
