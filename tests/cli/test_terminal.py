from __future__ import annotations

import io

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
