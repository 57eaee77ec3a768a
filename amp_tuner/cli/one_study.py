"""One study of a batch: ``amp-tune`` in a process that stops when its batch is gone.

``python -m amp_tuner.cli.one_study PID run --config study.yaml …``, where PID is the batch's. What
no error of this package is ends with exit status 70, which no verb has: an uncaught exception's
own, 1, would say that nothing meets the goal.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

from amp_tuner.cli.main import main
from amp_tuner.cli.parent import stop_with
from amp_tuner.errors import INTERRUPTED


def command(*words: str) -> list[str]:
    """The command line of a study's process, which stops with this one.

    Args:
        words: as a person would type them but for the program's name.
    """
    return [sys.executable, "-m", "amp_tuner.cli.one_study", str(os.getpid()), *words]


def _fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(os.EX_SOFTWARE)


if __name__ == "__main__":
    sys.excepthook = _fail
    stop_with(int(sys.argv[1]))
    code = main(sys.argv[2:])
    # Whoever read what the batch prints is gone, which ended the study with 0: it has not ended.
    sys.exit(INTERRUPTED if sys.stderr.closed else code)
