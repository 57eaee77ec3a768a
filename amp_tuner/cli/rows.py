"""Rows of the comparing tables, from measurements."""

from __future__ import annotations

from collections.abc import Sequence

from amp_tuner.cli.terminal import Row
from amp_tuner.records import Interval, Measurement, Point, Timing
from amp_tuner.report.words import VERDICTS
from amp_tuner.study.comparing import Compared


def measured_row(name: str, data_type: str, measurement: Measurement) -> Row:
    """A row with figures."""
    timing, accuracy = measurement.timing, measurement.accuracy
    return Row(
        name=name,
        data_type=data_type,
        speedup=None if timing is None else timing.speedup,
        accuracy=accuracy.score,
        nodes_16bit=measurement.effective.nodes_16bit,
        casts=measurement.effective.casts,
        remark=VERDICTS[accuracy.verdict],
        latency_ms=None if timing is None else _latency_ms(timing),
        throughput=None if timing is None else timing.throughput["candidate"],
        modelled_for=None if timing is None else timing.modelled_for,
    )


def _latency_ms(timing: Timing) -> float | None:
    """The median run, or the model's one figure."""
    found = timing.latency_ms["candidate"]
    return found.get("modelled", found.get("p50"))


def point_row(name: str, point: Point) -> Row:
    """A row for a published point."""
    return Row(
        name=name,
        data_type=point.setting.data_type,
        speedup=point.speedup,
        accuracy=point.accuracy.score,
        nodes_16bit=point.effective.nodes_16bit,
        casts=point.effective.casts,
        remark=VERDICTS[point.accuracy.verdict],
        modelled_for=point.modelled_for,
    )


def compared_row(compared: Compared) -> Row:
    """A row for any outcome."""
    data_type = compared.setting.data_type
    if compared.measurement is not None:
        return measured_row(compared.name, data_type, compared.measurement)
    same, cause = compared.same_as, compared.cause
    remark = f"failed: {cause}" if same is None else f"same graph as {same}"
    return Row(compared.name, data_type, None, None, None, None, remark)


def relative_title(batch_size: int) -> str:
    """What is compared at a batch size: how soon one sample is done, or how many are."""
    return "latency, batch of 1" if batch_size == 1 else f"throughput, batches of {batch_size}"


def relative_figures(compared: Sequence[Compared], batch_size: int) -> dict[str, Interval]:
    """Each setting's latency (below 1 is better) or throughput (above 1 is) over FP32's."""
    figures: dict[str, Interval] = {}
    for one in compared:
        timing = None if one.measurement is None else one.measurement.timing
        if one.same_as in figures:
            figures[one.name] = figures[one.same_as]
        elif timing is not None:
            ratio = timing.speedup
            figures[one.name] = ratio if batch_size > 1 else ratio.inverse()
    return figures
