"""What is left to find: distinct graphs, and a gain that is worth a measurement."""

from __future__ import annotations

from collections.abc import Container, Sequence

from amp_tuner.search.candidates import Parameters
from amp_tuner.search.enumerating import DistinctGraphs, distinct_graphs
from amp_tuner.search.stopping import CALM, most_hoped
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.looking import StudyViewer
from amp_tuner.study.session import Session

#: A sampler that proposed so many known graphs in a row is asked for a random setting instead.
STUCK = 10
#: So many more in a row, and no distinct graph is believed to be left.
EXHAUSTED = 200


class Prospects:
    """Whether going on is worth it.

    Args:
        session: the study.
        viewer: its graphs, painted.
        ended: its trials.

    Attributes:
        under_way: graphs that are being measured elsewhere.
    """

    def __init__(self, session: Session, viewer: StudyViewer | None, ended: EndedTrials) -> None:
        self._session = session
        self._viewer = viewer
        self._ended = ended
        self._distinct: DistinctGraphs | None = None
        self.under_way: Container[str] = ()

    def count(self, trials_left: int) -> str | None:
        """Looks for all distinct graphs, and keeps them if there are trials for all.

        Returns:
            What was found, in words; None where there are many.
        """
        if self._viewer is None:
            return None
        found = distinct_graphs(self._session.space, self._viewer, 2 * trials_left)
        if found is None or self._nothing_to_tune() is not None:
            return None
        if found.is_whole and not found.settings:
            self._distinct = found
            return None
        new = [graph for graph in found.settings if graph not in self._ended.graphs]
        if len(new) > trials_left:
            return f"{found.sentence()}: more than the {trials_left} trials that are left"
        self._distinct = found
        then = "" if found.is_whole else ", then the search goes on"
        return f"{found.sentence()}; each is measured{then}"

    def left(self) -> Sequence[Parameters] | None:
        """A setting for each distinct graph that did not run; None where others may be left too."""
        if self._distinct is None:
            return None
        settings = self._distinct.settings
        found = [
            settings[graph]
            for graph in settings
            if graph not in self._ended.graphs and graph not in self.under_way
        ]
        return found if found or self._distinct.is_whole else None

    def is_stuck(self) -> bool:
        """Whether the sampler keeps proposing known graphs."""
        return self._ended.known_in_a_row >= STUCK

    def none_left(self) -> str | None:
        """Why no further setting is worth a trial; None if one may be."""
        nothing = self._nothing_to_tune()
        if nothing is not None:
            return nothing
        left = self.left()
        if left:
            # Each is measured: neither chance nor a sampler's hope has a say.
            return None
        if self._distinct is not None and left is not None:
            return f"all {len(self._distinct.settings)} distinct 16-bit graphs were tried"
        if self._ended.known_in_a_row >= STUCK + EXHAUSTED:
            return "no distinct effective graph seems to be left"
        return self._little_hope()

    def _nothing_to_tune(self) -> str | None:
        reason = self._session.planner.why_nothing(self._session.space)
        if reason is None and self._distinct is not None and not self._distinct.settings:
            lists = ", ".join(self._session.space.proposed)
            reason = f"no list of search.lists ({lists}) makes anything in it 16-bit"
        return None if reason is None else f"nothing to tune in this graph, because {reason}"

    def _little_hope(self) -> str | None:
        most = most_hoped(self._ended.hopes)
        if most is None or self._session.config.search.stop != "auto":
            return None
        return (
            f"another measurement would gain little: the last {CALM} proposals hoped for at most "
            f"{100 * most:.2f} % of what is reached (search.stop: auto)"
        )
