"""Rows of the comparing tables, from measurements."""

from __future__ import annotations

from amp_tuner.cli.terminal import Row
from amp_tuner.comparing import Compared
from amp_tuner.records import Measurement, Point

#: What a verdict says in a table.
VERDICTS = {"meets": "meets", "misses": "misses", "uncertain": "not certain"}


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
    )


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
    )


def compared_row(compared: Compared) -> Row:
    """A row for any outcome."""
    data_type = compared.setting.data_type
    if compared.measurement is not None:
        return measured_row(compared.name, data_type, compared.measurement)
    same, cause = compared.same_as, compared.cause
    remark = f"failed: {cause}" if same is None else f"same graph as {same}"
    return Row(compared.name, data_type, None, None, None, None, remark)
