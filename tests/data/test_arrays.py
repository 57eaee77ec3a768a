"""Arrays of an .npz are read by header and in chunks; damage is told and nothing is unpickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.data.arrays import (
    ArrayHeader,
    BadArrays,
    iterate,
    read_headers,
    write_arrays,
    write_converted,
)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_headers_tell_shape_and_type_without_the_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", x=np.zeros((3, 2), np.float16), s=np.array(["a", "bc"]))
    x, s = read_headers(path)["x"], read_headers(path)["s"]
    assert isinstance(x, ArrayHeader)
    assert isinstance(s, ArrayHeader)
    assert (x.shape, x.dtype) == ((3, 2), np.float16)
    assert (s.shape, s.dtype.kind) == ((2,), "U")


def test_python_objects_are_named_as_what_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", x=np.array(["a", None], object))
    found = read_headers(path)["x"]
    assert isinstance(found, str)
    assert "Python objects, which would need pickle" in found


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 nothing more"])
def test_another_file_is_no_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(BadArrays, match=r"not an \.npz file, or damaged"):
        read_headers(path)


def test_an_archive_without_arrays_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadArrays, match="holds no arrays"):
        read_headers(path)


def test_a_shape_that_the_bytes_contradict_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    stream = io.BytesIO()
    np.save(stream, np.zeros(100))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", stream.getvalue()[:-8])
    assert read_headers(path)["x"] == "it is damaged: 792 bytes, its shape says 800"


def test_values_come_in_the_file_s_order_in_chunks(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(700, 500))
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=values)
    header = read_headers(path)["x"]
    assert isinstance(header, ArrayHeader)
    chunks = list(iterate(path, "x", header))
    assert len(chunks) > 1
    assert np.array_equal(np.concatenate(chunks), values.reshape(-1))


@pytest.mark.parametrize("order", ["C", "F"])
def test_conversion_changes_types_and_nothing_else(tmp_path: Path, order: Any) -> None:
    values = np.asarray(np.arange(12).reshape(3, 4), order=order)
    path = saved(tmp_path / "a.npz", x=values, big=values.astype(">f4"))
    headers = {k: v for k, v in read_headers(path).items() if isinstance(v, ArrayHeader)}
    stream = io.BytesIO()
    write_converted(stream, path, headers, {"x": "int32", "big": "float32"})
    with np.load(io.BytesIO(stream.getvalue()), allow_pickle=False) as file:
        assert file["x"].dtype == np.int32
        assert file["big"].dtype == np.dtype("=f4")
        assert np.array_equal(file["x"], values)
        assert np.array_equal(file["big"], values)


def test_array_names_are_free() -> None:
    stream = io.BytesIO()
    write_arrays(stream, {"file": np.arange(3), "allow_pickle": np.arange(2)})
    with np.load(io.BytesIO(stream.getvalue()), allow_pickle=False) as file:
        assert sorted(file) == ["allow_pickle", "file"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_any_damage_is_told_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.arange(50, dtype=np.float32), y=np.arange(50))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.npz"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        for name, header in read_headers(path).items():
            if isinstance(header, ArrayHeader):
                for _chunk in iterate(path, name, header):
                    pass
    except BadArrays as error:
        assert str(error)  # noqa: PT017
