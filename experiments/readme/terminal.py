"""Turns what a command printed, or a study's log, into an SVG picture of a terminal.

make tune | tee run.log
.venv/bin/python experiments/readme/terminal.py run.log docs/quickstart.svg
.venv/bin/python experiments/readme/terminal.py runs/quickstart/log.jsonl docs/live.svg

Of a log it is the live screen as it stood when the search ended.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from amp_tuner.cli.followed import Followed
from amp_tuner.cli.front_plot import UNICODE
from amp_tuner.cli.live_screen import screen_lines
from amp_tuner.results.event_log import read_events

WIDTH, HEIGHT = 112, 40


def lines_of(path: Path) -> Iterator[Text]:
    """What the picture shows under the command."""
    if path.suffix != ".jsonl":
        for line in path.read_text(encoding="utf-8").splitlines():
            yield Text(line.rstrip())
        return
    followed = Followed()
    for event in takewhile(lambda event: event["event"] != "search_ended", read_events(path)):
        followed.take(event)
    yield from screen_lines(followed, UNICODE, width=WIDTH, height=HEIGHT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="what the command printed, or a study's log.jsonl")
    parser.add_argument("picture", type=Path, help="the SVG file to write")
    parser.add_argument("--command", default="amp-tune --config configs/quickstart.yaml")
    options = parser.parse_args()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    console.print(f"$ {options.command}", style="bold")
    for line in lines_of(options.log):
        console.print(line)
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(options.picture), title=options.command)


if __name__ == "__main__":
    main()
