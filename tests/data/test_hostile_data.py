"""Data files of attackers: nothing in them runs, leads out, or takes the tuner's memory."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from amp_tuner.data.arrays import BadArrays, read_array
from tests.data.test_samples import problems
from tests.hostile_data import claiming, leading_out, pickled, with_header


def test_pickled_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "pwned"
    content = pickled(tmp_path / "sly.npz", mark).read_bytes()
    told = problems(tmp_path, content, inputs={"x": "0"})
    assert "holds Python objects, which would need pickle" in told["$.data.inputs.x"]
    assert not mark.exists()


def test_labels_of_pickled_objects_are_never_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "pwned"
    with pytest.raises(BadArrays, match="would need pickle"):
        read_array(pickled(tmp_path / "sly.npz", mark), "0")
    assert not mark.exists()


def test_an_array_that_claims_more_than_the_machine_has_is_refused(tmp_path: Path) -> None:
    path = claiming(tmp_path / "sly.npz", "images", (10**12, 4, 4))
    assert path.stat().st_size < 10_000
    told = problems(tmp_path, path.read_bytes())
    assert (
        "the arrays take 59604.6 GiB in memory; allowed: what this machine" in told["$.data.path"]
    )


@pytest.mark.parametrize("name", ["../../images", "/etc/images", "C:\\images"])
def test_a_name_that_leads_out_of_a_folder_is_only_a_name(name: str, tmp_path: Path) -> None:
    content = leading_out(tmp_path / "sly.npz", name).read_bytes()
    (told,) = problems(tmp_path, content).values()
    assert "has no array 'images'" in told
    assert {path.name for path in tmp_path.iterdir()} == {"sly.npz", "given.npz"}


@pytest.mark.parametrize(
    "header", ["-" * 9000 + "1", "(" * 9000, "[" * 9000, "{" * 9000, "1" * 9000, "~" * 9000]
)
def test_a_header_that_is_no_description_is_damage(header: str, tmp_path: Path) -> None:
    path = with_header(tmp_path / "sly.npz", "images", header)
    assert "its header cannot be read" in str(problems(tmp_path, path.read_bytes()))


def test_a_member_without_the_suffix_is_not_taken_for_the_array(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, images=np.ones(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images", b"something else")
    assert read_array(path, "images").tolist() == [1, 1, 1]
