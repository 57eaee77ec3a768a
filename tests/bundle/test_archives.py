"""What travels is checked where it arrives: parts there, results here."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.bundle import run_bundle
from amp_tuner.bundle.archive import read_range, write_archive
from amp_tuner.bundle.manifest import FORMAT, Entry, Manifest
from amp_tuner.bundle.run_bundle import BundleError, check_archive, chosen, read_part, unpack
from amp_tuner.bundle.writing import write_bundle
from amp_tuner.errors import InputError

WEIGHT_BYTES = 3_000_000


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """FP32 with a large weight, and two settings."""
    folder = tmp_path / "staged"
    (folder / "artifacts/weights").mkdir(parents=True)
    (folder / "data.npz").write_bytes(b"data")
    (folder / "order.npy").write_bytes(b"order")
    weight = bytes(range(256)) * (WEIGHT_BYTES // 256)
    (folder / "artifacts/weights/large.npy").write_bytes(weight)
    for name in ("float32", "one", "two"):
        described = {"module": f"{name}.mlirbc", "weights": [{"file": "weights/large.npy"}]}
        (folder / f"artifacts/{name}.json").write_text(json.dumps(described))
        (folder / f"artifacts/{name}.mlirbc").write_bytes(name.encode() * 100_000)
    return folder


def manifest(staged: Path, **changes: Any) -> Manifest:
    files = {
        path.relative_to(staged).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in staged.rglob("*")
        if path.is_file()
    }
    names = {"float32.fp32": "float32", "one": "one", "two": "two"}
    entries = tuple(
        Entry(name, name, False, {"fp32": f"artifacts/{file}.json"}) for name, file in names.items()
    )
    fields: dict[str, Any] = {
        "format": FORMAT,
        "study": "a study",
        "token": "1",
        "device": "cpu",
        "threads": {"intra_op": 1, "inter_op": 1},
        "baseline": None,
        "data": {},
        "inputs": ("x",),
        "output": "y",
        "samples": 10,
        "searched": 5,
        "rules": {},
        "patience": 2.0,
        "trial_seconds": 60.0,
        "memory_bytes": 1,
        "settings": entries,
        "files": files,
    }
    return Manifest(**{**fields, **changes})


@pytest.fixture
def bundle(staged: Path, tmp_path: Path) -> Path:
    """The bundle in parts of 1 MiB."""
    return write_bundle(tmp_path / "bundle", manifest(staged), staged, 1 << 20).folder


def parts(bundle: Path) -> list[Path]:
    return sorted(bundle.glob(run_bundle.PARTS))


def test_parts_are_no_larger_than_asked_for_and_hold_what_was_gathered(
    bundle: Path, staged: Path, tmp_path: Path
) -> None:
    assert len(parts(bundle)) > 3
    assert max(path.stat().st_size for path in parts(bundle)) <= 1 << 20
    wanted, needed = chosen([], bundle)
    assert not needed
    unpack(wanted, tmp_path / "work")
    for path in staged.rglob("*"):
        if path.is_file():
            copy = tmp_path / "work/files" / path.relative_to(staged)
            assert copy.read_bytes() == path.read_bytes()


def test_a_part_names_those_that_it_needs(bundle: Path) -> None:
    (one,) = [path for path in parts(bundle) if "one" in read_part(path).settings]
    wanted, needed = chosen([one], bundle)
    assert [part.path for part in wanted] == [one]
    assert {part.number for part in needed} == set(wanted[0].needs)
    assert 1 in wanted[0].needs
    parts(bundle)[0].unlink()
    with pytest.raises(BundleError, match=r"part 1 of \d+ of bundle \w+ is needed .* and not in"):
        chosen([one], bundle)


def test_checksums_are_those_of_sha256sum(bundle: Path) -> None:
    lines = (bundle / run_bundle.SUMS).read_text().splitlines()
    assert {line.partition("  ")[2] for line in lines} == {
        "run_bundle.py",
        *(path.name for path in parts(bundle)),
    }


def test_a_bundle_is_not_written_over_another_one(bundle: Path, staged: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundle.iterdir()}
    with pytest.raises(InputError, match=r"--output: .*exists"):
        write_bundle(bundle, manifest(staged, token="2"), staged, 1 << 20)
    assert {path: path.stat().st_mtime_ns for path in bundle.iterdir()} == before
    assert [path.name for path in bundle.parent.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_that_fails_half_way_leaves_nothing(staged: Path, tmp_path: Path) -> None:
    described = manifest(staged)
    (staged / "artifacts/two.mlirbc").unlink()
    with pytest.raises(InputError, match=r"--output: .*No such file"):
        write_bundle(tmp_path / "new", described, staged, 1 << 20)
    assert list(tmp_path.iterdir()) == [staged]


def test_parts_too_small_for_the_program_are_refused_with_what_is_allowed(
    staged: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--part-size: found 300000 bytes; .* allows \d+ bytes"):
        write_bundle(tmp_path / "new", manifest(staged), staged, 300_000)


def test_parts_of_two_bundles_are_not_mixed(bundle: Path, staged: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", manifest(staged, token="2"), staged, 1 << 20).folder
    with pytest.raises(BundleError, match="parts of several bundles"):
        chosen([parts(bundle)[0], parts(other)[0]], bundle)


def test_an_empty_folder_holds_no_parts(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no parts"):
        chosen([], tmp_path)


def test_one_flipped_byte_is_found(bundle: Path) -> None:
    path = parts(bundle)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"damaged|altered"):
        check_archive(path)


def test_half_an_archive_is_found(bundle: Path) -> None:
    path = parts(bundle)[0]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BundleError, match="was not copied whole"):
        check_archive(path)


def changed(path: Path, name: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive with one member's content changed, and the checksums that it had."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = content
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def test_a_member_that_was_changed_is_named(bundle: Path) -> None:
    path = changed(parts(bundle)[0], "run_bundle.py", b"print('something else')")
    with pytest.raises(BundleError, match=r"altered: run_bundle.py has another checksum"):
        check_archive(path)


def test_a_member_that_was_added_is_found(bundle: Path) -> None:
    path = changed(parts(bundle)[0], "package/amp_tuner/more.py", b"")
    with pytest.raises(BundleError, match="its members are not those of its checksums"):
        check_archive(path)


def test_what_could_unpack_to_more_than_was_copied_is_not_ours(bundle: Path) -> None:
    path = changed(parts(bundle)[0], "more", b"\0" * 10_000, zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleError, match="was not written by amp-tune"):
        check_archive(path)


@pytest.mark.parametrize("name", ["../outside", "artifacts/../../../outside"])
def test_a_file_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    content = json.dumps({"files": {name: {"bytes": 1, "sha256": ""}}}).encode()
    part = {"manifest.json": content, "piece": b"x"}
    with (tmp_path / "part.zip").open("wb") as file:
        write_archive(file, ((member, [data]) for member, data in part.items()))
    one = run_bundle.Part(tmp_path / "part.zip", "1", 1, 1, (), (), ((name, 0, "piece"),))
    with pytest.raises(BundleError, match="leads out of its folder"):
        unpack([one], tmp_path / "work")


def test_a_part_of_a_newer_format_is_named(bundle: Path) -> None:
    path = parts(bundle)[0]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members[run_bundle.SUMS]
    members["part.json"] = json.dumps({**json.loads(members["part.json"]), "format": 2}).encode()
    with path.open("wb") as file:
        write_archive(file, ((name, [data]) for name, data in members.items()))
    with pytest.raises(BundleError, match=r"has format 2; this run_bundle.py reads 1"):
        read_part(path)


def test_a_range_is_the_bytes_between(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    assert b"".join(read_range(path, 10, 5)) == bytes(range(10, 15))
    assert b"".join(read_range(path, 90)) == bytes(range(90, 100))
