"""What members of a study came to: how much of their time their devices were at work."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """One member's trials that were measured, in their order.

    Attributes:
        begins_s, ends_s: when measuring of each began and ended.
        device_s: for how long each had the device, which is not there and was waited for.
    """

    begins_s: Sequence[float]
    ends_s: Sequence[float]
    device_s: float

    @property
    def between_s(self) -> float:
        """The mean time from the end of one to the begin of the next."""
        pairs = zip(self.ends_s, self.begins_s[1:], strict=False)
        return statistics.mean(begin_s - end_s for end_s, begin_s in pairs)


def busy_share(members: Sequence[Member]) -> float:
    """The share of their time that devices work, from each member's first trial's end to its last.

    How a study begins and how it ends is left out: the time of all its trials is between. Each
    member has measured two trials at least.
    """
    worked_s = sum((len(member.ends_s) - 1) * member.device_s for member in members)
    return worked_s / sum(member.ends_s[-1] - member.ends_s[0] for member in members)


def print_table(counts: Iterable[int], measured: Callable[[int], Sequence[Member]]) -> None:
    """Prints a row for each number of workers, once it is known; the first one is linear."""
    titles = ("workers", "trials", "trials an hour", "of linear", "devices work", "between trials")
    print(f"| {' | '.join(titles)} |\n|---|---|---|---|---|---|", flush=True)
    linear = None
    for count in counts:
        every = measured(count)
        # Whoever came too late for two trials has none between.
        members = [member for member in every if len(member.ends_s) > 1]
        busy = busy_share(members)
        linear = linear or busy
        cells = (
            f"{count}",
            f"{sum(len(member.ends_s) for member in every)}",
            f"{3600 * count * busy / members[0].device_s:,.0f}",
            f"{busy / linear:.3f}",
            f"{100 * busy:.1f} %",
            f"{statistics.mean(member.between_s for member in members):.2f} s",
        )
        print(f"| {' | '.join(cells)} |", flush=True)
