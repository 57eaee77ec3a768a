"""How often ``amp-tune verify`` raises a false alarm on an unchanged system.

Runs a small study (or takes a finished one), then verifies its best point again and again.

    .venv/bin/python experiments/verify/run.py [--run DIR] [--repeats 40] [--fresh]

The same command goes on where it was interrupted. What verify says of changed systems (other
threads, batch size, TensorFlow, lists, model, data) is in tests/cli/test_verify.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import RESULTS, ROOT, Journal, exact_share, print_machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "quickstart")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    journal = Journal(RESULTS / f"verify-{options.run.name}.jsonl", fresh=options.fresh)
    print_machine()
    for number in range(len(journal.units), options.repeats):
        began = time.monotonic()
        found = RESULTS / "verdict.json"
        command = [sys.executable, "-m", "amp_tuner", "verify", str(options.run)]
        ended = subprocess.run(
            [*command, "--json", str(found)], stdout=subprocess.DEVNULL, check=False
        )
        if ended.returncode not in (0, 1, 4):
            sys.exit(f"verify ended with exit code {ended.returncode}")
        verdict = json.loads(found.read_text(encoding="utf-8"))
        wrong = [check["name"] for check in verdict["checks"] if check["answer"] != "valid"]
        seconds = time.monotonic() - began
        journal.add({"answer": verdict["answer"], "wrong": wrong, "seconds": seconds})
        left_s = (options.repeats - 1 - number) * seconds
        print(
            f"{number + 1}/{options.repeats}: {verdict['answer']} {', '.join(wrong)}, "
            f"about {left_s / 60:.0f} min left",
            flush=True,
        )
    alarms = sum(unit["answer"] != "valid" for unit in journal.units)
    print(f"\nfalse alarms: {alarms} of {len(journal.units)}:", end=" ")
    print(exact_share(alarms, len(journal.units)))


if __name__ == "__main__":
    main()
