"""The command ``amp-tune``: finds the verb, runs it, turns errors into messages and exit codes.

A verb's module is imported when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from amp_tuner.cli.arguments import VERBS, parse
from amp_tuner.errors import (
    INTERRUPTED,
    AmpTunerError,
    InputError,
    TargetError,
    WorkerFailure,
)
from amp_tuner.text import one_line, printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code: 0 done, 1 no point meets the goal, 2 bad input, 3 the target cannot run,
        130 interrupted.
    """
    options = parse(sys.argv[1:] if arguments is None else arguments)

    def run() -> int:
        code: int = importlib.import_module(f"amp_tuner.cli.{VERBS[options.verb]}").run(options)
        return code

    return answered(run)


def answered(run: Callable[[], int]) -> int:
    """Runs what a process is for; the exit code, errors as messages on standard error."""
    # A service manager's stop is treated as Ctrl-C: everything is written, the study resumes.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except InputError as error:
        count = len(error.problems)
        print(f"amp-tune: {count} problem{'s' if count > 1 else ''}", file=sys.stderr)
        for problem in error.problems:
            print(f"  {one_line(str(problem))}", file=sys.stderr)
        return error.exit_code
    except WorkerFailure as failure:
        # Outside of a trial: while a model was read, described or baked.
        print(f"amp-tune: the worker failed: {printable(str(failure))}", file=sys.stderr)
        print(failure.last_words, file=sys.stderr)
        return TargetError.exit_code
    except AmpTunerError as error:
        print(f"amp-tune: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, less) is gone: nobody is left to tell. What is still in
        # the buffer would fail once more as Python ends, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.close()
        return 0
    return code


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
