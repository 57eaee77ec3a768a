"""``amp-tune dashboard``: optuna-dashboard on a study, also while it runs."""

from __future__ import annotations

import argparse
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder
from amp_tuner.search.dashboard import dashboard_app


class _Server(ThreadingMixIn, WSGIServer):
    """Answers requests at the same time; none of them keeps it from ending."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """A page asks every few seconds: that is no news."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Says nothing."""


def run(options: argparse.Namespace) -> int:
    """Runs the verb, until it is interrupted.

    Raises:
        InputError: the folder holds no study, the address cannot be had, or optuna-dashboard is
            not installed.
    """
    folder = RunFolder(options.run)
    if folder.member.exists():
        message = "holds a copy of a study that is in a database, which optuna-dashboard can show"
        raise InputError.one(str(folder.root), message)
    if not folder.journal.exists():
        raise InputError.one(str(folder.root), "holds no study (no study.journal)")
    app = dashboard_app(folder.journal)
    try:
        server = make_server(options.host, options.port, app, _Server, _Quiet)
    except OSError as error:
        message = f"cannot listen on {options.host}, port {options.port}: {error.strerror or error}"
        raise InputError.one("--port", message) from error
    with server:
        print(f"http://{options.host}:{server.server_port}/dashboard/studies/0")
        print(
            "The study is read as it goes on, and not changed. Trials that do not certainly meet "
            "the accuracy goal are shown as infeasible, none of them as best. Ctrl-C ends this.",
            flush=True,
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
