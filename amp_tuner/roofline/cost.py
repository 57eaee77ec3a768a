"""The modelled time of a rewritten graph on a device.

A kernel takes as long as its arithmetic or its memory traffic, whichever is longer (the roofline
of Williams, Waterman and Patterson, CACM 52, 2009), and a launch. Kernels run one after the other;
where a host dispatches them to a device, a run takes as long as the slower of the two:

    run + max(sum over kernels of (launch + max(arithmetic, traffic)), kernels * dispatch)

Casts of constants wait for no other kernel, so the host's threads dispatch them beside the rest.

- *Arithmetic*: see ``rates.py``.
- *Traffic*: every tensor that a kernel reads or writes, in the type that it has there. A tensor
  that is no larger than half of the cache comes from the cache. Weights do if all of them fit; what
  is read in 16 bits, if all would in 16 bits.
- *Casts* of constants are folded into the weights, as the baked model has them. All others are
  kernels that read one type and write the other.

What a graph takes does not depend on values, so a painting is priced in about the time that it
takes to paint it. Nothing here is measured: whoever shows a figure says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from amp_tuner.errors import InputError
from amp_tuner.rewrite.effective import mismatched_edges
from amp_tuner.roofline.fusion import STYLES, chains_of
from amp_tuner.roofline.tables import FLOAT32, Tables

if TYPE_CHECKING:
    from amp_tuner.graph.traced_run import TracedRun
    from amp_tuner.rewrite.paint import Painting
    from amp_tuner.rewrite.prepare import PreparedGraph
    from amp_tuner.roofline.device import DeviceProfile
    from amp_tuner.roofline.tables import Bools, Floats, Ints


class Price(NamedTuple):
    """What a run takes, in seconds, and where it goes.

    Attributes:
        seconds: all of it.
        kernels: how many, Casts included.
        casts: how many of them are Casts.
        arithmetic_s, traffic_s: of the kernels that are bound by each; without Casts.
        casts_s: of Casts, launches included.
        layout_s: of changing layouts for convolutions.
        dispatch_s: of the host; what exceeds the device's time is waited for.
    """

    seconds: float
    kernels: float
    casts: float
    arithmetic_s: float
    traffic_s: float
    casts_s: float
    layout_s: float
    dispatch_s: float


class CostModel:
    """One model on one device: worked out once, then any painting of the graph is priced.

    Args:
        prepared: the graph under one rule set.
        run: what one real FP32 run of it showed.
        profile: the device; it has rates for the rule set's data type.
        folded: casts of constants are folded, as in the baked model. False: they run every time,
            as where a pass rewrites a model whose weights are variables.

    Raises:
        InputError: the profile lacks the data type, the run is of another graph, or nodes call
            functions whose work is not known.
    """

    def __init__(
        self,
        prepared: PreparedGraph,
        run: TracedRun,
        profile: DeviceProfile,
        *,
        folded: bool = True,
    ) -> None:
        data_type = prepared.rules.data_type
        if data_type not in profile.data_types:
            message = f"{profile.name} has no rates for {data_type}"
            raise InputError.one("$.target.profile", message)
        self._prepared = prepared
        self._profile = profile
        self._tables = tables = Tables.of(prepared, run, profile, folded=folded)
        style = STYLES[profile.fusion]
        self._chains = chains_of(prepared.graph, style, tables.constant, tables.work)
        fused = frozenset(profile.fused)
        of_types = [fused & (chain.data_types or fused) for chain in self._chains]
        self._fused_in_full = np.array([FLOAT32 in types for types in of_types], dtype=np.bool_)
        self._fused_in_half = np.array([data_type in types for types in of_types], dtype=np.bool_)
        self._absorbs = np.array(
            [prepared.graph.nodes[node].op in style.casts_behind for node in tables.port_node],
            dtype=np.bool_,
        )

    def milliseconds(self, painting: Painting) -> float:
        """The modelled time of one run of the painted graph."""
        return 1000 * self.price(painting).seconds

    def float32_milliseconds(self) -> float:
        """The modelled time of one run of the FP32 graph."""
        return 1000 * self.float32_price().seconds

    def price(self, painting: Painting) -> Price:
        """The same as :meth:`milliseconds`, with what it consists of."""
        return self._price(painting.painted, mismatched_edges(self._prepared, painting))

    def float32_price(self) -> Price:
        """The same as :meth:`float32_milliseconds`, with what it consists of."""
        tables = self._tables
        return self._price(
            np.zeros(tables.vertex_node.size, dtype=np.bool_),
            np.zeros(tables.edge_node.size, dtype=np.bool_),
        )

    def _price(self, painted: Bools, mismatched: Bools) -> Price:
        tables, launch_s = self._tables, self._profile.launch_s
        nodes = tables.runs.size
        is_half = np.bincount(tables.vertex_node, painted, nodes) > 0
        half_port = painted[tables.port_vertex]
        reads = tables.reads.chosen(painted[self._prepared.edge_source] != mismatched)
        absorbed = self._absorbed(half_port, mismatched)
        writes = tables.writes.chosen(half_port & ~absorbed)
        group = self._grouped(is_half, mismatched, reads, writes)
        traffic_s = np.bincount(group[tables.edge_node], reads, nodes)
        traffic_s += np.bincount(group[tables.port_node], writes, nodes)
        arithmetic_s = np.bincount(group, tables.compute.chosen(is_half), nodes)
        kernels = float(tables.kernels[group == np.arange(nodes)].sum())
        cast_ports = np.zeros(half_port.size, dtype=np.bool_)
        cast_ports[tables.port_of_edge[mismatched]] = True
        cast_runs = tables.cast_runs * (cast_ports & ~absorbed)
        casts = float(cast_runs.sum())
        casts_s = float((cast_runs * (tables.casts.chosen(half_port) + launch_s)).sum())
        layout_s = float(tables.layout.chosen(is_half).sum())
        kernels_s = launch_s * kernels + float(np.maximum(arithmetic_s, traffic_s).sum())
        waiting = kernels + float(cast_runs[~tables.constant_port].sum())
        dispatch_s = self._profile.dispatch_s * waiting
        computes = arithmetic_s >= traffic_s
        return Price(
            # A graph of nothing but renamed tensors is run all the same.
            self._profile.run_s + max(kernels_s + casts_s + layout_s, dispatch_s, launch_s),
            kernels + casts,
            casts,
            float(arithmetic_s[computes].sum()),
            float(traffic_s[~computes].sum()),
            casts_s,
            layout_s,
            dispatch_s,
        )

    def _absorbed(self, half_port: Bools, mismatched: Bools) -> Bools:
        """Ports whose kernel writes float32 itself, since nobody reads the 16-bit tensor."""
        tables = self._tables
        casting = np.bincount(tables.port_of_edge, mismatched, half_port.size)
        absorbed: Bools = self._absorbs & half_port & (casting == tables.readers)
        return absorbed

    def _grouped(self, is_half: Bools, mismatched: Bools, reads: Floats, writes: Floats) -> Ints:
        """The first node of each node's kernel; what stays within a kernel is not moved any more.

        Args:
            is_half: of each node.
            mismatched: edges with a Cast.
            reads: of each edge; changed.
            writes: of each port; changed.
        """
        group = np.arange(is_half.size)
        fused: set[int] = set()
        may_fuse = (self._fused_in_full, self._fused_in_half)
        cast, half = mismatched.tolist(), is_half.tolist()
        for number, (nodes, edges, _) in enumerate(self._chains):
            # The longest come first: what is in one already is not fused again.
            if not may_fuse[half[nodes[0]]][number] or not fused.isdisjoint(nodes):
                continue
            if any(cast[edge] for edge in edges):
                continue
            fused.update(nodes)
            group[list(nodes)] = nodes[0]
            reads[list(edges)] = 0.0
            writes[self._tables.port_of_edge[list(edges)]] = 0.0
        return group
