"""Each ready study loads, and its makers' arithmetic is right. The studies run in test_ready.py."""

from __future__ import annotations

import gzip
import struct
import sys
from functools import partial
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


def test_there_are_the_studies_of_the_readme() -> None:
    names = {"quickstart", "fashion_cnn", "basic_pitch", "inception_v4"}
    names |= {f"xla_{name}" for name in ("resnet50", "mobilenet", "efficientnet_lite0")}
    names |= {"xla_minilm", "xla_decoder", "xla_fashion_cnn", "train_cnn", "topics", "flight_nfm"}
    assert {path.stem for path in STUDIES} >= names


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


def test_every_cross_belongs_to_one_of_two_tables(makers: None) -> None:
    from flight_delays import CROSSES
    from flight_nfm import GROUPS

    assert sorted([*GROUPS["dates"], *GROUPS["planes"]]) == sorted(CROSSES)


def test_the_pairs_of_a_neural_factorization_machine_are_all_products_of_two_rows(
    makers: None,
) -> None:
    import tensorflow as tf
    from flight_nfm import LINEAR, WIDTH, NeuralFactorizationMachine

    model = NeuralFactorizationMachine()
    rows = np.random.default_rng(0).normal(size=(1, 12, WIDTH)).astype(np.float32)
    logit = model.logit(tf.constant(rows[:, :7]), tf.constant(rows[:, 7:]))
    pairs = sum(rows[0, i] * rows[0, j] for i in range(12) for j in range(i))
    hidden, hidden_bias, last, bias = (one.numpy() for one in model.dense)
    deep = np.maximum(pairs @ hidden + hidden_bias, 0) @ last + bias
    np.testing.assert_allclose(logit, deep + LINEAR * rows.sum(), rtol=1e-4)


def test_words_and_pairs_have_rows_of_their_own_and_none_has_row_0(makers: None) -> None:
    from topics import WORDS, hashed

    ids = hashed(["A tame animal", "a tall animal", "one " * (2 * WORDS)])
    words, pairs = ids["words"], ids["pairs"]
    assert (words.dtype, words.shape, pairs.shape) == (np.int32, (3, WORDS), (3, WORDS))
    assert words[0, 0] == words[1, 0]
    assert words[0, 2] == words[1, 2]
    assert words[0, 1] != words[1, 1]
    assert (words[:2] != 0).sum(axis=1).tolist() == [3, 3]
    assert (pairs != 0).sum(axis=1).tolist() == [2, 2, WORDS - 1]
    assert not set(pairs[0, :2]) & set(pairs[1, :2])


def test_a_bag_is_the_mean_of_the_words_that_are_there(makers: None) -> None:
    import tensorflow as tf
    from topics import WORDS, Bag

    model = Bag()
    random = np.random.default_rng(0)
    model.weights.assign(random.normal(size=model.weights.shape))
    words, pairs = np.zeros((2, 1, WORDS), np.int32)
    words[0, :2], pairs[0, :1] = (7, 9), 11
    rows = [model.tables["words"][7], model.tables["words"][9], model.tables["pairs"][11]]
    expected = tf.nn.softmax(np.mean(rows, axis=0) @ model.weights.numpy())
    np.testing.assert_allclose(model.serve(words, pairs)["topics"][0], expected, rtol=1e-4)


def test_inception_v4_is_the_papers(makers: None) -> None:
    import keras
    from inception_v4 import network, reduction_a, reduction_b, stem

    for block, given, made in (
        (stem, (299, 299, 3), (35, 35, 384)),
        (reduction_a, (35, 35, 384), (17, 17, 1024)),
        (reduction_b, (17, 17, 1024), (8, 8, 1536)),
    ):
        assert block(keras.Input(given)).shape == (None, *made)
    model = network()
    assert model.input_shape == (None, 299, 299, 3)
    assert model.output_shape == (None, 1000)
    convolutions = [one for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    assert len(convolutions) == 149
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    # 42,679,816 is the published number where normalisation also has a scale for each filter.
    assert trainable + sum(one.filters for one in convolutions) == 42_679_816


def test_definitions_are_filed_under_their_topics_once_and_without_examples(makers: None) -> None:
    from wordnet import definitions

    lines = (
        "  1 This software and database is | being provided",
        '00002684 05 n 01 dog 0 001 @ 00001930 n 0000 | a tame animal; "the dog barked"  ',
        "00002685 20 n 01 tree 0 000 | a tall plant; often with a trunk  ",
        "00002686 05 n 01 hound 0 000 | a tame animal  ",
    )
    found = definitions(iter(lines))
    assert found == {5: ["a tame animal"], 20: ["a tall plant; often with a trunk"]}


def test_a_decoders_step_reads_what_came_before(makers: None) -> None:
    import tensorflow as tf
    from decoder import Decoder

    decoder = Decoder(np.random.default_rng(0))
    token = tf.constant([1, 1])
    nothing = tf.zeros([2, 4, 8, 0, 64])
    scores, key, value = decoder.step(token, nothing, nothing)
    assert (scores.shape, key.shape, value.shape) == ((2, 8192), (2, 4, 8, 1, 64), (2, 4, 8, 1, 64))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert 0.5 < scores.numpy().std() < 2
    # The same token after two different ones.
    past = decoder.step(tf.constant([2, 3]), nothing, nothing)[1:]
    scores, _, _ = decoder.step(token, *past)
    assert np.abs(scores[0] - scores[1]).max() > 0.1


def test_pictures_are_of_the_asked_size_and_differ(makers: None) -> None:
    from untrained import pictures

    first, second = pictures(np.random.default_rng(0), 2, 299, 23)
    assert (first.shape, first.dtype) == ((299, 299, 3), np.float32)
    assert -1 <= first.min() < first.max() <= 1
    assert np.abs(first - second).mean() > 0.3


def test_a_scripts_file_is_checked_and_is_part_of_the_recipe(
    tmp_path: Path, makers: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import making

    weights, made = tmp_path / "some.weights.h5", []
    monkeypatch.setattr(making, "Recipe", partial(making.Recipe, cache=tmp_path / "cache"))

    def make(model: Path, data: Path, weights: Path | None) -> None:
        made.append(weights)
        model.touch()
        data.touch()

    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["make.py", *words])
        making.run(Path(__file__), make, tmp_path / "model", tmp_path / "data", {"weights": ""})

    with pytest.raises(SystemExit, match="2"):
        run("--weights", str(weights))
    assert f"--weights: no such file: {weights}" in capsys.readouterr().err
    run()
    run()
    for content in ("first", "first", "second"):
        weights.write_text(content)
        run("--weights", str(weights))
    assert made == [None, weights, weights]


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
