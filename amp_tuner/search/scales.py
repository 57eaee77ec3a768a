"""On which scale a target is a sum over what is 16-bit.

Times of kernels add up, and so do the squares of errors that have nothing to do with each other
(Gaudi mixed precision, arXiv 2505.13060); other errors multiply. The search thinks in logarithms
throughout; here is the way from there to a scale, and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

_ROOT_OF_2_PI = float(np.sqrt(2 * np.pi))
#: What is predicted to be further below the least value is taken for so many deviations below it.
_FURTHEST = -2.0
#: A power of a time that sums make 0 or less.
_TINY = 1e-6


@dataclass(frozen=True)
class Scale:
    """The logarithm, or a power, of a target.

    Attributes:
        power: 0 for the logarithm.
        float32: the logarithm of FP32's value, from where a power's sum begins; None: unknown.
        least: no value's logarithm is below it.
    """

    power: float = 0.0
    float32: float | None = None
    least: float = -np.inf

    def there(self, logs: Array) -> Array:
        """Logarithms as values on the scale."""
        return np.exp(self.power * logs) if self.power else logs

    def slope(self, logs: Array) -> Array:
        """By how much the value on the scale grows with the logarithm."""
        return self.power * np.exp(self.power * logs) if self.power else np.ones_like(logs)

    def plus(self, logs: Array, added: Array) -> Array:
        """Logarithms of values to which something on the scale was added."""
        if not self.power:
            return logs + added
        least = max(float(np.exp(self.power * self.least)), _TINY)
        found: Array = np.log(np.maximum(self.there(logs) + added, least)) / self.power
        return found

    def back(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the logarithm of what is normal on the scale.

        What is below the least value counts as the least value; the lognormal distribution with
        the mean and the variance of the rest takes its place.
        """
        if not self.power:
            return mean, deviation
        least = float(np.exp(self.power * self.least))
        away = np.maximum((mean - least) / deviation, _FURTHEST)
        density = np.exp(-0.5 * away**2) / _ROOT_OF_2_PI
        first = deviation * (away * ndtr(away) + density)
        second = deviation**2 * ((away**2 + 1) * ndtr(away) + away * density)
        centre = least + first
        square = np.log1p(np.maximum(second - first**2, 1e-18) / centre**2)
        return (np.log(centre) - square / 2) / self.power, np.sqrt(square) / self.power


LOGARITHM = Scale()
