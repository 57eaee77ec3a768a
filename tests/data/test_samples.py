"""Data that fits a model is split once and for all; data that does not is told in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.config.load import check_study
from amp_tuner.data.samples import DataSet, open_data
from amp_tuner.errors import InputError
from amp_tuner.worker.protocol import LoadedModel, TensorInfo

IMAGES = np.random.default_rng(0).random((100, 4, 4)).astype(np.float32)
LABELS = np.arange(100)


def signature(*inputs: TensorInfo, fixed_batch: int | None = None) -> LoadedModel:
    outputs = (TensorInfo("y", "float32", (-1, 10)),)
    return LoadedModel(inputs or (X,), outputs, 1, 4, fixed_batch, ())


X = TensorInfo("x", "float32", (-1, 4, 4))


def opened(
    work: Path,
    arrays: dict[str, Any] | bytes,
    model: LoadedModel | None = None,
    **section: Any,
) -> DataSet:
    path = work / "given.npz"
    if isinstance(arrays, bytes):
        path.write_bytes(arrays)
    else:
        np.savez(path, **arrays)
    section = {"path": str(path), "inputs": {"x": "images"}, "batch_size": 8, **section}
    section = {key: value for key, value in section.items() if value is not None}
    raw = {"name": "a", "model": {"path": "m"}, "data": section}
    config = check_study(raw, work / "study.yaml", check_files=False)
    return open_data(config, model or signature(), work)


def problems(*arguments: Any, **section: Any) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        opened(*arguments, **section)
    return {problem.where: problem.message for problem in caught.value.problems}


def test_samples_are_shuffled_once_and_cut_in_two(tmp_path: Path) -> None:
    data = opened(tmp_path, {"images": IMAGES, "t": LABELS}, labels="t", holdout=0.3)
    order = np.load(data.order_path)
    assert sorted(order) == list(range(100))
    assert list(order) != list(range(100))
    assert data.labels is not None
    assert np.array_equal(data.labels, LABELS[order])
    assert (data.samples, data.search, data.holdout) == (100, range(70), range(70, 100))
    source = data.source(8, 16)
    assert (source.inputs, source.batch_size) == ({"x": "images"}, 8)
    assert source.path == str(tmp_path / "given.npz")
    assert data.notices == ()


def test_the_order_belongs_to_the_data_and_not_to_the_search(tmp_path: Path) -> None:
    first = np.load(opened(tmp_path, {"images": IMAGES}).order_path)
    again = np.load(opened(tmp_path, {"images": IMAGES}, batch_size=1).order_path)
    assert np.array_equal(first, again)


def test_nothing_is_held_back_where_holdout_is_0(tmp_path: Path) -> None:
    data = opened(tmp_path, {"images": IMAGES}, holdout=0)
    assert (data.search, len(data.holdout)) == (range(100), 0)


def test_the_digest_follows_values_names_and_types_of_what_is_used(tmp_path: Path) -> None:
    base = opened(tmp_path, {"images": IMAGES, "t": LABELS}, labels="t").digest
    assert opened(tmp_path, {"images": IMAGES, "t": LABELS, "z": LABELS}, labels="t").digest == base
    other = IMAGES.copy()
    other[99, 3, 3] += 1e-3
    digests = {
        base,
        opened(tmp_path, {"images": other, "t": LABELS}, labels="t").digest,
        opened(tmp_path, {"images": IMAGES, "t": LABELS + 1}, labels="t").digest,
        opened(tmp_path, {"images": IMAGES}).digest,
        opened(tmp_path, {"x": IMAGES}, inputs={}).digest,
    }
    assert len(digests) == 5


def test_an_argument_without_a_mapping_takes_the_array_of_its_name(tmp_path: Path) -> None:
    assert opened(tmp_path, {"x": IMAGES}, inputs={}).inputs == {"x": "x"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (LABELS, "int32"),
        (LABELS.astype(np.uint8), "float32"),
        (LABELS.astype(np.float64) / 4, "float32"),
        (LABELS.astype(np.float16), "float64"),
        (LABELS.astype(">i4"), "int32"),
    ],
)
def test_values_that_fit_without_loss_are_converted_with_a_notice(
    tmp_path: Path, given: Any, wanted: str
) -> None:
    data = opened(tmp_path, {"images": given}, signature(TensorInfo("x", wanted, (-1,))))
    with np.load(data.npz_path, allow_pickle=False) as file:
        assert file["images"].dtype == np.dtype(wanted)
        assert np.array_equal(file["images"], given)
    (notice,) = data.notices
    assert f"to {wanted}; no value changed" in notice


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [
        (LABELS + 2**31, "int32", "holds int64, and values that int32 cannot hold exactly"),
        (-LABELS, "uint8", "values that uint8 cannot hold exactly"),
        (LABELS / 10, "float32", "convert it with .astype('float32')"),
        (LABELS + 2**24 + 1, "float32", "values that float32 cannot hold exactly"),
        (LABELS.astype(np.float32), "int32", "holds float32; allowed: int32"),
        (LABELS > 3, "float32", "holds bool; allowed: float32"),
        (LABELS.astype(str), "float32", "holds text; allowed: float32"),
        (LABELS.astype(np.float32), "bfloat16", "holds float32; allowed: bfloat16"),
        (LABELS, "string", "holds int64; allowed: text"),
        (np.full(100, 1e300), "float16", "values that float16 cannot hold exactly"),
    ],
)
def test_values_that_do_not_fit_the_type_are_told(
    tmp_path: Path, given: Any, wanted: str, message: str
) -> None:
    found = problems(tmp_path, {"images": given}, signature(TensorInfo("x", wanted, (-1,))))
    assert list(found) == ["$.data.inputs.x"]
    assert message in found["$.data.inputs.x"]


@pytest.mark.parametrize("kind", ["U", "S"])
def test_text_is_fed_to_string_inputs(tmp_path: Path, kind: str) -> None:
    model = signature(TensorInfo("x", "string", (-1,)))
    data = opened(tmp_path, {"images": LABELS.astype(kind)}, model)
    assert data.npz_path == tmp_path / "given.npz"


def test_a_name_that_is_not_there_is_told_with_the_closest(tmp_path: Path) -> None:
    found = problems(tmp_path, {"image": IMAGES, "t": LABELS}, labels="T", inputs={"xx": "images"})
    assert found == {
        "$.data.inputs.xx": "the model has no input 'xx' (did you mean x?); allowed: x",
        "$.data.inputs.x": f"{tmp_path}/given.npz has no array 'x'; allowed: image, t",
        "$.data.labels": f"{tmp_path}/given.npz has no array 'T'; allowed: image, t",
    }


@pytest.mark.parametrize(
    ("given", "shape", "message"),
    [
        (IMAGES[:, :3], (-1, 4, 4), "has shape (100, 3, 4); allowed: (samples, 4, 4)"),
        (IMAGES[:, 0], (-1, 4, 4), "has shape (100, 4); allowed: (samples, 4, 4)"),
        (IMAGES[:, 0, 0], (-1, 1), "has shape (100,); allowed: (samples, 1)"),
        (IMAGES, (-1,), "has shape (100, 4, 4); allowed: (samples,)"),
        (IMAGES, (-1, -1, 5), "allowed: (samples, any, 5)"),
        (IMAGES[0, 0, 0], (-1,), "is a single value; allowed: one row for each sample"),
        (IMAGES, (), "takes a single value and no batch"),
    ],
)
def test_a_shape_that_does_not_fit_is_told(
    tmp_path: Path, given: Any, shape: tuple[int, ...], message: str
) -> None:
    found = problems(tmp_path, {"images": given}, signature(TensorInfo("x", "float32", shape)))
    assert message in found["$.data.inputs.x"]


def test_free_dimensions_take_any_size(tmp_path: Path) -> None:
    for shape in ((-1, -1, 4), None):
        assert opened(tmp_path, {"images": IMAGES}, signature(TensorInfo("x", "float32", shape)))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    model = signature(X, TensorInfo("z", "int32", (-1,)))
    arrays = {"images": IMAGES[:, :2], "z": LABELS[:50] / 3, "t": LABELS}
    found = problems(tmp_path, arrays, model, labels="t")
    assert set(found) == {"$.data.inputs.x", "$.data.inputs.z", "$.data.path"}
    assert "'images' 100, 'z' 50, 't' 100" in found["$.data.path"]


def test_no_samples_is_told(tmp_path: Path) -> None:
    assert "there are no samples" in problems(tmp_path, {"images": IMAGES[:0]})["$.data.path"]


def test_a_batch_larger_than_the_search_half_is_told(tmp_path: Path) -> None:
    found = problems(tmp_path, {"images": IMAGES}, batch_size=64)
    assert "found 64, but the search has 50 of the 100 samples" in found["$.data.batch_size"]


def test_a_batch_that_the_model_demands_wins_with_a_notice(tmp_path: Path) -> None:
    model = signature(TensorInfo("x", "float32", (1, 4, 4)), fixed_batch=1)
    data = opened(tmp_path, {"images": IMAGES}, model)
    assert data.batch_size == 1
    assert data.notices == ("The model takes batches of 1 only; batch_size 8 is ignored.",)


def test_python_objects_and_damage_are_told_with_their_array(tmp_path: Path) -> None:
    found = problems(tmp_path, {"images": np.array([1, None], object)})
    assert "array 'images'" in found["$.data.inputs.x"]
    assert "would need pickle" in found["$.data.inputs.x"]


def test_a_file_that_is_no_npz_is_told(tmp_path: Path) -> None:
    found = problems(tmp_path, b"no zip at all")
    assert "not an .npz file, or damaged" in found["$.data.path"]


def test_a_truncated_npz_is_told(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=IMAGES)
    content = (tmp_path / "a.npz").read_bytes()
    assert "damaged" in problems(tmp_path, content[: len(content) // 2])["$.data.path"]


def test_data_may_come_from_a_function_beside_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def batches():\n"
        "    for start in (0, 40):\n"
        "        yield {'images': np.ones((40, 4, 4), 'f4'), 't': np.arange(start, start + 40)}\n"
    )
    data = opened(tmp_path, {"images": IMAGES}, path=None, function="mine:batches", labels="t")
    assert data.npz_path == tmp_path / "data.npz"
    assert data.labels is not None
    assert sorted(data.labels) == list(range(80))
