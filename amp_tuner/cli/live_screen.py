"""A few live lines at the foot of a terminal while a study runs; what scrolls by stays above them.

They are drawn when an event changed them, four times a second at most, and never while nothing
happens: that would take time from what is being timed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from amp_tuner.cli.event_words import speedup_words
from amp_tuner.cli.followed import Followed
from amp_tuner.cli.front_plot import ASCII, UNICODE, Marks, front_plot
from amp_tuner.results.event_log import Event
from amp_tuner.text import duration, one_line

_BETWEEN_S = 0.25
#: The picture, with its axis, labels and legend, and the widest that it gets.
_PLOT_ROWS, _PLOT_MARGIN, _PLOT_WIDTH = 8, 3, 72
#: Of the terminal's width, and the longest.
_BAR_SHARE, _LONGEST_BAR = 5, 20
#: Where the locale is C, Python says so itself: it takes the terminal for UTF-8 all the same.
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")


def can_show(console: Console) -> bool:
    """Whether a console is a terminal that can move its cursor (and is not quiet)."""
    return console.is_interactive and console.file.isatty() and not console.quiet


def marks_of(encoding: str, environment: Mapping[str, str]) -> Marks:
    """Unicode's marks where both the stream and the user's locale say UTF-8, else ASCII's.

    Args:
        encoding: the stream's.
        environment: names the locale.
    """
    chosen = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if chosen[1] in _COERCED:
        del chosen[1]
    locale = next(filter(None, chosen), "C").lower().replace("-", "")
    says_utf8 = encoding.lower().startswith("utf") and "utf8" in locale
    return UNICODE if says_utf8 else ASCII


class LiveScreen:
    """The lines of one study.

    Args:
        console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._marks = marks_of(console.encoding, os.environ)
        self._followed = Followed()
        # Events come from the study's thread, lines are made in the drawing one.
        self._lock = threading.Lock()
        self._changed, self._over = threading.Event(), threading.Event()
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
            get_renderable=self._drawn,
        )

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """While the block runs, the lines are there; they leave nothing behind."""
        drawing = threading.Thread(target=self._draw, daemon=True)
        with self._live:
            drawing.start()
            try:
                yield
            finally:
                self._over.set()
                drawing.join()

    def take(self, event: Event) -> None:
        """Takes in an event; it shows a moment later."""
        with self._lock:
            self._followed.take(event)
        self._changed.set()

    def _draw(self) -> None:
        while not self._over.wait(_BETWEEN_S):
            if self._changed.is_set():
                self._changed.clear()
                self._live.refresh()

    def _drawn(self) -> Group:
        width, height = self._console.size
        with self._lock:
            lines = screen_lines(self._followed, self._marks, width=width, height=height)
        return Group(*lines)


def screen_lines(followed: Followed, marks: Marks, *, width: int, height: int) -> list[Text]:
    """A study's lines, none of them wider than the terminal.

    Args:
        followed: the study.
        marks: what is drawn with.
        width: the terminal's.
        height: the terminal's; without room for the picture there is none.
    """
    progress = followed.progress
    lines = [_head(followed, marks, width), Text(_what(followed))]
    if followed.setting:
        lines.append(Text(f"  {followed.setting}", style="dim"))
    if progress is not None:
        lines += [Text(_counts(followed, progress)), Text(_best(followed, progress))]
    if followed.failure is not None:
        lines.append(Text(followed.failure, style="red"))
    if len(lines) + _PLOT_ROWS + _PLOT_MARGIN < height:
        lines += _picture(followed, marks, width)
    return [_cut(line, marks, width) for line in lines]


def _head(followed: Followed, marks: Marks, width: int) -> Text:
    head = Text(one_line(followed.study), style="bold")
    progress = followed.progress
    if progress is None:
        return head
    measured, trials = progress["measured"], progress["trials"]
    bar = min(_LONGEST_BAR, width // _BAR_SHARE)
    done = bar * measured // max(trials, 1)
    count = f"  {measured}/{trials} trials "
    head.truncate(max(1, width - len(count) - bar), overflow="crop")
    head.append(count, style="not bold")
    head.append(marks.done * done, style="not bold green")
    return head.append(marks.left * (bar - done), style="not bold dim")


def _what(followed: Followed) -> str:
    return f"{followed.now}, since {followed.since}" if followed.now else ""


def _counts(followed: Followed, progress: Event) -> str:
    parts = []
    if followed.searching and progress["left_s"] is not None:
        parts.append(f"about {duration(progress['left_s'])} left")
    always, at_times = ("cached", "failed"), ("refused", "quarantined")
    shown = [*always, *(name for name in at_times if progress[name])]
    parts += [f"{progress[name]} {name}" for name in shown]
    return ", ".join(parts)


def _best(followed: Followed, progress: Event) -> str:
    if progress["best"] is None:
        return "best: none certainly meets the goal so far"
    modelled = "modelled " if progress["modelled"] else ""
    name = followed.names.get(progress["best"], "")
    which = f"trial {progress['best']}{', ' if name else ''}{name}"
    return one_line(f"best {modelled}{speedup_words(progress['best_speedup'])} ({which})")


def _picture(followed: Followed, marks: Marks, width: int) -> list[Text]:
    plot = front_plot(
        followed.spots(),
        width=min(width, _PLOT_WIDTH),
        height=_PLOT_ROWS,
        marks=marks,
        higher_is_better=followed.higher_is_better,
    )
    if not plot:
        return []
    legend = f"{marks.front} front {marks.other} other {marks.float32} FP32"
    lines = [Text(one_line(f"{followed.metric}: {legend}")), *map(Text, plot)]
    for line in lines:
        line.highlight_words([marks.front], "bold green")
    return lines


def _cut(line: Text, marks: Marks, width: int) -> Text:
    """The line within one row of the terminal, so that rows can be counted."""
    line.no_wrap, line.overflow = True, "crop"
    if line.cell_len > width:
        line.truncate(width - len(marks.dots), overflow="crop")
        line.append(marks.dots)
    return line
