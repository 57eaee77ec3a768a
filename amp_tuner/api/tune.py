"""``amp_tuner.tune``: a study from a program or a notebook."""

from __future__ import annotations

from amp_tuner.api.running import Listener, run_study
from amp_tuner.api.study_result import StudyResult, read_result
from amp_tuner.config.model import StudyConfig
from amp_tuner.records import Trial
from amp_tuner.study.progress import Progress


class Silent:
    """Listens and says nothing; a listener of your own may begin with it."""

    def phase(self, text: str) -> None:
        """What is being done now."""

    def notice(self, text: str) -> None:
        """Something that the user should know."""

    def trial(self, trial: Trial, progress: Progress) -> None:
        """A trial has ended."""


def tune(
    config: StudyConfig, *, listener: Listener | None = None, fresh: bool = False
) -> StudyResult:
    """Runs or resumes a study, as ``amp-tune run`` does.

    Any thread may call it; it handles no signals and needs no event loop. While it runs, files
    that this process makes are the user's alone (umask 077), and nothing else should use the
    machine: it measures time.

    Args:
        config: of :func:`amp_tuner.load_study`.
        listener: told what happens; None: nobody.
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
    ended = run_study(config, Silent() if listener is None else listener, fresh=fresh)
    return read_result(ended.folder.root)
