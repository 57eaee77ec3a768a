"""One published point in a program: figures, lists, variables, ready to be deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.errors import InputError
from amp_tuner.files import write_text
from amp_tuner.records import Point
from amp_tuner.results.deployed import Deployed
from amp_tuner.results.points import point_text, point_to_plain

#: As `amp-tune export --format` calls them.
_FORMS: dict[str, Callable[[Point], str]] = {
    "yaml": point_text,
    "env": lambda point: Deployed(point).env(),
    "python": lambda point: Deployed(point).python(),
    "docker": lambda point: Deployed(point).docker(),
    "kubernetes": lambda point: Deployed(point).kubernetes(),
}


@dataclass(frozen=True)
class StudyPoint(Point):
    """A point of a study; each key of its file (``pareto/NNN.yaml``) is an attribute.

    Speed-up and accuracy are intervals of 95 %: ``speedup.value``, ``accuracy.score.low``. All
    that the file holds, nested as it is there, is :meth:`to_dict`.
    """

    @property
    def data_type(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return self.setting.data_type

    @property
    def moves(self) -> Mapping[str, str]:
        """Op type or node (``node:NAME``) to list: what differs from the default lists."""
        return self.setting.moves

    @property
    def level(self) -> str:
        """The pass's level; usually ``default``."""
        return self.setting.level

    @property
    def onednn(self) -> bool | None:
        """TensorFlow's oneDNN switch; None where the runtime has none."""
        return self.setting.onednn

    @property
    def tf32(self) -> bool | None:
        """Whether float32 products may be rounded as TF32 does; None without such a switch."""
        return self.setting.tf32

    @property
    def nodes_16bit(self) -> int:
        """Nodes with at least one 16-bit type attribute."""
        return self.effective.nodes_16bit

    @property
    def casts(self) -> int:
        """Casts inserted, folded ones included."""
        return self.effective.casts

    @property
    def graph_id(self) -> str:
        """Equal for equal effective graphs."""
        return self.effective.graph_id

    def to_dict(self) -> dict[str, Any]:
        """What the point's file holds."""
        return point_to_plain(self)

    def text(self, form: str = "yaml") -> str:
        """The point as ``amp-tune export`` writes it.

        Args:
            form: ``yaml``, ``env``, ``python``, ``docker`` or ``kubernetes``.

        Raises:
            InputError: no such form.
        """
        if form not in _FORMS:
            raise InputError.one("form", f"found {form!r}; allowed: {', '.join(_FORMS)}")
        return _FORMS[form](self)

    def save(self, path: Path | str, form: str = "yaml") -> None:
        """Writes :meth:`text` to a file, whole or not at all.

        Raises:
            InputError: no such form.
            OSError: it cannot be written.
        """
        write_text(Path(path), self.text(form), shared=True)
