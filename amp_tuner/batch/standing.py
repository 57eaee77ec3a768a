"""How a batch stands with each of its studies: what ``summary.json`` holds of it, read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amp_tuner.batch.process import Exit
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import INTERRUPTED, InputError, TargetError
from amp_tuner.output.stored import FORMAT, read_stored
from amp_tuner.text import duration
from amp_tuner.worker.supervisor import LAST_WORDS_BYTES, exit_cause

State = Literal["waiting", "running", "ended", "failed", "interrupted"]
#: How `amp-tune` begins what it says of an error.
_TOLD = re.compile("^amp-tune: ", re.MULTILINE)


@dataclass(frozen=True)
class Standing:
    """How a batch stands with one study.

    Attributes:
        study_file: where the study was read.
        name: its name.
        output: its output folder.
        state: ``waiting`` for its turn, ``running``, ``ended`` by itself, ``failed``, or
            ``interrupted``, which the same command goes on with.
        exit_code: what its process ended with; negative: the signal.
        cause: why it failed, or has had no turn.
        last_words: the end of what a failed one wrote to standard error.
        spent_s: seconds of all its runs.
        share_s: its share when it had its turn; None without a limit or before its turn.
        ended_under: :func:`terms` under which it ended; empty before.
    """

    study_file: str
    name: str
    output: str
    state: State = "waiting"
    exit_code: int | None = None
    cause: str | None = None
    last_words: str = ""
    spent_s: float = 0.0
    share_s: float | None = None
    ended_under: str = ""


@dataclass(frozen=True)
class StoredBatch:
    """``summary.json``, as far as a batch reads it again."""

    format: Literal[1]
    studies: list[Standing]


def data_file(folder: Path) -> Path:
    """``summary.json`` of a batch's folder."""
    return folder / "summary.json"


def read_standings(path: Path) -> dict[str, Standing]:
    """What an earlier batch wrote down, by study file; nothing where there was none.

    Raises:
        InputError: the file is broken, of a newer format, or no summary of a batch.
    """
    if not path.exists():
        return {}
    return {one.study_file: one for one in read_stored(path, StoredBatch).studies}


def terms(config: StudyConfig, budget_s: float) -> str:
    """A digest of what decides where a study ends: if it changes, the study has another turn."""
    plain = {"format": FORMAT, "config": config.to_plain(), "time_budget_s": str(budget_s)}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def state_of(ended: Exit) -> State:
    """What became of a study whose process ended so."""
    if ended.status in (0, 1):
        return "ended"
    # Told to stop for its time, it says that it was interrupted.
    return "interrupted" if ended.status == INTERRUPTED and not ended.timed_out else "failed"


def cause_of(ended: Exit) -> str:
    """Why a study failed, on one line."""
    if ended.timed_out:
        return f"did not end by itself; it was stopped after {duration(ended.seconds)}"
    if ended.status < 0:
        return exit_cause(ended.status)
    told = _TOLD.search(ended.words)
    after = ended.words[told.end() if told else 0 :]
    lines = [line.strip() for line in after.splitlines() if line.strip()]
    if not lines:
        return exit_cause(ended.status)
    if ended.status == InputError.exit_code:
        # The first line counts the problems.
        return "; ".join(lines[1:])
    if ended.status == TargetError.exit_code:
        return lines[0]
    return f"the tuner failed: {lines[-1]}"


def last_words_of(ended: Exit) -> str:
    """The end of what a study wrote to standard error, 4 KiB at most."""
    return ended.words[-LAST_WORDS_BYTES:]


def exit_code_of(standings: Sequence[Standing]) -> int:
    """A batch's exit code: the largest of its studies', as ``amp-tune run`` gives them.

    A study that crashed or did not end counts as one whose target cannot run; one that has not
    ended yet makes the batch an interrupted one.
    """
    if any(one.state in ("waiting", "running", "interrupted") for one in standings):
        return INTERRUPTED
    return max(_code(one) for one in standings)


def _code(standing: Standing) -> int:
    code, worst = standing.exit_code, TargetError.exit_code
    return worst if code is None or not 0 <= code <= worst else code
