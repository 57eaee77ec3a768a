"""FP32 in each of its forms, measured once per study; one of them is the baseline."""

from __future__ import annotations

from pathlib import Path

from amp_tuner.errors import InputError
from amp_tuner.files import write_json
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import FORMAT, StoredBaseline, read_stored
from amp_tuner.records import Measurement
from amp_tuner.study.session import Session

_NAMES = {False: "off", True: "on"}


def measured_baseline(session: Session, folder: RunFolder) -> dict[bool, Measurement]:
    """FP32's measurements, by the state of the switch; measured if they were not before.

    Raises:
        TargetError: FP32 fails.
        InputError: it was measured in other forms than this target has.
    """
    path = _path(folder)
    if not path.exists():
        bench, field = session.bench, session.switch.field
        forms = {_NAMES[state]: one.to_json() for state, one in bench.float32().items()}
        write_json(path, {"format": FORMAT, field: bench.baseline_state, **forms})
    return known_baseline(session, folder)


def known_baseline(session: Session, folder: RunFolder) -> dict[bool, Measurement]:
    """FP32's measurements so far; the bench is told which form is the baseline.

    Raises:
        InputError: as above.
    """
    path = _path(folder)
    if not path.exists():
        return {}
    held = read_stored(path, StoredBaseline)
    state, forms = held.states().get(session.switch.field), held.forms()
    if state is None or not set(session.switch.states) <= forms.keys():
        message = "FP32 was measured in other forms than this target has"
        raise InputError.one(str(path), message)
    session.bench.baseline_state = state
    return forms


def _path(folder: RunFolder) -> Path:
    return folder.root / "baseline.json"
