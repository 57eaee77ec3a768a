"""Studies that are ended again and again, at random moments, and what was seen on the way."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from amp_tuner.cli.main import main
from tests import small_study
from tests.cli.processes import await_event, events, finished, is_gone, started, workers

#: Exit codes of a tuner that ended by itself, of one that was killed, of one that was interrupted.
DONE, KILLED, INTERRUPTED = 0, -signal.SIGKILL, 130


@dataclass
class History:
    """A study that was ended again and again, and what was seen on the way.

    Attributes:
        run: the output folder.
        codes: exit code of each command, in order.
        said: what the last one printed.
        lost: finished trials whose file went or changed afterwards.
        unreadable: tables that could not be read whole.
        rounds: signals that reached the tuner or a worker of it.
        left_behind: workers that outlived their tuner.
        second: what a second tuner on the same folder said.
        unpublished: interruptions after which there was no front.
    """

    run: Path
    codes: list[int] = field(default_factory=list)
    said: str = ""
    lost: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    rounds: int = 0
    left_behind: list[int] = field(default_factory=list)
    second: Any = None
    unpublished: int = 0

    def look(self, known: dict[str, bytes]) -> None:
        """Compares the trials' files with those of before; reads the table."""
        now = {path.name: path.read_bytes() for path in (self.run / "trials").glob("*.json")}
        self.lost |= {name for name, content in known.items() if now.get(name) != content}
        known |= now
        table = self.run / "trials.csv"
        if table.exists():
            numbers = list(pd.read_csv(table)["number"])
            # The file of the trial that was being told may be ahead of the table.
            if not set(numbers) <= {int(name[:4]) for name in now} or len(now) - len(numbers) > 1:
                self.unreadable.append(f"{numbers} of {sorted(now)}")


@dataclass(frozen=True)
class Hit:
    """A signal to the tuner, or to one of its workers."""

    kind: signal.Signals
    at_worker: bool = False


def a_while(tuner: Any, run: Path, chance: random.Random, *, start: bool) -> None:
    """Waits for a random moment of one of the next trials, or (if allowed) of the start."""
    before = len(events(run, "asked"))
    if chance.random() < 0.25 and start:
        time.sleep(chance.uniform(0, 6))
    elif await_event(tuner, run, "asked", before + chance.randint(1, 2)):
        time.sleep(chance.uniform(0, 2))


def killed_a_worker(tuner: Any, hit: Hit, chance: random.Random) -> bool:
    """Sends the signal to one of the live workers; False where there is none."""
    alive = workers(tuner)
    if not alive:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(alive).send_signal(hit.kind)
    return True


def ended_again_and_again(
    folder: Path,
    plain: Mapping[str, Any],
    hits: Sequence[Hit],
    seed: int,
    last: Sequence[str] = (),
) -> History:
    """Runs a study through ``hits`` at random moments, those at the tuner end it; then to its end.

    A worker is hit while its tuner lives on, so one run may take many of those; the tuner is hit
    where no worker lives. ``last`` is added to the command line of the last run.
    """
    path = small_study.write_study(folder, dict(plain))
    history, known, chance = History(folder / "run"), dict[str, bytes](), random.Random(seed)
    left = list(hits)
    while left:
        with started(path) as tuner:
            while left:
                hit = left.pop(0)
                # A worker that is killed at each of its starts is the target's end.
                start = hit.kind == signal.SIGKILL and not hit.at_worker
                a_while(tuner, history.run, chance, start=start)
                if hit.at_worker and killed_a_worker(tuner, hit, chance):
                    history.rounds += 1
                    continue
                alive = workers(tuner)
                history.rounds += tuner.poll() is None
                tuner.send_signal(hit.kind)
                break
            else:
                tuner.kill()
                alive = workers(tuner)
            code, _ = finished(tuner)
            history.left_behind += [one.pid for one in alive if not is_gone(one, 20)]
        history.codes.append(code)
        history.look(known)
        published = (history.run / "pareto" / "front.yaml").exists()
        history.unpublished += code == INTERRUPTED and bool(known) and not published
        if len(left) % 20 == 0:
            print(f"{history.rounds} rounds, {len(known)} trials", flush=True)
    run_to_its_end(path, history, last)
    history.look(known)
    print(history.codes, history.said)
    return history


def run_to_its_end(path: Path, history: History, words: Sequence[str]) -> None:
    """The last run, beside which a second tuner tries to write to the same folder."""
    resumed = len(events(history.run, "resumed"))
    with started(path, *words) as tuner:
        # From then on the tuner holds the lock.
        if await_event(tuner, history.run, "resumed", resumed + 1):
            # However little is left to do, it has not ended before the second one is refused.
            tuner.send_signal(signal.SIGSTOP)
            handler = signal.getsignal(signal.SIGTERM)
            history.second = main(["--config", str(path)])
            signal.signal(signal.SIGTERM, handler)
            tuner.send_signal(signal.SIGCONT)
        code, history.said = finished(tuner)
    history.codes.append(code)
