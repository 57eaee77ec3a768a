"""A study's events in words, for people; each is one line that nothing in a name can break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amp_tuner.cli.terminal import interval
from amp_tuner.records import Interval
from amp_tuner.results.event_log import Event
from amp_tuner.text import one_line

#: Phases; the braces are fields of the event.
_PHASES = {
    "loading": "starting a worker, loading the model",
    "fp32": "measuring FP32",
    "counting": "looking for distinct graphs",
    "trial": "trial {trial}",
    "minimising": "trying to do without moves: {position}/{of}",
    "confirming": "measuring the front again: {position}/{of}",
    "repeating": "measuring the front once more: trial {trial}, process {process}/{of}",
    "settling": "measuring what is in doubt again: trial {trial}, {of} in doubt",
    "waiting": "waiting for what others measure",
    "report": "writing the report",
    "bundling": "proposing and lowering settings",
    "judging": "judging what was measured",
}
#: What its steps add.
_STEPS = {
    "starting": "starting a worker",
    "building": "building",
    "accuracy": "accuracy on {samples:,} samples",
    "timing": "timing for {at_most_s:g} s at most",
}
#: Events that a reader should know of.
_NOTES = {
    "notice": "{text}",
    "distinct_graphs": "{found}",
    "search_ended": "{why}",
    "storage_lost": "the {storage} is away, and waited for: {why}",
    "storage_back": "the database is back after {seconds:g} s",
    "superseded": "trial {trial} was measured elsewhere meanwhile: that result is kept",
    "not_confirmed": "trial {trial} failed when it was measured again: {cause}",
}


def phase_words(event: Event) -> str:
    """What is being done: the phase."""
    return _PHASES[event["phase"]].format(**event)


def step_words(event: Event) -> str:
    """What is being done: the phase and, within it, the step."""
    step = event.get("step")
    phase = phase_words(event)
    return phase if step is None else f"{phase}, {_STEPS[step].format(**event)}"


def note_words(event: Event) -> str | None:
    """What a reader should know of an event; None if it is nothing."""
    name = event["event"]
    if name == "swept":
        outcome = "it is repeated" if event["repeated"] else "it had not begun"
        return f"trial {event['trial']} was interrupted; {outcome}"
    return one_line(_NOTES[name].format(**event)) if name in _NOTES else None


def failure_words(event: Event) -> str | None:
    """Which trial an ``ended`` says has failed, and why; None if it was told another's end."""
    if event["cause"] is None or event["cached_from"] is not None:
        return None
    return one_line(f"trial {event['trial']} failed: {event['cause']}")


def ended_words(event: Event, progress: Event) -> str | None:
    """What an ``ended`` and the ``progress`` after it say; None of what was told another's end."""
    if event["cached_from"] is not None:
        return None
    head = f"trial {event['trial']} ({progress['measured']}/{progress['trials']})"
    name = event["anchor"] or event["data_type"]
    accuracy = event.get("accuracy")
    if accuracy is None:
        return one_line(f"{head} {name}: failed: {event['cause']}")
    score = f"{accuracy['metric']} {accuracy['value']:.6g} ({accuracy['verdict']})"
    return one_line(f"{head} {name}: {_speed(event)}, {score}")


def setting_words(setting: Mapping[str, Any]) -> str:
    """A setting on one line: its data type, and which op types go where."""
    moves = ", ".join(f"{op_type} to {place}" for op_type, place in setting["moves"].items())
    level = "" if setting["level"] == "default" else f", {setting['level']}"
    return one_line(f"{setting['data_type']}{level}{': ' if moves else ''}{moves}")


def speedup_words(speedup: Mapping[str, float]) -> str:
    """``1.234 [1.229, 1.240]x``, or the value alone where it is exact."""
    return f"{interval(Interval(**speedup))}x"


def _speed(event: Event) -> str:
    if event["speedup"] is None:
        return "not timed"
    modelled = "" if event["modelled_for"] is None else "modelled "
    return f"{modelled}{speedup_words(event['speedup'])}"
