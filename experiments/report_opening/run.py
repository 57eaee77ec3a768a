"""How long a report of 2,000 trials takes to open from the disk, in a real Chromium.

    .venv/bin/python experiments/report_opening/run.py [--trials 2000] [--opens 20]

Needs Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from common import print_machine

from amp_tuner.report.study_folder import read_study
from amp_tuner.report.study_page import study_page
from tests.report import studies
from tests.report.browser import Browser, available

#: Milliseconds since the page was asked for: the load event's end; the front's first point drawn.
LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
DRAWN = """
const drawn = () => document.querySelector('#front-chart .mark-symbol path');
return new Promise((done) => {
  const look = () => drawn() ? done(performance.now()) : requestAnimationFrame(look);
  look();
});
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--opens", type=int, default=20)
    options = parser.parse_args()
    if not available():
        sys.exit("needs chromium and chromedriver on the PATH")
    print_machine()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        root = studies.write_folder(folder / "run", trials=options.trials, cached=False)
        page = folder / "report.html"
        page.write_text(study_page(read_study(root)), encoding="utf-8")
        print(f"{options.trials} trials, {page.stat().st_size / 1e6:.2f} MB")
        loaded_ms, drawn_ms = [], []
        for number in range(options.opens):
            # A browser that has just started knows neither the file nor its scripts.
            with Browser(folder / f"profile{number}") as browser:
                browser.open(page)
                # Later than the first drawing if that came before the page was looked at.
                drawn_ms.append(browser.script(DRAWN))
                loaded_ms.append(browser.script(LOADED))
    for name, times in (("loaded", loaded_ms), ("front drawn", drawn_ms)):
        print(
            f"{name}: median {np.median(times):.0f} ms, largest of {len(times)} {max(times):.0f} ms"
        )


if __name__ == "__main__":
    main()
