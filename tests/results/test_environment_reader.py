from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.errors import InputError
from amp_tuner.results.activation import activation
from amp_tuner.results.environment_file import environment_text
from amp_tuner.results.environment_reader import read_environment
from tests.results.examples import point


def read(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "my.env"
    path.write_text(text)
    return read_environment(path)


def test_quotes_and_comments_are_the_shells(tmp_path: Path) -> None:
    text = "# mine\nexport A=1 B='x, y'  # two\n\nC=\"\"\nD=z\nunset D NEVER\n"
    assert read(tmp_path, text) == {"A": "1", "B": "x, y", "C": ""}


def test_what_is_written_for_a_point_is_read_back(tmp_path: Path) -> None:
    assert read(tmp_path, environment_text(point(), measured=True)) == activation(point()).variables


def test_every_other_line_is_told_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "export A=1\necho hello\nB=$(date)\nC='open\n")
    told = str(caught.value)
    assert "my.env:2: no assignment: 'echo'" in told
    assert "my.env:3: B would be expanded by a shell" in told
    assert "my.env:4: No closing quotation" in told
    assert "my.env:1" not in told


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_environment(tmp_path / "none.env")
