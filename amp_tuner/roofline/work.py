"""How much work a node is: operations, and on which unit, from its op type and its tensors' shapes.

A multiplication and an addition count as two operations, as in vendors' peak rates. An op type
that is not in ``op_types.json`` is taken for an element-wise op: one operation for each element of
its largest tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Optional

from amp_tuner.graph.traced_run import Shape


class Unit(Enum):
    """What computes."""

    MATRIX = "matrix"
    VECTOR = "vector"


class Kind(Enum):
    """Kinds of work; a profile may give a rate of its own for each."""

    FREE = "free"
    MATMUL = "matmul"
    CONVOLUTION = "convolution"
    DEPTHWISE = "depthwise"
    ELEMENTWISE = "elementwise"
    NORMALISATION = "normalisation"
    TRANSCENDENTAL = "transcendental"
    REDUCTION = "reduction"
    POOLING = "pooling"
    MOVEMENT = "movement"
    CAST = "cast"


#: Rates beside those of kinds: what convolutions gather a second, see ``Work``.
GATHERED, WINDOW_ROWS = "gathered", "window_rows"
#: Whose peak rate a kind of work has where the profile gives none of its own.
UNITS: Mapping[Kind, Unit] = {
    kind: Unit.MATRIX if kind in (Kind.MATMUL, Kind.CONVOLUTION) else Unit.VECTOR
    for kind in Kind
    if kind is not Kind.FREE
}

_OP_TYPES: Mapping[str, frozenset[str]] = {
    name: frozenset(op_types)
    for name, op_types in json.loads(
        Path(__file__).with_name("op_types.json").read_text(encoding="utf-8")
    ).items()
}
#: They call functions that are no part of the graph.
OPAQUE_OPS = _OP_TYPES["opaque"]
CONVOLUTIONS = _OP_TYPES["convolution"]
MATMULS = _OP_TYPES["matmul"]
CONTRACTIONS = CONVOLUTIONS | MATMULS | _OP_TYPES["depthwise"]
#: They read as much of their first input as they write.
SLICES = _OP_TYPES["slice"]
#: They read, and add up, a row of their first input for each element of their second.
SEGMENTS = _OP_TYPES["sparse_segment"]
#: Operations for an element of a transcendental function: range reduction, a polynomial of degree
#: five or six and scaling, as vector libraries evaluate them.
TRANSCENDENTAL_OPERATIONS = 16
#: Multiplying by a scale and adding an offset.
NORMALISATION_OPERATIONS = 2


class Product(NamedTuple):
    """A product of matrices, or a convolution as one (implicit GEMM).

    Attributes:
        batch: independent products.
        rows, columns: of each result.
        depth: products that each element of a result sums up.
    """

    batch: int
    rows: int
    columns: int
    depth: int

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.rows * self.columns * self.depth


class Work(NamedTuple):
    """What a node does in one run of it.

    Attributes:
        kind: which rate applies; FREE: tensors are only passed on, and nothing is launched.
        operations: how many.
        product: the product of matrices behind it, if it is one.
        spatial: a convolution whose filter is wider than 1.
        gathered: elements of the windows that a spatial convolution multiplies, overlaps counted
            each time: what is copied together before it can be multiplied.
        window_rows: pieces that they are copied in; along a window's last dimension, with all
            channels, what is copied lies in one piece. 0 of depthwise and transposed convolutions,
            as ``gathered``.
        winograd: a 3 x 3 convolution of stride 1, not dilated and of one group.
    """

    kind: Kind
    operations: float
    product: Optional[Product] = None
    spatial: bool = False
    winograd: bool = False
    gathered: float = 0.0
    window_rows: float = 0.0


FREE = Work(Kind.FREE, 0.0)


def work_of(
    op: str,
    inputs: Sequence[Optional[Shape]],
    outputs: Sequence[Optional[Shape]],
    attributes: Mapping[str, Any],
) -> Work:
    """The work of a node.

    Args:
        op: op type.
        inputs: shapes by port; None where unknown.
        outputs: the same.
        attributes: see TracedNode.
    """
    if op in _OP_TYPES["free"]:
        return FREE
    output = next((shape for shape in outputs if shape is not None), None)
    known = [shape for shape in inputs if shape is not None]
    for ops, of_kind in _KINDS:
        if op in ops and output is not None and len(known) >= min(2, len(inputs)):
            return of_kind(known, output, attributes)
    if "BatchNorm" in op:
        return Work(Kind.NORMALISATION, NORMALISATION_OPERATIONS * _largest([*known, output]))
    return Work(Kind.ELEMENTWISE, _largest([*known, output]))


def elements(shape: Optional[Shape]) -> int:
    """Of a tensor; 0 where its shape is not known."""
    return 0 if shape is None else math.prod(shape)


def _largest(shapes: Sequence[Optional[Shape]]) -> int:
    return max(map(elements, shapes), default=0)


def _convolution(inputs: Sequence[Shape], output: Shape, attributes: Mapping[str, Any]) -> Work:
    """The filter's last dimension is the output's channels; groups shorten its next to last."""
    picture, kernel = inputs[0], inputs[1]
    channels = kernel[-1]
    places, window = elements(output) // max(1, channels), kernel[:-2]
    product = Product(1, places, channels, math.prod(kernel[:-1]))
    is_first = str(attributes.get("data_format")).startswith("NC")
    groups = picture[1 if is_first else -1] // max(1, kernel[-2])
    spatial = math.prod(window) > 1
    return Work(
        Kind.CONVOLUTION,
        product.operations,
        product,
        spatial=spatial,
        gathered=places * product.depth if spatial else 0,
        window_rows=places * math.prod(window[:-1]) if spatial else 0,
        winograd=window == (3, 3) and groups == 1 and set(attributes.get("steps", ())) == {1},
    )


def _transposed(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> Work:
    """Inputs are sizes, filter (…, output's channels, input's channels), picture."""
    kernel, picture = inputs[1], inputs[2] if len(inputs) > 2 else output
    places = elements(picture) // max(1, kernel[-1])
    product = Product(1, places, math.prod(kernel[:-1]), kernel[-1])
    return Work(Kind.CONVOLUTION, product.operations, product, spatial=True)


def _depthwise(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> Work:
    return Work(Kind.DEPTHWISE, 2 * elements(output) * math.prod(inputs[1][:2]), spatial=True)


def _matmul(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> Work:
    """Whether the first input is transposed or not, its two dimensions are rows and depth."""
    rows, columns = output[-2], output[-1]
    depth = math.prod(inputs[0][-2:]) // max(1, rows)
    product = Product(math.prod(output[:-2]), rows, columns, depth)
    return Work(Kind.MATMUL, product.operations, product)


def _einsum(inputs: Sequence[Shape], output: Shape, attributes: Mapping[str, Any]) -> Work:
    """Each index runs once: the product of their sizes is the number of multiplications."""
    terms = attributes["equation"].replace(" ", "").split("->")
    names = terms[0].split(",")
    if len(names) != 2:
        return Work(Kind.ELEMENTWISE, 2 * _largest([*inputs, output]))
    names = [_spelt(name, len(shape)) for name, shape in zip(names, inputs)]
    sizes: dict[str, int] = {}
    for term, shape in zip(names, inputs):
        for index, length in zip(term, shape):
            # What is broadcast has length 1 on one side.
            sizes[index] = max(length, sizes.get(index, 1))
    left, right = (set(name) for name in names)
    kept = set(terms[1]) if len(terms) > 1 else left ^ right
    kept |= {index for index in sizes if index.isdigit()}

    def size(indices: set[str]) -> int:
        return math.prod(sizes[index] for index in indices)

    product = Product(
        batch=size(left & right & kept),
        rows=size((left - right) & kept),
        columns=size((right - left) & kept),
        depth=size((left | right) - kept),
    )
    return Work(Kind.MATMUL, product.operations, product)


def _spelt(term: str, rank: int) -> str:
    """A term of an equation with its ellipsis as digits, which count from the right."""
    letters = len(term.replace("...", ""))
    dimensions = range(rank - letters - 1, -1, -1)
    return term.replace("...", "".join(str(dimension % 10) for dimension in dimensions))


def _segments(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> Work:
    return Work(Kind.REDUCTION, gathered(inputs[1], output))


def gathered(indices: Optional[Shape], output: Optional[Shape]) -> int:
    """Elements of the rows that a sum over segments reads.

    Args:
        indices: shape of the second input, which names the rows.
        output: of the op; its rows are as long.
    """
    segments = output[0] if output else 1
    return elements(indices) * (elements(output) // max(1, segments))


def _pooling(_: Sequence[Shape], output: Shape, attributes: Mapping[str, Any]) -> Work:
    return Work(Kind.POOLING, elements(output) * attributes.get("window", 1))


def _transcendental(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> Work:
    return Work(Kind.TRANSCENDENTAL, TRANSCENDENTAL_OPERATIONS * _largest([*inputs, output]))


def _reduction(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> Work:
    return Work(Kind.REDUCTION, _largest([*inputs, output]))


def _movement(_: Sequence[Shape], output: Shape, __: Mapping[str, Any]) -> Work:
    return Work(Kind.MOVEMENT, elements(output))


def _cast(_: Sequence[Shape], output: Shape, __: Mapping[str, Any]) -> Work:
    return Work(Kind.CAST, elements(output))


_OfKind = Callable[[Sequence[Shape], Shape, Mapping[str, Any]], Work]
_KINDS: tuple[tuple[frozenset[str], _OfKind], ...] = (
    (CONVOLUTIONS, _convolution),
    (_OP_TYPES["transposed_convolution"], _transposed),
    (_OP_TYPES["depthwise"], _depthwise),
    (MATMULS, _matmul),
    (_OP_TYPES["einsum"], _einsum),
    (_OP_TYPES["pooling"], _pooling),
    (_OP_TYPES["transcendental"], _transcendental),
    (_OP_TYPES["reduction"], _reduction),
    (SEGMENTS, _segments),
    (SLICES | _OP_TYPES["movement"], _movement),
    (_OP_TYPES["cast"], _cast),
)
