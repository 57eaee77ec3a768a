"""Every error that the package raises on purpose.

AmpTunerError
├── InputError          exit code 2: what the user gave is wrong (all problems at once)
├── TargetError         exit code 3: the target cannot run
├── WorkerFailure       one trial's failure, with its cause; never ends a study
└── RewriteError        the real pass would fail on this graph with these lists

A message says what is wrong, where, what was found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: The exit code of a command that was interrupted; the same command goes on.
INTERRUPTED = 130


class AmpTunerError(Exception):
    """Base of all errors of this package."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the user's input.

    Attributes:
        where: a path into the study file (``$.target.device``), a file, or an option.
        message: what was found and what is allowed, one sentence.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class InputError(AmpTunerError):
    """Wrong config, model, data, metric or environment: every problem, one line each."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def one(cls, where: str, message: str) -> InputError:
        """An error with a single problem."""
        return cls([Problem(where, message)])


class TargetError(AmpTunerError):
    """The target (interpreter, TensorFlow, device) cannot run the baseline."""

    exit_code = 3


class StorageLost(AmpTunerError):
    """The database of a shared study was gone for too long; what ended is on this machine's disk.

    An interruption like any other: nothing is wrong with the input or the target, and the same
    command goes on where this one ended.
    """

    exit_code = INTERRUPTED


class WorkerFailure(AmpTunerError):
    """A request to the worker failed: the trial's cause.

    Attributes:
        cause: short and stable, for trials.csv: ``SIGSEGV``, ``timeout after 300 s``,
            ``memory above 8 GiB``, ``InvalidArgumentError: …``.
        last_words: the end of the worker's stderr, at most 4 KiB.
        fatal: whether the worker is gone and must be replaced.
        timed_out: whether it was ended for the time that it took.
    """

    def __init__(
        self, cause: str, last_words: str = "", *, fatal: bool, timed_out: bool = False
    ) -> None:
        self.cause = cause
        self.last_words = last_words
        self.fatal = fatal
        self.timed_out = timed_out
        super().__init__(cause)


class RewriteError(AmpTunerError):
    """The pass fails on this graph or these lists; the real one then leaves the graph as it was."""

    exit_code = 2
