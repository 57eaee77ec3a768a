"""Data files of attackers: nothing in them runs, leads out, or takes the tuner's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.arrays import BadArrays, read_array
from tests.hostile_data import claiming, leading_out, pickled
from tests.test_data import problems


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


def test_a_shape_that_no_number_of_bytes_has_is_damage(tmp_path: Path) -> None:
    path = claiming(tmp_path / "sly.npz", "images", (10**6, 10**6, 10**6))
    assert "images" in str(problems(tmp_path, path.read_bytes()))


@pytest.mark.parametrize("name", ["../../images", "/etc/images", "C:\\images"])
def test_a_name_that_leads_out_of_a_folder_is_only_a_name(name: str, tmp_path: Path) -> None:
    content = leading_out(tmp_path / "sly.npz", name).read_bytes()
    (told,) = problems(tmp_path, content).values()
    assert "has no array 'images'" in told
    assert {path.name for path in tmp_path.iterdir()} == {"sly.npz", "given.npz"}
