"""Optuna's storage in a database that many tuners share, with few round trips, and patient.

Optuna writes each parameter and attribute in a transaction of its own: some two hundred round
trips for a proposal of thirty op types. Here they are gathered until :meth:`SharedStorage.flush`,
which is one transaction, as the journal of one tuner does it. A kill before it leaves a trial
without parameters, which is ended by whoever finds its holder gone.

A trial is put up by one tuner alone: what waits to be tried waits in that tuner's memory, and is
running once it is in the database.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Collection, Container, Sequence
from datetime import datetime
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.study._study_direction import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, delete, insert, select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from amp_tuner.errors import InputError
from amp_tuner.search.storage import StudyStorage
from amp_tuner.shared.address import WHERE, Address
from amp_tuner.shared.link import Link, engine_options, serialise
from amp_tuner.shared.schema import together

Answer = TypeVar("Answer")

#: Among a trial's user attributes: whose it is, and a mark of its own.
LEASE, _MARK = "lease", "mark"


class SharedStorage(StudyStorage):
    """One tuner's view of the trials of one study; brought up to date by :meth:`refresh`.

    Args:
        address: the database's.
        link: how it is waited for.
        member: who proposes here.

    Raises:
        InputError: Optuna's tables in the database are of another version, or cannot be made.
    """

    where = WHERE

    def __init__(self, address: Address, link: Link, member: str) -> None:
        self._link = link
        self._member = member
        self._rdb = together(lambda: _opened(address, link))
        self._cached = optuna.storages.get_storage(self._rdb)
        self._study_id = -1
        self._trials: dict[int, FrozenTrial] = {}
        #: Put up here, and not asked for yet.
        self._waiting: list[FrozenTrial] = []
        #: Trials of this tuner without an end, and what of them is not written yet.
        self._live: set[int] = set()
        self._parameters: dict[int, dict[str, tuple[float, BaseDistribution]]] = {}
        self._attributes: dict[tuple[int, bool, str], Any] = {}

    def has_study(self, name: str) -> bool:
        """Whether Optuna's tables hold a study of this name."""
        return any(study.study_name == name for study in self.get_all_studies())

    def refresh(self) -> list[FrozenTrial]:
        """Reads what others did.

        Returns:
            The trials that are new, or that changed and are not this tuner's, by number.
        """
        found = self._patiently(lambda: self._cached.get_all_trials(self._study_id, deepcopy=False))
        changed = []
        for trial in found:
            number = trial._trial_id  # noqa: SLF001 - storages know trials by it
            known = self._trials.get(number)
            if known is not None and (known.state.is_finished() or number in self._live):
                continue
            self._trials[number] = trial
            changed.append(trial)
        return changed

    def take(self, trial_id: int) -> None:
        """From now on a trial that was another tuner's is written by this one."""
        self._trials[trial_id] = copy.deepcopy(self._trials[trial_id])
        self._live.add(trial_id)

    def flush(self) -> None:
        """Writes what was gathered, in one transaction."""
        parameters = [
            {
                "trial_id": number,
                "param_name": name,
                "param_value": value,
                "distribution_json": distribution_to_json(distribution),
            }
            for number, named in self._parameters.items()
            for name, (value, distribution) in named.items()
        ]
        attributes = [
            (_table(system), {"trial_id": number, "key": key, "value_json": json.dumps(value)})
            for (number, system, key), value in self._attributes.items()
        ]
        if parameters or attributes:
            self._patiently(lambda: self._write(parameters, attributes))
        self._parameters.clear()
        self._attributes.clear()

    def _write(
        self, parameters: list[dict[str, Any]], attributes: list[tuple[Any, dict[str, Any]]]
    ) -> None:
        params = models.TrialParamModel
        every = {row["trial_id"] for row in (*parameters, *(row for _, row in attributes))}
        with self._rdb.engine.begin() as connection:
            # Two tuners may end the trial of one that is gone: the second one changes nothing.
            running = _running(connection, every)
            # Twice comes to the same as once.
            rows = [row for row in parameters if row["trial_id"] in running]
            if rows:
                numbers = {row["trial_id"] for row in rows}
                connection.execute(delete(params).where(params.trial_id.in_(numbers)))
                connection.execute(insert(params), rows)
            for table in map(_table, (False, True)):
                rows = [
                    row for its, row in attributes if its is table and row["trial_id"] in running
                ]
                if rows:
                    keys = [(row["trial_id"], row["key"]) for row in rows]
                    connection.execute(
                        delete(table).where(tuple_(table.trial_id, table.key).in_(keys))
                    )
                    connection.execute(insert(table), rows)

    def close(self) -> None:
        """Closes every connection."""
        self._rdb.engine.dispose()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """A running trial of this tuner; one that is to wait waits here."""
        self._study_id = study_id
        if template_trial is not None and template_trial.state == TrialState.WAITING:
            self._waiting.append(template_trial)
            return -len(self._waiting)
        waited = template_trial or (self._waiting.pop(0) if self._waiting else None)
        mark = uuid.uuid4().hex
        new = create_trial(
            state=TrialState.RUNNING,
            user_attrs={
                **(waited.user_attrs if waited else {}),
                LEASE: {"member": self._member},
                _MARK: mark,
            },
            system_attrs=dict(waited.system_attrs) if waited else {},
        )
        tried = False

        def create() -> FrozenTrial:
            nonlocal tried
            before = self._marked(mark) if tried else None
            tried = True
            # Asked for in public, it would be read back: eight round trips.
            return before or self._rdb._create_new_trial(study_id, new)  # noqa: SLF001

        made = copy.deepcopy(self._patiently(create))
        number = made._trial_id  # noqa: SLF001
        self._trials[number] = made
        self._live.add(number)
        return number

    def _marked(self, mark: str) -> FrozenTrial | None:
        """The trial that was made although its answer was lost."""
        trials = self._cached.get_all_trials(self._study_id, deepcopy=False)
        return next((one for one in trials if one.user_attrs.get(_MARK) == mark), None)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Gathered."""
        trial = self._trials[trial_id]
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution
        gathered = self._parameters.setdefault(trial_id, {})
        gathered[param_name] = param_value_internal, distribution

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Gathered."""
        self._trials[trial_id].user_attrs[key] = value
        self._attributes[trial_id, False, key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Gathered."""
        self._trials[trial_id].system_attrs[key] = value
        self._attributes[trial_id, True, key] = value

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Writes a trial's end; whoever ended it first did."""
        self.flush()

        def write() -> bool:
            try:
                return self._cached.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                return True

        done = self._patiently(write)
        trial = self._trials[trial_id]
        trial.state = state
        if values is not None:
            trial.values = values
        if state.is_finished():
            trial.datetime_complete = datetime.now().astimezone().replace(tzinfo=None)
            self._live.discard(trial_id)
        return done

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """As this tuner knows it."""
        return self._trials[trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Those of the last :meth:`refresh`, and this tuner's own, by number."""
        self._study_id = study_id
        trials = sorted(
            (one for one in self._trials.values() if states is None or one.state in states),
            key=lambda trial: trial.number,
        )
        return copy.deepcopy(trials) if deepcopy else trials

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """As Optuna's."""
        self._study_id = self._patiently(
            lambda: self._cached.create_new_study(directions, study_name)
        )
        return self._study_id

    def get_study_id_from_name(self, study_name: str) -> int:
        """As Optuna's."""
        self._study_id = self._patiently(lambda: self._cached.get_study_id_from_name(study_name))
        return self._study_id

    def delete_study(self, study_id: int) -> None:
        """Never: others work on it."""
        raise NotImplementedError

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """As Optuna's."""
        self._patiently(lambda: self._cached.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """As Optuna's."""
        self._patiently(lambda: self._cached.set_study_system_attr(study_id, key, value))

    def get_study_name_from_id(self, study_id: int) -> str:
        """As Optuna's."""
        return self._patiently(lambda: self._cached.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """As Optuna's."""
        return self._patiently(lambda: self._cached.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """As Optuna's."""
        return self._patiently(lambda: self._cached.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """As Optuna's."""
        return self._patiently(lambda: self._cached.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        """As Optuna's."""
        return self._patiently(self._cached.get_all_studies)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Never: a trial here has none."""
        raise NotImplementedError

    def _patiently(self, what: Callable[[], Answer]) -> Answer:
        return self._link.patiently(what)


def _table(system: bool) -> Any:
    return models.TrialSystemAttributeModel if system else models.TrialUserAttributeModel


def _running(connection: Connection, numbers: Collection[int]) -> set[int]:
    """Those of some trials that have not ended; nobody else writes to them until the commit."""
    trials = models.TrialModel
    rows = select(trials.trial_id, trials.state).where(trials.trial_id.in_(numbers))
    held = connection.execute(rows.order_by(trials.trial_id).with_for_update()).all()
    return {row.trial_id for row in held if not row.state.is_finished()}


def _opened(address: Address, link: Link) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    url = address.url.render_as_string(hide_password=False)
    # Optuna formats the address.
    escaped = url.replace("{", "{{").replace("}", "}}")
    options = engine_options(address)
    try:
        storage = RDBStorage(escaped, options)
        serialise(storage.engine)
        return storage
    except RuntimeError as error:
        message = f"the {link.shown} was set up by another version of Optuna: {_version(error)}"
        raise InputError.one(WHERE, message) from None
    except (SQLAlchemyError, StorageInternalError) as error:
        raise link.refusal(error) from None


def _version(error: RuntimeError) -> str:
    """Optuna's words, without the command line that it proposes (which takes an address)."""
    first, _, _ = str(error).partition(" Please ")
    return f"{first.rstrip(' .')}; use that version, or another database"
