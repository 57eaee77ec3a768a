"""Files that grow by whole lines; what is done with them is shown by the log and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.output.lines import LineFile


@pytest.mark.parametrize("torn", [b"to", b"x" * 10_000])
def test_a_torn_line_is_cut_off_and_its_length_told(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\n" + torn)
    file = LineFile(path)
    assert file.cut_bytes == len(torn)
    file.append(b"three\n", durable=True)
    file.close()
    file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_file_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"x" * 5000)
    assert LineFile(tmp_path / "lines").size_bytes() == 0
