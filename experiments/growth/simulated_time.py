"""A clock for members that would have a machine each: real costs, simulated waiting.

One member runs at a time, the one whose clock is furthest behind. A clock grows by the CPU time
that its member's own code took, by the time for which that waited for anything else, by the way to
the database and back for each of its round trips, and by what the member is told to wait. Waiting
for a CPU does not count, the member's own or the database's: with a machine for each they would
have one. What else it waited for is the database for the most part, and the disk; it is taken to be
the database's alone, which no two members have at the same simulated time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class SimulatedTime:
    """The clocks of some members, each in a thread of its own.

    Args:
        members: how many.
        trip_s: the way to the database and back.
        trips: how many round trips there have been by now.
        database: the id of its first process, whose children serve.
    """

    def __init__(
        self, members: int, trip_s: float, trips: Callable[[], int], database: int
    ) -> None:
        self._changed = threading.Condition()
        self._at_s = [0.0] * members
        self._turn = 0
        self._trip_s = trip_s
        self._trips = trips
        self._database = Path(f"/proc/{database}/task/{database}/children")
        self._free_at_s = 0.0
        self._before = (0.0, 0.0, 0.0, 0)

    @contextmanager
    def member(self, number: int) -> Iterator[None]:
        """While the block runs, the thread is a member, and waits for its turns."""
        with self._changed:
            self._await_turn(number)
        try:
            yield
        finally:
            with self._changed:
                self._at_s[number] = math.inf
                self._next()

    def spend(self, seconds: float) -> float:
        """Has the member that runs wait for so long; its clock after that."""
        with self._changed:
            number = self._turn
            self._charge(number)
            self._at_s[number] += seconds
            now_s = self._at_s[number]
            self._next()
            self._await_turn(number)
            return now_s

    def now_s(self) -> float:
        """The clock of the member that runs."""
        with self._changed:
            self._charge(self._turn)
            return self._at_s[self._turn]

    def _charge(self, number: int) -> None:
        """Adds what the member has really taken since this was last done."""
        now = self._reading()
        taken = (new - old for new, old in zip(now, self._before, strict=True))
        wall_s, cpu_s, queued_s, trips = taken
        self._before = now
        ready_s = self._at_s[number] + cpu_s + trips * self._trip_s
        self._free_at_s = max(ready_s, self._free_at_s) + max(0.0, wall_s - cpu_s - queued_s)
        self._at_s[number] = self._free_at_s

    def _reading(self) -> tuple[float, float, float, int]:
        cpu_s, queued_s = _on_cpu_and_queued_s("thread-self")
        for process in self._database.read_text(encoding="ascii").split():
            queued_s += _on_cpu_and_queued_s(process)[1]
        return time.perf_counter(), cpu_s, queued_s, self._trips()

    def _next(self) -> None:
        self._turn = self._at_s.index(min(self._at_s))
        self._changed.notify_all()

    def _await_turn(self, number: int) -> None:
        self._changed.wait_for(lambda: self._turn == number)
        self._before = self._reading()


def _on_cpu_and_queued_s(process: str) -> tuple[float, float]:
    """For how long a process has had a CPU, and has waited for one, by Linux's sched-stats."""
    try:
        on_cpu_ns, queued_ns, _ = Path(f"/proc/{process}/schedstat").read_text("ascii").split()
    except OSError:
        # It has just ended.
        return 0.0, 0.0
    return int(on_cpu_ns) / 1e9, int(queued_ns) / 1e9
