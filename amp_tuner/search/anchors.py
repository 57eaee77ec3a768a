"""The settings that every study tries first.

FP32 in each of its forms (one is the baseline), each data type's default lists, all op types
that may go to 16 bits, and, where the pass has that level, everything forced.
"""

from __future__ import annotations

from dataclasses import dataclass

from amp_tuner.amp.rules import RuleSet
from amp_tuner.records import FLOAT32, Setting
from amp_tuner.search.space import SearchSpace
from amp_tuner.target.switches import Switch

_FORCE = "unsafe_force_all"


@dataclass(frozen=True)
class Anchor:
    """A named setting.

    Attributes:
        name: as tables and files show it; unique in a study.
        setting: what runs.
        reference: listed with every front: FP32 and default AMP.
    """

    name: str
    setting: Setting
    reference: bool


def float32_anchor(switch: Switch, state: bool) -> Anchor:
    """FP32 under one state of the target's switch."""
    return Anchor(switch.names[state], switch.put(Setting(FLOAT32), state), reference=True)


def default_anchor(data_type: str) -> Anchor:
    """A rule set's lists as they are: default AMP."""
    return Anchor(f"default {data_type}", Setting(data_type), reference=True)


def anchors(space: SearchSpace, rules: tuple[RuleSet, ...], switch: Switch) -> tuple[Anchor, ...]:
    """Every anchor of a study, in the order in which they run."""
    found = [float32_anchor(switch, state) for state in switch.states]
    found += [default_anchor(rule.data_type) for rule in rules]
    for rule in rules:
        moves = {
            op_type: "allow" for op_type in space.op_types if rule.lists.list_of(op_type) != "allow"
        }
        setting = Setting(rule.data_type, moves)
        found.append(Anchor(f"everything {rule.data_type}", setting, reference=False))
    for rule in rules:
        if _FORCE in rule.levels:
            forced = Setting(rule.data_type, level=_FORCE)
            found.append(Anchor(f"forced {rule.data_type}", forced, reference=False))
    return tuple(found)
