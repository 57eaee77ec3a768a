"""A published point in the forms that are one text, each ready to be deployed."""

from __future__ import annotations

from dataclasses import dataclass

from amp_tuner.records import Point
from amp_tuner.results.activation import is_baked
from amp_tuner.results.container_files import config_map_text, container_text
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.python_snippet import python_text


@dataclass(frozen=True)
class Deployed:
    """A point as it is deployed.

    Attributes:
        point: as measured, or as predicted for another runtime.
        other: it was predicted for a runtime that was not measured.
    """

    point: Point
    other: bool = False

    @property
    def measured(self) -> bool:
        """The family's own pass was what was measured."""
        return self.point.runtime == self.point.family and not self.other

    @property
    def baked(self) -> bool:
        """The baked model was what was measured."""
        return is_baked(self.point) and not self.other

    def env(self) -> str:
        """For any POSIX shell; around the baked model where XLA compiled it."""
        compiled = self.point.runtime == "xla" and not self.other
        return environment_text(self.point, measured=self.measured, baked=compiled)

    def python(self) -> str:
        """A module: ``apply()`` switches the pass on, ``load()`` gives the baked model."""
        return python_text(self.point, baked=self.baked)

    def docker(self) -> str:
        """Variables for ``docker run --env-file`` and systemd's ``EnvironmentFile=``."""
        return container_text(self.point, measured=self.measured, baked=self.baked)

    def kubernetes(self) -> str:
        """Variables as a ConfigMap."""
        return config_map_text(self.point, measured=self.measured, baked=self.baked)
