"""What the sampler sees of a setting before anything runs: its painted graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amp_tuner.records import FLOAT32


@dataclass(frozen=True)
class Look:
    """One setting's effective graph, in numbers (:class:`amp_tuner.rewrite.work.Work`).

    Attributes:
        graph_id: equal for equal effective graphs.
        data_type: ``float32`` where nothing is 16-bit.
        painted, painted_nodes, borders: by op type, in the viewer's order; shape (op types,).
        casts: shape (4,).
    """

    graph_id: str
    data_type: str
    painted: NDArray[np.float64] = field(repr=False)
    painted_nodes: NDArray[np.float64] = field(repr=False)
    borders: NDArray[np.float64] = field(repr=False)
    casts: NDArray[np.float64] = field(repr=False)

    def share(self, *, by_nodes: bool) -> NDArray[np.float64]:
        """What of each op type is 16-bit: of its nodes, or of its work; shape (op types,)."""
        return self.painted_nodes if by_nodes else self.painted

    @property
    def is_16bit(self) -> bool:
        """Whether anything is 16-bit."""
        return self.data_type != FLOAT32


class Viewer(Protocol):
    """Paints settings.

    Attributes:
        op_types: those that a look tells apart.
        weight: of each op type its share of the graph's work; shape (op types,).
        nodes: of each op type its share of the graph's nodes; shape (op types,).
        paintings: so many new settings may be looked at for one proposal of a long study.
    """

    op_types: tuple[str, ...]
    weight: NDArray[np.float64]
    nodes: NDArray[np.float64]
    paintings: int

    def look(
        self, parameters: Mapping[str, str], lists: tuple[str, ...] | None = None
    ) -> Look | None:
        """The look of a set of parameters; None where the pass refuses it.

        Args:
            parameters: as the search space encodes them.
            lists: those that could be proposed when it ran; None: those of now.
        """
        ...


def lone_looks(viewer: Viewer, data_type: str) -> tuple[list[Look], list[Look]]:
    """All work of one op type alone in 16 bits, and none of it, Casts left out.

    Returns:
        Both for each of the viewer's op types, in its order.
    """
    size = len(viewer.op_types)
    nothing, casts = np.zeros(size), np.zeros(4)
    alone = [Look("", data_type, row, row, nothing, casts) for row in np.eye(size)]
    return alone, [Look("", data_type, nothing, nothing, nothing, casts)] * size
