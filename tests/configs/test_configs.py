"""Each ready study loads, and its makers' arithmetic is right. The studies run in test_ready.py."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.config.load import load_study

CONFIGS = Path(__file__).parents[2] / "configs"
STUDIES = sorted(CONFIGS.glob("*.yaml"))


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder of the scripts, importable as the scripts themselves import each other."""
    monkeypatch.setattr(sys, "path", [str(CONFIGS / "models"), *sys.path])


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_ready_study_loads(path: Path) -> None:
    config = load_study(path, check_files=False)
    assert config.output.parent.name == "runs"
    assert config.output.parents[1] == CONFIGS.parent
    # Every study says in a comment which script makes its model and data.
    assert f"configs/models/{config.model.path.stem}" in path.read_text() or "_mnist" in str(
        config.data.path
    )


def test_there_are_the_three_studies_of_the_readme() -> None:
    assert {path.stem for path in STUDIES} >= {"quickstart", "fashion_cnn", "basic_pitch"}


def test_idx_files_are_read_with_their_shape(tmp_path: Path, makers: None) -> None:
    from fashion_mnist import idx

    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    content = struct.pack(">BBBB3i", 0, 0, 8, 3, 2, 3, 4) + array.tobytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    np.testing.assert_array_equal(idx(tmp_path / "a.gz"), array)


def test_a_chord_is_sound_of_the_models_length(makers: None) -> None:
    from basic_pitch import SAMPLES, chord

    sound = chord(np.random.default_rng(3))
    assert sound.shape == (SAMPLES,)
    assert sound.dtype == np.float32
    assert 0.05 < np.abs(sound).max() < 3
    np.testing.assert_array_equal(sound, chord(np.random.default_rng(3)))


def test_equal_values_of_a_cross_share_a_row_and_crosses_differ(makers: None) -> None:
    import pandas as pd
    from flight_delays import hashed

    flights = pd.DataFrame({"month": [1, 1, 2, 1], "day": [5, 5, 5, 6], "dest": list("abca")})
    ids = hashed(flights, (("month", "day"), ("dest",)), rows=2**18)
    assert ids.dtype == np.int32
    assert ids.min() >= 0
    assert ids[0, 0] == ids[1, 0]
    assert len({ids[0, 0], ids[2, 0], ids[3, 0]}) == 3
    assert ids[0, 1] == ids[3, 1]
    assert ids[0, 0] != ids[0, 1]


def test_a_split_is_disjoint_and_whole(makers: None) -> None:
    from flight_delays import split

    training, held_back = split(1000, 300, seed=0)
    assert len(held_back) == 300
    assert sorted([*training, *held_back]) == list(range(1000))


def test_a_recipe_is_made_again_when_script_or_output_changed(tmp_path: Path, makers: None) -> None:
    from making import Recipe

    script, output = tmp_path / "make.py", tmp_path / "model"
    script.write_text("first")

    def recipe(**parameters: str) -> Any:
        return Recipe(script, parameters, [output], cache=tmp_path / "cache")

    assert not recipe().is_made()
    output.write_text("")
    recipe().made()
    assert recipe().is_made()
    assert not recipe(rows="7").is_made()
    script.write_text("second")
    assert not recipe().is_made()
    script.write_text("first")
    output.unlink()
    assert not recipe().is_made()
