from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amp_tuner.errors import InputError
from amp_tuner.runtime.batches import Batches, write_arrays
from amp_tuner.worker.protocol import DataSource, TensorInfo

X = TensorInfo("x", "float32", (-1, 2))


def source(folder: Path, arrays: dict[str, Any], **changes: Any) -> DataSource:
    np.savez(folder / "data.npz", **arrays)
    order = changes.pop("order", np.arange(len(next(iter(arrays.values())))))
    np.save(folder / "order.npy", order)
    values = {"batch_size": 4, "timing_batches": 16, **changes}
    return DataSource(
        str(folder / "data.npz"),
        inputs={name: name for name in arrays},
        order=str(folder / "order.npy"),
        **values,
    )


def rows(count: int) -> Any:
    return np.arange(2 * count, dtype=np.float32).reshape(count, 2)


@settings(max_examples=40)
@given(
    samples=st.integers(1, 23),
    batch=st.integers(1, 9),
    fixed=st.booleans(),
    data=st.data(),
)
def test_every_sample_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    samples: int,
    batch: int,
    fixed: bool,
    data: st.DataObject,
) -> None:
    order = np.random.default_rng(samples).permutation(samples)
    start = data.draw(st.integers(0, samples - 1))
    stop = data.draw(st.integers(start + 1, samples))
    folder = tmp_path_factory.mktemp("data")
    made = source(folder, {"x": rows(samples)}, batch_size=batch, order=order)
    batches = Batches(made, [X], batch if fixed else None)
    feeds = list(batches.feeds(start, stop))
    whole = np.concatenate([feed[0][:count] for feed, count in feeds])
    np.testing.assert_array_equal(whole, rows(samples)[order[start:stop]])
    if fixed:
        assert {len(feed[0]) for feed, _ in feeds} == {batch}


def test_timing_cycles_through_distinct_whole_batches(tmp_path: Path) -> None:
    batches = Batches(source(tmp_path, {"x": rows(11)}), [X], None)
    assert [feed[0].tolist() for feed in batches.timing] == [
        rows(11)[:4].tolist(),
        rows(11)[4:8].tolist(),
    ]


def test_timing_takes_no_more_batches_than_asked(tmp_path: Path) -> None:
    made = source(tmp_path, {"x": rows(40)}, timing_batches=3)
    batches = Batches(made, [X], None)
    assert len(batches.timing) == 3
    # Three batches of four samples of two float32 numbers.
    assert batches.timing_bytes == 3 * 4 * 2 * 4


def test_a_fixed_batch_wins_over_the_size_asked_for(tmp_path: Path) -> None:
    batches = Batches(source(tmp_path, {"x": rows(3)}), [X], 2)
    assert batches.batch_size == 2
    assert [(feed[0].tolist(), count) for feed, count in batches.feeds(0, 3)] == [
        (rows(3)[:2].tolist(), 2),
        ([rows(3)[2].tolist()] * 2, 1),
    ]


def test_fewer_samples_than_a_batch_still_give_one_to_time(tmp_path: Path) -> None:
    batches = Batches(source(tmp_path, {"x": rows(3)}), [X], None)
    assert [len(feed[0]) for feed in batches.timing] == [3]


def test_inputs_come_in_the_order_of_the_signature(tmp_path: Path) -> None:
    made = source(tmp_path, {"a": rows(2), "x": -rows(2)})
    first, second = Batches(made, [X, TensorInfo("a", "float32", (-1, 2))], None).timing[0]
    np.testing.assert_array_equal(first, -second)


@pytest.mark.parametrize("array", [np.array(["ä", "bc"]), np.array(["ä".encode(), b"bc"])])
def test_strings_become_bytes_objects(tmp_path: Path, array: Any) -> None:
    text = TensorInfo("text", "string", (-1,))
    batches = Batches(source(tmp_path, {"text": array}), [text], None)
    (feed,) = batches.timing
    assert batches.timing_bytes == len("äbc".encode())
    assert feed[0].dtype == object
    assert feed[0].tolist() == ["ä".encode(), b"bc"]


def test_an_input_without_an_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no array for input x; arrays: \['a'\]"):
        Batches(source(tmp_path, {"a": rows(2)}), [X], None)


def test_no_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        Batches(source(tmp_path, {"x": rows(0)}), [X], None)


def test_any_output_name_can_be_written(tmp_path: Path) -> None:
    arrays = {"file": rows(2), "scope/Softmax:0": rows(1), "words": np.array([b"a", b"bc"], object)}
    write_arrays(tmp_path / "out.npz", arrays)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as read:
        assert {name: read[name].tolist() for name in arrays} == {
            name: array.tolist() for name, array in arrays.items()
        }
