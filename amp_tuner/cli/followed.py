"""What a study's events so far come to: the state that the live screen shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from amp_tuner.cli.event_words import failure_words, setting_words, step_words
from amp_tuner.cli.front_plot import Spot
from amp_tuner.judge.metrics import find_metric
from amp_tuner.records import FLOAT32
from amp_tuner.results.event_log import Event
from amp_tuner.text import one_line


class Followed:
    """A study as its events tell it.

    Attributes:
        study: its name; empty before it is told.
        now: what is being done.
        since: the time of day at which that began, as ``HH:MM:SS``.
        setting: what is measured, in words; empty where no setting is.
        progress: the last event ``progress``; None before there is one.
        searching: whether more settings are to come.
        failure: the last failure in words; None before there is one.
        metric: of accuracy; empty before it is told.
        higher_is_better: its direction.
        names: what each trial that ended was called.
    """

    def __init__(self) -> None:
        self.study = ""
        self.now = self.since = self.setting = ""
        self.progress: Event | None = None
        self.searching = True
        self.failure: str | None = None
        self.metric = ""
        self.higher_is_better = True
        self.names: dict[int, str] = {}
        self._figures: dict[int, tuple[float, float]] = {}
        self._float32: set[int] = set()
        self._takers: Mapping[str, Callable[[Event], None]] = {
            "phase": self._phase,
            "started": self._started,
            "resumed": self._started,
            "measuring": self._measuring,
            "ended": self._ended,
            "progress": self._progress,
            "search_ended": self._search_ended,
        }

    def take(self, event: Event) -> None:
        """Takes in an event; what it does not know says nothing to it."""
        taker = self._takers.get(event["event"])
        if taker is not None:
            taker(event)

    def spots(self) -> list[Spot]:
        """Every setting that was timed, for the picture of the front."""
        front = () if self.progress is None else self.progress["front"]
        return [
            Spot(*figures, on_front=number in front, is_float32=number in self._float32)
            for number, figures in self._figures.items()
        ]

    def _phase(self, event: Event) -> None:
        self.study = event.get("study", self.study)
        if event["phase"] != "trial":
            self.setting = ""
        self._does(step_words(event), event)

    def _does(self, words: str, event: Event) -> None:
        self.now = words
        self.since = f"{datetime.fromisoformat(event['time']):%H:%M:%S}"

    def _started(self, event: Event) -> None:
        config: Mapping[str, Any] = event["config"]
        self.study = config["name"]
        self.searching = True
        self._judged_by(config["accuracy"]["metric"], config["accuracy"]["direction"])

    def _judged_by(self, metric: str, direction: str | None = None) -> None:
        known = find_metric(metric, direction)
        self.metric = metric
        self.higher_is_better = known is None or known.higher_is_better

    def _measuring(self, event: Event) -> None:
        name = "" if event["anchor"] is None else f"{event['anchor']}; "
        self.setting = one_line(f"{name}{setting_words(event['setting'])}")

    def _ended(self, event: Event) -> None:
        number = event["trial"]
        self.names[number] = event["anchor"] or event["data_type"]
        self.failure = failure_words(event) or self.failure
        self.setting = ""
        self._does("choosing a setting", event)
        if event.get("accuracy") is not None:
            self._place(event)

    def _place(self, event: Event) -> None:
        """Puts what was measured into the picture."""
        number, speedup, accuracy = event["trial"], event["speedup"], event["accuracy"]
        if not self.metric:
            self._judged_by(accuracy["metric"])
        is_float32 = event["data_type"] == FLOAT32
        # FP32 in its other form is known by an interval; nothing is held against it.
        if speedup is None or (is_float32 and speedup["low"] < speedup["high"]):
            return
        self._figures[number] = speedup["value"], accuracy["value"]
        if is_float32:
            self._float32.add(number)

    def _progress(self, event: Event) -> None:
        self.progress = event

    def _search_ended(self, _: Event) -> None:
        self.searching = False
