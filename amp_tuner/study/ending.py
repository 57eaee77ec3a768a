"""What follows the search: minimal settings, the front measured again, the rest of the budget."""

from __future__ import annotations

import math

from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Trial
from amp_tuner.results.event_log import EventLog
from amp_tuner.study.confirming import confirm, read_confirmations
from amp_tuner.study.contending import in_doubt, to_confirm, to_minimise
from amp_tuner.study.minimal_settings import minimised, read_minimal
from amp_tuner.study.minimising import Minimising
from amp_tuner.study.repeating import Repeating
from amp_tuner.study.session import Session
from amp_tuner.study.tuning import Tuning


def end(session: Session, folder: RunFolder, log: EventLog, tuning: Tuning) -> None:
    """Makes the front's settings minimal, confirms them, and settles what is in doubt.

    Args:
        session: its bench measures.
        folder: where all of it is kept; what was done before is not done again.
        log: told what happens.
        tuning: the study, its search over.

    Raises:
        TargetError: the target cannot run the FP32 model any more.
        KeyboardInterrupt: the same command goes on.
    """
    budget_s = session.config.search.time_budget_s

    def left_s() -> float:
        if not tuning.disk.has_room_for(1):
            return -math.inf
        return math.inf if budget_s is None else budget_s - tuning.clock.spent_s()

    def shown() -> dict[int, Trial]:
        return minimised(tuning.trials, read_minimal(folder), read_confirmations(folder))

    def chosen() -> list[Trial]:
        now = shown()
        substitutes = (one.replaced_by for one in read_minimal(folder).values())
        return to_confirm(session, now, [one for one in substitutes if one in now])

    def left_beside_confirmation_s() -> float:
        members = [one for one in chosen() if one.setting.data_type != FLOAT32]
        missing = {one.number for one in members} - read_confirmations(folder).keys()
        return left_s() - tuning.budget.confirmation_s(len(missing))

    minimising = Minimising(session, folder, log, tuning, left_beside_confirmation_s)

    repeating = Repeating(session, folder, tuning.phases, left_s)

    def front() -> None:
        minimising.drop_idle_moves([one.number for one in chosen()])
        minimising.drop_needless_moves(to_minimise(session, folder, shown()))
        # A process that served the search all night is not one that a user will start.
        session.bench.close()
        confirm(session, folder, chosen(), tuning.phases, lambda: left_s() < 0)
        repeating.repeat(chosen())

    def doubtful() -> list[Trial]:
        numbers = in_doubt(session, folder, shown())
        minimising.drop_idle_moves(numbers)
        return [shown()[number] for number in numbers]

    # Twice: measured afresh, the front may be another one, and a substitute may fall short.
    front()
    front()
    if budget_s is not None:
        repeating.settle(doubtful)
        front()
