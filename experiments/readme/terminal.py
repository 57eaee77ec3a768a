"""Turns what a command printed into an SVG picture of a terminal, for the README.

make tune | tee run.log
.venv/bin/python experiments/readme/terminal.py run.log docs/quickstart.svg
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from rich.console import Console


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="what the command printed")
    parser.add_argument("picture", type=Path, help="the SVG file to write")
    parser.add_argument("--command", default="amp-tune --config configs/quickstart.yaml")
    options = parser.parse_args()
    console = Console(record=True, width=112, file=io.StringIO(), highlight=False)
    console.print(f"$ {options.command}", style="bold")
    for line in options.log.read_text(encoding="utf-8").splitlines():
        console.print(line.rstrip(), markup=False)
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(options.picture), title=options.command)


if __name__ == "__main__":
    main()
