"""What one real FP32 run of a model showed: how often each node ran, and each tensor's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TracedNode:
    """A node in that run.

    Attributes:
        runs: how often it ran: 0 in a branch that was not taken, more than once in a loop.
        shapes: of each output port; the largest where a loop gives several, None where the port
            gave nothing.
        attributes: those of the op that decide how much work it is: ``equation`` of an Einsum,
            ``window`` (elements) of a pooling op; of a convolution ``steps``, its strides and
            dilations, and its ``data_format``.
    """

    runs: int
    shapes: tuple[Optional[Shape], ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def shape(self, port: int) -> Optional[Shape]:
        """Of an output port; None where it is not known."""
        return self.shapes[port] if port < len(self.shapes) else None


@dataclass(frozen=True)
class TracedRun:
    """A run on one batch.

    Attributes:
        batch_size: samples in the batch.
        nodes: in the order of the typed graph's nodes.
    """

    batch_size: int
    nodes: tuple[TracedNode, ...]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the inverse of :meth:`from_json`."""
        nodes = [[node.runs, node.shapes, dict(node.attributes)] for node in self.nodes]
        return {"batch_size": self.batch_size, "nodes": nodes}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TracedRun:
        """A run from what :meth:`to_json` gave, through JSON."""
        nodes = (
            TracedNode(runs, tuple(map(_shape, shapes)), attributes)
            for runs, shapes, attributes in value["nodes"]
        )
        return cls(value["batch_size"], tuple(nodes))


def _shape(found: Optional[Sequence[int]]) -> Optional[Shape]:
    return None if found is None else tuple(found)
