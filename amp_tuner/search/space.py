"""The search space: one categorical parameter per op type, and one for the data type.

The encoding is stored with the study for ever: ``data_type`` over ``float32`` and the study's
16-bit types; ``list:<OpType>`` over the five destinations, absolute (not against a default), the
same choices for every data type. FP32 is ``data_type: float32``; the lists are then ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amp_tuner.amp.lists import DESTINATIONS, AmpLists
from amp_tuner.records import FLOAT32, Setting

DATA_TYPE = "data_type"
_LIST = "list:"


@dataclass(frozen=True)
class SearchSpace:
    """What the sampler may propose.

    Attributes:
        data_types: the study's 16-bit types, in the study file's order.
        op_types: op types with a parameter, sorted: in the graph, able to be 16-bit there, and
            with a list that can matter, for at least one data type.
        proposed: destinations that the sampler may propose; another one that it draws means
            the default list.
        defaults: data type to the rule set's default lists.
    """

    data_types: tuple[str, ...]
    op_types: tuple[str, ...]
    proposed: tuple[str, ...]
    defaults: Mapping[str, AmpLists]

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Parameter name to its choices, in the order in which they are suggested."""
        lists = {_LIST + op_type: DESTINATIONS for op_type in self.op_types}
        return {DATA_TYPE: (FLOAT32, *self.data_types), **lists}

    def setting(self, parameters: Mapping[str, str]) -> Setting:
        """The setting that a set of parameters stands for, as moves against the defaults."""
        data_type = parameters[DATA_TYPE]
        if data_type == FLOAT32:
            return Setting(FLOAT32)
        default = self.defaults[data_type]
        drawn = {op_type: parameters[_LIST + op_type] for op_type in self.op_types}
        moves = {
            op_type: place
            for op_type, place in drawn.items()
            if place in self.proposed and place != default.list_of(op_type)
        }
        return Setting(data_type, moves)

    def parameters(self, setting: Setting) -> dict[str, str]:
        """Parameters that stand for ``setting``: the way back from :meth:`setting`.

        For FP32 the lists are those of the first data type. Moves of op types without a parameter
        are left out.
        """
        data_type = self.data_types[0] if setting.data_type == FLOAT32 else setting.data_type
        lists = self.defaults[data_type].moved(setting.moves)
        drawn = {_LIST + op_type: lists.list_of(op_type) for op_type in self.op_types}
        return {DATA_TYPE: setting.data_type, **drawn}
