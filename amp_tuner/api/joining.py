"""A worker's run of a shared study: it measures, and leaves the answer to ``amp-tune run``."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from amp_tuner.api.follower import Follower
from amp_tuner.api.opening import opened
from amp_tuner.api.running import check_folder, locked
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, StorageLost, TargetError
from amp_tuner.files import private_files
from amp_tuner.output.folder import InUseError, Lock, RunFolder, move_aside
from amp_tuner.records import MEASURED
from amp_tuner.search.samplers import check_sampler
from amp_tuner.study.fleet import Database, is_of, open_database, open_own_database
from amp_tuner.study.fleet_tuning import FleetTuning


@dataclass(frozen=True)
class Worked:
    """What a worker did.

    Attributes:
        here: the proposals that ended here in this run, by their outcome.
        measured: settings that the whole study has measured by now.
        why: why it ended, in words.
        folder: where its copy of the study is.
    """

    here: Counter[str]
    measured: int
    why: str
    folder: RunFolder

    def sentence(self) -> str:
        """All of it in one sentence."""
        measured, all_here = self.here[MEASURED], self.here.total()
        return (
            f"This worker measured {measured} settings ({all_here} proposals ended here; the study "
            f"has {self.measured} measured) and stopped because {self.why}"
        )


def run_worker(config: StudyConfig, follower: Follower, *, output: Path | None = None) -> Worked:
    """Joins a shared study, or begins it, and measures until its search is over.

    Args:
        config: the checked study file.
        follower: told each event of the log once it is written.
        output: where this worker keeps its copy of the study; None: beside the study's own folder.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        StorageLost: the database was gone for too long.
        KeyboardInterrupt: the same call goes on.
    """
    check_sampler(config.search.sampler)
    database = open_database(config) or open_own_database(config)
    if database is None:
        message = "found nothing (null); a worker needs the database that the study is in"
        raise InputError.one("$.storage", message)
    if output == config.output:
        message = f"{output} is the folder of amp-tune run; a worker needs one of its own"
        raise InputError.one("--output", message)
    with private_files(), contextlib.ExitStack() as stack:
        if output is None:
            folder, lock = _own_folder(stack, config, database)
        else:
            folder, lock = stack.enter_context(locked(output))
        mine = config.model_copy(update={"output": folder.root})
        check_folder(mine)
        return _work(mine, folder, lock, database, follower)


def _work(
    config: StudyConfig, folder: RunFolder, lock: Lock, database: Database, follower: Follower
) -> Worked:
    with opened(config, folder, lock, follower, database, leads=False) as parts:
        tuning, log = parts.tuning, parts.log
        assert isinstance(tuning, FleetTuning)
        try:
            tuning.phases.enter("fp32")
            why = tuning.run()
        except (KeyboardInterrupt, StorageLost, TargetError) as error:
            log.write("stopped", {"why": str(error) or "interrupted"})
            raise
        finally:
            tuning.clock.save()
        log.write("finished", {"exit_code": 0, "output": str(folder.root)})
        return Worked(tuning.here, tuning.progress().measured, why, folder)


def _own_folder(
    stack: contextlib.ExitStack, config: StudyConfig, database: Database
) -> tuple[RunFolder, Lock]:
    """The first folder beside the study's that no worker of this machine is using, locked.

    A copy of a study that is not the database's any more is moved aside.
    """
    host, study = socket.gethostname(), config.output
    for number in count(1):
        with contextlib.suppress(InUseError):
            root = study.with_name(f"{study.name}-worker-{host}-{number}")
            if not is_of(RunFolder(root), database, config.name):
                move_aside(root)
            return stack.enter_context(locked(root))
    raise AssertionError
