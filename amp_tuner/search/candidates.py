"""Settings that might be worth a look: single moves, mutations, crossings, random ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.records import Setting
from amp_tuner.search.space import DATA_TYPE, SearchSpace

Parameters = Mapping[str, str]

#: A mutation moves so many op types.
_MOVED = (1, 1, 1, 2, 2, 3, 5)
#: A mutation or a crossing takes on the other data type this often.
_OTHER_TYPE = 0.1
#: Random settings: how alike the chances of the lists are, and the least of them.
_LIKING, _LEAST_LIKED = 0.5, 1e-6

Array = NDArray[np.float64]


class Candidates:
    """Draws parameters over a space; 16-bit ones only, since FP32 is known.

    Args:
        space: the search space.
        random: the only source of chance.
    """

    def __init__(self, space: SearchSpace, random: np.random.Generator) -> None:
        self._space = space
        self._random = random
        self._op_types = {f"list:{op_type}": op_type for op_type in space.op_types}
        self._places = {name: self._legal_places(one) for name, one in self._op_types.items()}
        self._movable = [name for name, places in self._places.items() if len(places) > 1]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are lists."""
        return tuple(self._op_types)

    def defaults(self) -> list[dict[str, str]]:
        """Each data type's default lists."""
        return [self._space.parameters(Setting(name)) for name in self._space.data_types]

    def legal(self, parent: Parameters) -> dict[str, str]:
        """The parent with default lists where its own may not be proposed."""
        defaults = self._space.parameters(self._space.setting(parent))
        return {**defaults, DATA_TYPE: parent[DATA_TYPE]}

    def single_moves(self, parent: Parameters) -> Iterator[dict[str, str]]:
        """Every setting that is one move away, in a fixed order."""
        for name in self._movable:
            for place in self._places[name]:
                if place != parent[name]:
                    yield {**parent, name: place}

    def mutated(self, parent: Parameters) -> dict[str, str]:
        """The parent after a few random moves."""
        child = self._maybe_other_type(parent)
        if not self._movable:
            return child
        count = min(int(self._random.choice(_MOVED)), len(self._movable))
        for place in self._random.choice(len(self._movable), count, replace=False).tolist():
            self._move(child, self._movable[place])
        return child

    def crossed(self, one: Parameters, other: Parameters) -> dict[str, str]:
        """Each list from one of two parents."""
        child = self._maybe_other_type(one)
        share = self._random.uniform(0.2, 0.8)
        from_other = self._random.random(len(self._movable)) < share
        for name, takes in zip(self._movable, from_other.tolist(), strict=True):
            if takes:
                child[name] = other[name]
        return child

    @property
    def movable(self) -> tuple[str, ...]:
        """Op types that more than one list may hold."""
        return tuple(self._op_types[name] for name in self._movable)

    def just(
        self, data_type: str, op_types: Collection[str], others: str = "deny"
    ) -> dict[str, str]:
        """All of some op types in 16 bits, as far as lists can say it.

        Args:
            data_type: a 16-bit one.
            op_types: those.
            others: the list of all others: ``deny`` keeps them out; on ``clear`` they follow
                their neighbours.
        """
        return self._placed(data_type, dict.fromkeys(op_types, "allow"), others)

    def spreading(
        self, data_type: str, seeds: Collection[str], ends: Collection[str], border: str
    ) -> dict[str, str]:
        """16 bits that spread from some op types as far as others let them.

        From nodes on ALLOW the pass goes on, both ways and any distance, through nodes on CLEAR:
        what hangs together with a seed becomes 16-bit without a Cast, and what does not stays as
        it is, even of the same op type. So it takes single regions of a graph, which ALLOW and DENY
        cannot tell apart.

        Args:
            data_type: a 16-bit one.
            seeds: op types on ALLOW.
            ends: those that 16 bits do not pass.
            border: their list: ``infer`` joins where it is between seeds or right behind one;
                ``deny`` never does, and keeps out what lies between it and another end too.
        """
        placed = {**dict.fromkeys(ends, border), **dict.fromkeys(seeds, "allow")}
        return self._placed(data_type, placed, "clear")

    def _placed(self, data_type: str, placed: Mapping[str, str], others: str) -> dict[str, str]:
        """Op types on the lists that are meant for them, where these may be proposed."""
        child = self._space.parameters(Setting(data_type))
        for name in self._movable:
            place = placed.get(self._op_types[name], others)
            if place in self._places[name]:
                child[name] = place
        return child

    def turned(
        self, parent: Parameters, is_16bit: Mapping[str, bool], *, softly: bool = False
    ) -> dict[str, str]:
        """The parent with some op types in or out of 16 bits, as far as lists can say it.

        Args:
            parent: a setting.
            is_16bit: the op types that change sides, and which is theirs.
            softly: on CLEAR, to become 16-bit where neighbours are, or on INFER, to end what
                spreads; else wholly in or out, on ALLOW or DENY.
        """
        child = dict(parent)
        inside, outside = ("clear", "infer") if softly else ("allow", "deny")
        for op_type, is_in in is_16bit.items():
            name, place = f"list:{op_type}", inside if is_in else outside
            if place in self._places[name]:
                child[name] = place
        return child

    def at_random(self) -> dict[str, str]:
        """A random data type's defaults after moves of a random share of the op types."""
        types = self._space.data_types
        data_type = types[int(self._random.integers(len(types)))]
        child = self._space.parameters(Setting(data_type))
        moves = self._random.random(len(self._movable)) < self._random.random()
        # Lists that few op types share and lists that most share come alike.
        liking = self._random.dirichlet(np.full(len(DESTINATIONS), _LIKING))
        for name, is_moved in zip(self._movable, moves.tolist(), strict=True):
            if is_moved:
                self._move(child, name, liking)
        return child

    def one_of(self, parents: Sequence[Parameters]) -> Parameters:
        """A parent, the first ones more often."""
        place = int(len(parents) * self._random.random() ** 1.5)
        return parents[place]

    def _move(self, child: dict[str, str], name: str, liking: Array | None = None) -> None:
        others = [place for place in self._places[name] if place != child[name]]
        weights = np.ones(len(others))
        if liking is not None:
            weights = liking[[DESTINATIONS.index(place) for place in others]] + _LEAST_LIKED
        child[name] = str(self._random.choice(others, p=weights / weights.sum()))

    def _maybe_other_type(self, parent: Parameters) -> dict[str, str]:
        child = dict(parent)
        types = self._space.data_types
        if child[DATA_TYPE] not in types or self._random.random() < _OTHER_TYPE:
            child[DATA_TYPE] = types[int(self._random.integers(len(types)))]
        return child

    def places(self, name: str) -> list[str]:
        """Lists that may be proposed, and the op type's default ones."""
        return self._places[name]

    def _legal_places(self, op_type: str) -> list[str]:
        defaults = {lists.list_of(op_type) for lists in self._space.defaults.values()}
        allowed = defaults | set(self._space.proposed)
        return [place for place in DESTINATIONS if place in allowed]
