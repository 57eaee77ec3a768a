from __future__ import annotations

import io
import os
import subprocess
import sys

from rich.console import Console

from amp_tuner.cli.terminal import Row, comparison


def test_names_and_causes_in_a_table_are_text_and_no_markup() -> None:
    row = Row(
        "[/x] a\x1b[2Jb", "float16", None, None, None, None, "failed: [[{{node a}}]] [/gpu:0]"
    )
    output = io.StringIO()
    Console(file=output, width=160).print(comparison([row], "agreement"))
    assert "[/x] a [2Jb" in output.getvalue()
    assert "failed: [[{{node a}}]] [/gpu:0]" in output.getvalue()
    assert "\x1b" not in output.getvalue()


def test_a_reader_that_is_gone_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "amp_tuner", "schema"],
            check=False,
            stdout=closed,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, b"")
