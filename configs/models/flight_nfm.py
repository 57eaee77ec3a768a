"""Makes a neural factorization machine with two tables: will a flight from New York arrive late?

    python configs/models/flight_nfm.py

Flights, crosses, how they are hashed and how it learns are those of flight_delays.py. Here what the
weather has to do with (crosses of the date) and what the airline has to do with (crosses of plane
and flight) have a table each. With s the sum of a flight's rows, q that of their squares,

    logit = bias + 0.1 * (sum of s) + dense(relu(dense((s^2 - q) / 2)))

where (s^2 - q) / 2 is the sum of the products of all pairs of rows (X. He and T.-S. Chua, "Neural
Factorization Machines for Sparse Predictive Analytics", arXiv:1708.05027). Made are

    models/flight_nfm        SavedModel: dates and planes, int32 (batch, 7) and (batch, 5) -> late,
                             float32 (batch,)
    data/flight_nfm.npz      dates, planes and late (0 or 1) of flights that training did not see
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from flight_delays import (
    BATCH,
    CROSSES,
    DATE,
    EPOCHS,
    INITIAL_SCALE,
    LEARNING_RATE,
    LINEAR,
    PACKAGE,
    SEED,
    SHA256,
    WIDTH,
    area_under_curve,
    hashed,
    read_flights,
    save,
    split,
)
from making import ROOT, downloaded, run
from numpy.typing import NDArray

GROUPS = {
    "dates": tuple(cross for cross in CROSSES if cross[:2] == DATE and cross[-1] != "tailnum"),
    "planes": tuple(cross for cross in CROSSES if cross[:2] != DATE or cross[-1] == "tailnum"),
}
#: Each table: 64 MiB in 32 bits.
ROWS = 2**17
HIDDEN = 64
HELD_BACK = 65_536

Ids = dict[str, NDArray[np.int32]]


class NeuralFactorizationMachine(tf.Module):
    """Linear weights, and a small network over the sum of all pairs' products."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(SEED)

        def variable(name: str, *shape: int, scale: float) -> tf.Variable:
            start = random.standard_normal(shape, np.float32) * np.float32(scale)
            return tf.Variable(start, name=name)

        self.tables = {name: variable(name, ROWS, WIDTH, scale=INITIAL_SCALE) for name in GROUPS}
        self.dense = [
            variable("hidden", WIDTH, HIDDEN, scale=WIDTH**-0.5),
            variable("hidden_bias", HIDDEN, scale=0.0),
            variable("last", HIDDEN, 1, scale=HIDDEN**-0.5),
            variable("bias", 1, scale=0.0),
        ]
        ids = [tf.TensorSpec([None, len(GROUPS[name])], tf.int32, name) for name in self.tables]
        self.serve = tf.function(self._serve, input_signature=ids)

    def logit(self, dates: tf.Tensor, planes: tf.Tensor) -> tf.Tensor:
        """From each group's rows, shape (batch, crosses, width), to shape (batch,)."""
        hidden, hidden_bias, last, bias = self.dense
        total = tf.reduce_sum(dates, axis=1) + tf.reduce_sum(planes, axis=1)
        squares = tf.reduce_sum(dates * dates, axis=1) + tf.reduce_sum(planes * planes, axis=1)
        pairs = 0.5 * (total * total - squares)
        inner = tf.nn.relu(tf.nn.bias_add(tf.matmul(pairs, hidden), hidden_bias))
        deep = tf.nn.bias_add(tf.matmul(inner, last), bias)
        return tf.squeeze(deep, 1) + LINEAR * tf.reduce_sum(total, axis=1)

    def _serve(self, dates: tf.Tensor, planes: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = [tf.gather(self.tables["dates"], dates), tf.gather(self.tables["planes"], planes)]
        return {"late": tf.sigmoid(self.logit(*rows))}


class Training:
    """Adagrad: of the tables it touches only a batch's rows, with one sum of squares a row."""

    def __init__(self, model: NeuralFactorizationMachine) -> None:
        self._model = model
        self._row_squares = {name: tf.Variable(tf.fill([ROWS], 0.1)) for name in model.tables}
        self._squares = [tf.Variable(tf.fill(one.shape, 0.1)) for one in model.dense]

    @tf.function
    def step(self, dates: tf.Tensor, planes: tf.Tensor, late: tf.Tensor) -> None:
        """One batch: ids (batch, crosses) of each group, late (batch,) as 0.0 or 1.0."""
        model, ids = self._model, (dates, planes)
        rows = [tf.gather(model.tables[name], one) for name, one in zip(GROUPS, ids)]
        with tf.GradientTape() as tape:
            tape.watch(rows)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(late, model.logit(*rows))
            loss = tf.reduce_sum(losses)
        slopes = tape.gradient(loss, [*rows, *model.dense])
        for name, one, slope in zip(GROUPS, ids, slopes):
            flat, at = tf.reshape(slope, [-1, WIDTH]), tf.reshape(one, [-1])
            squares = self._row_squares[name]
            squares.scatter_add(tf.IndexedSlices(tf.reduce_mean(flat**2, axis=1), at))
            scale = LEARNING_RATE * tf.math.rsqrt(tf.gather(squares, at))
            model.tables[name].scatter_sub(tf.IndexedSlices(flat * scale[:, tf.newaxis], at))
        for weights, squares, slope in zip(model.dense, self._squares, slopes[len(rows) :]):
            mean = slope / float(BATCH)
            squares.assign_add(mean**2)
            weights.assign_sub(LEARNING_RATE * mean * tf.math.rsqrt(squares))


def train(ids: Ids, late: NDArray[np.int8]) -> NeuralFactorizationMachine:
    """A trained model; each epoch sees the flights in an order of its own."""
    model = NeuralFactorizationMachine()
    training = Training(model)
    for epoch in range(EPOCHS):
        order = np.random.default_rng((SEED, epoch)).permutation(len(late))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[first : first + BATCH]
            rows = (tf.constant(ids[name][batch]) for name in GROUPS)
            training.step(*rows, tf.constant(late[batch], tf.float32))
        print(f"epoch {epoch + 1} of {EPOCHS} is over", flush=True)
    return model


def make(model_path: Path, data_path: Path) -> None:
    """Downloads, trains, tests and writes."""
    tf.config.experimental.enable_op_determinism()
    flights = read_flights(downloaded(PACKAGE, SHA256))
    ids = {name: hashed(flights, crosses, ROWS) for name, crosses in GROUPS.items()}
    late = (flights["arr_delay"].to_numpy() > 0).astype(np.int8)
    training, held_back = split(len(flights), HELD_BACK, SEED)
    model = train({name: one[training] for name, one in ids.items()}, late[training])
    ids, late = {name: one[held_back] for name, one in ids.items()}, late[held_back]
    parts = zip(*(np.array_split(ids[name], 40) for name in GROUPS))
    scores = [model.serve(*map(tf.constant, part))["late"] for part in parts]
    area = area_under_curve(late, np.concatenate(scores))
    print(f"area under the ROC curve on the flights held back: {area:.3f}")
    save(model, model_path)
    np.savez(data_path, **ids, late=late)


if __name__ == "__main__":
    run(Path(__file__), make, ROOT / "models" / "flight_nfm", ROOT / "data" / "flight_nfm.npz")
