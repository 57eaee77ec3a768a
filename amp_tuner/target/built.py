"""What a bench gives while settings are built, and how it tells what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Built:
    """Settings that are ready to run.

    Attributes:
        notices: about conversions that were not the predicted ones.
        steps_s: of each setting, by its key: seconds of the steps that are known.
    """

    notices: tuple[str, ...]
    steps_s: Mapping[str, Mapping[str, float]]


class Tell(Protocol):
    """Told each step of a measurement as it begins, before anything is timed."""

    def __call__(self, step: str, **about: float) -> None:
        """The step's name, and its size: of which samples, for how long at most."""


def tell_nobody(step: str, **about: float) -> None:
    """Where nobody follows."""
