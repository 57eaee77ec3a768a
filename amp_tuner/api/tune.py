"""``amp_tuner.tune``: a study from a program or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from amp_tuner.api.running import run_study
from amp_tuner.api.study_result import StudyResult, read_result
from amp_tuner.config.model import StudyConfig
from amp_tuner.results.event_log import Event, nobody


@dataclass(frozen=True)
class _Listening:
    """Follows a run for a caller, who knows a study's earlier trials from its folder."""

    follow: Callable[[Event], None]

    def recall(self, ended: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the trials of earlier runs."""


def tune(
    config: StudyConfig, *, listener: Callable[[Event], None] = nobody, fresh: bool = False
) -> StudyResult:
    """Runs or resumes a study, as ``amp-tune run`` does; prints nothing.

    Any thread may call it; it handles no signals and needs no event loop. While it runs, files
    that this process makes are the user's alone (umask 077), and nothing else should use the
    machine: it measures time.

    Args:
        config: of :func:`amp_tuner.load_study`.
        listener: called with each event as ``log.jsonl`` holds it, once it is written there. What
            it raises ends the run, as an interruption does.
        fresh: move an old study in the output folder aside and start anew.

    Returns:
        What the study found. ``best`` is None where nothing certainly meets the accuracy goal.

    Raises:
        InputError: anything that is wrong with the study, every problem in ``problems``.
        TargetError: the target cannot run the FP32 model.
        KeyboardInterrupt: after everything that is known was written; the same call resumes.
    """
    if not isinstance(config, StudyConfig):
        raise TypeError(
            f"tune takes a StudyConfig, not {type(config).__name__}: load_study makes one of a "
            "study file or of a mapping"
        )
    ended = run_study(config, _Listening(listener), fresh=fresh)
    return read_result(ended.folder.root)
