"""FP32 in each of its forms, measured once per study; one of them is the baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
        InputError: it was measured in other forms than this target has, or its outputs of samples
            that are held back will not do.
    """
    path = _path(folder)
    if not path.exists():
        bench, field = session.bench, session.switch.field
        forms = {_NAMES[state]: one.to_json() for state, one in bench.float32().items()}
        bench.check_held_back()
        write_json(path, {"format": FORMAT, field: bench.baseline_state, **forms})
    return known_baseline(session, folder)


def agreed_baseline(
    session: Session, folder: RunFolder, agree: Callable[[bool | None], bool | None]
) -> dict[bool, Measurement]:
    """The same where several machines must use one form as the baseline.

    Args:
        session: its bench measures.
        folder: where it is kept.
        agree: gives the state that all use, of those that were proposed the first; None: none was.

    Raises:
        TargetError, InputError: as above.
    """
    bench = session.bench
    settled = agree(None)
    if settled is not None:
        _use(session, settled)
    measured = measured_baseline(session, folder)
    settled = agree(bench.baseline_state)
    if settled is not None and settled != bench.baseline_state:
        # Another machine was faster to say so, or the study was another one's until now.
        _use(session, settled)
        _path(folder).unlink()
        measured = measured_baseline(session, folder)
    return measured


def _use(session: Session, state: bool) -> None:
    """Makes FP32 under this state the baseline, whichever form is faster on this machine."""
    bench = session.bench
    bench.switch = replace(bench.switch, baseline=state)
    bench.baseline_state = state


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
