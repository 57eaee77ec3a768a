"""What a study proposes, what it is told, and what is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from amp_tuner.search.evidence import Prediction

#: The objective of a trial that the accuracy check ended before it was timed: FP32's own, neutral
#: for samplers that fit a model. It violates the constraint, and samplers rank it by that.
NEVER_TIMED = 1.0


@dataclass(frozen=True)
class Proposal:
    """What is to be tried next.

    Attributes:
        number: the trial's number.
        parameters: as :class:`SearchSpace` encodes them.
        anchor: the anchor's name, where it is one.
        predicted: what the sampler expects of it, where it expects anything.
        moves: all of them, where nodes are among them, of which the parameters know nothing.
    """

    number: int
    parameters: Mapping[str, str]
    anchor: str | None
    predicted: Prediction | None = None
    moves: Mapping[str, str] | None = None

    def expected(self) -> dict[str, Any] | None:
        """The prediction as JSON."""
        return None if self.predicted is None else asdict(self.predicted)


@dataclass(frozen=True)
class Objectives:
    """What Optuna is told.

    Attributes:
        speedup: to maximise; NEVER_TIMED where the accuracy check ended the trial.
        drop: loss of accuracy, to minimise.
        violation: above 0 where the accuracy goal is missed.
        timed: whether ``speedup`` was measured.
        usual: whether the parameters say all that ran (they know no level).
        speedup_interval, drop_interval: of 95 %, where they are known.
    """

    speedup: float
    drop: float
    violation: float
    timed: bool = True
    usual: bool = True
    speedup_interval: tuple[float, float] | None = None
    drop_interval: tuple[float, float] | None = None

    def told(self) -> dict[str, Any]:
        """What sampler ``amp`` wants to know beside the values; JSON."""
        return {
            "timed": self.timed,
            "usual": self.usual,
            "speedup": self.speedup_interval,
            "drop": self.drop_interval,
        }


@dataclass(frozen=True)
class Running:
    """A trial without an end.

    Attributes:
        proposal: what is tried.
        lease: who runs it and until when.
        begun: what :meth:`TuningStudy.begin` was told; None where nothing had begun to run.
    """

    proposal: Proposal
    lease: Mapping[str, Any]
    begun: Mapping[str, Any] | None
