"""What a study asks of its storage beside what Optuna does: writes are gathered, others may write.

What stands in the way of reading a storage that is none of ours is told as bad input.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from amp_tuner.errors import InputError

#: What Optuna raises for a storage that it did not write.
BROKEN = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class StudyStorage(BaseStorage):
    """Where one study's trials are.

    Attributes:
        where: what is at fault if the storage is: a file, or the study file's key.
        cut_bytes: how much of a torn line was cut off.
        may_wait: whether a trial may be waiting; before each proposal Optuna looks for one.
    """

    where: str
    cut_bytes = 0
    may_wait = True

    @abstractmethod
    def refresh(self) -> list[FrozenTrial]:
        """Reads what others did: trials that are new or have changed, and are not this tuner's."""

    @abstractmethod
    def take(self, trial_id: int) -> None:
        """From now on a trial that was another tuner's is written by this one."""

    @abstractmethod
    def flush(self) -> None:
        """Writes what was gathered; it survives a power cut once this returns."""

    @abstractmethod
    def close(self) -> None:
        """Gives back what is open."""


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Makes what Optuna raises for a broken storage an error of the input.

    Raises:
        InputError: the storage is broken.
    """
    try:
        yield
    except BROKEN as error:
        message = f"broken, or not written by amp-tune: {type(error).__name__}: {error}"
        raise InputError.one(where, message) from error
