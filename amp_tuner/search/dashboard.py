"""optuna-dashboard on a study that may be running: it sees the accuracy goal, and it only reads."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import optuna
from optuna.storages import BaseStorage, JournalStorage

from amp_tuner.errors import InputError
from amp_tuner.search.read_only import ReadOnlyJournal
from amp_tuner.search.storage import readable

_STUDY = ("GET", "/api/studies/<study_id:int>")


def dashboard_app(journal: Path) -> WSGIApplication:
    """The dashboard as a WSGI application; each request reads what the study has written since.

    Args:
        journal: the study's.

    Raises:
        InputError: optuna-dashboard is not installed, or the journal cannot be read.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        message = (
            "needs optuna-dashboard, which is not installed: pip install 'amp-tuner[dashboard]'"
        )
        raise InputError.one("dashboard", message)
    from bottle import abort, request
    from optuna_dashboard import wsgi

    def refuse_changes() -> None:
        if request.method not in ("GET", "HEAD"):
            abort(403, "this dashboard only reads the study")

    storage = _opened(journal)
    app = wsgi(storage)
    app.add_hook("before_request", refuse_changes)
    app.install(_FeasibleFront(storage))
    application: WSGIApplication = app
    return application


def _opened(journal: Path) -> BaseStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with readable(str(journal)):
            return JournalStorage(ReadOnlyJournal(journal))
    except OSError as error:
        raise InputError.one(str(journal), f"cannot be read: {error.strerror}") from error


class _FeasibleFront:
    """A plug-in for Bottle: the best trials of a study are Optuna's, among feasible ones.

    The dashboard's own are the front of all trials, which those that miss the accuracy goal lead.
    """

    name = "feasible_front"
    api = 2

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wraps the view of one study; others stay as they are."""
        if (route.method, route.rule) != _STUDY:
            return callback

        def study(study_id: int) -> Any:
            shown = callback(study_id=study_id)
            if isinstance(shown, dict) and "best_trials" in shown:
                shown["best_trials"] = self._front(study_id, shown["name"])
            return shown

        return study

    def _front(self, study_id: int, name: str) -> list[dict[str, Any]]:
        from optuna_dashboard._serializer import serialize_frozen_trial

        attributes = self._storage.get_study_system_attrs(study_id)
        best = optuna.load_study(study_name=name, storage=self._storage).best_trials
        return [serialize_frozen_trial(study_id, trial, attributes) for trial in best]
