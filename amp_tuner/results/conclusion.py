"""What a study says, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.judge.front import Front
from amp_tuner.records import FLOAT32, Interval, Point, Timing, baseline_name


def conclusion(accuracy: AccuracyConfig, front: Front, points: Mapping[int, Point]) -> str:
    """One plain sentence or two.

    Args:
        accuracy: metric and goal.
        front: what is published.
        points: every entry's point.
    """
    goal = f"{accuracy.metric} {accuracy.parsed_goal}"
    device, told = "this machine", ""
    modelled_for = modelled_device(points.values())
    if modelled_for is not None:
        device = f"the device model of {modelled_for}"
        told = f" Speed is modelled for {modelled_for}, not measured."
    if front.best is None:
        nearest = min(points.values(), key=lambda point: point.accuracy.drop.value)
        return (
            f"Nothing certainly meets the goal ({goal}), FP32 included. Nearest: trial "
            f"{nearest.number} ({nearest.setting.data_type}), {accuracy.metric} "
            f"{nearest.accuracy.score.value:.6g}.{told}"
        )
    best = points[front.best]
    baseline = baseline_name(best.setting)
    if best.setting.data_type == FLOAT32:
        return (
            f"{baseline} is best on {device}: no 16-bit setting is certainly faster and "
            f"certainly meets the goal ({goal}).{told}"
        )
    assert best.speedup is not None
    return (
        f"Best is trial {best.number}: {best.setting.data_type} with "
        f"{moves_in_words(best.setting.moves)}: {_times(best.speedup)} as fast as {baseline}, "
        f"and it certainly meets the goal ({goal}).{told}"
    )


def modelled_device(figures: Iterable[Timing | Point]) -> str | None:
    """The device whose model gave all speeds; None where they were measured."""
    return next((one.modelled_for for one in figures if one.modelled_for is not None), None)


def moves_in_words(moved: Mapping[str, str]) -> str:
    """``GatherV2 to allow, Sum to clear``; of many the first few."""
    moves = [f"{op_type} to {place}" for op_type, place in moved.items()]
    shown = ", ".join(moves[:6]) + (f" and {len(moves) - 6} more" if len(moves) > 6 else "")
    return shown or "the default lists"


def _times(speedup: Interval) -> str:
    exact = speedup.low == speedup.high
    within = "" if exact else f" [{speedup.low:.3f}, {speedup.high:.3f}]"
    return f"{speedup.value:.3f} times{within}"
