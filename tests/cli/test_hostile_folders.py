"""A study's folder that somebody else made, or that is readable by others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from amp_tuner.errors import InputError
from amp_tuner.output.folder import move_aside, open_folder
from amp_tuner.output.stored import StoredTrial, read_stored
from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files

#: What may stand in a file in place of what belongs there.
BROKEN = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "no mapping": b"[]",
    "nothing in it": b"{}",
    "nested without end": b"[" * 100_000,
    "newer": b'{"format": 2}',
    "other types": b'{"format": 1, "trial": "x", "identity": 3, "onednn": "yes", "spent_s": "1"}',
}
LINES = {
    "no JSON": b"{broken\n",
    "no mapping": b"[]\n",
    "no number": b'{"op_code": "x", "worker_id": "w"}\n',
}


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The user lets everybody read and write what he makes."""
    before = os.umask(0)
    yield
    os.umask(before)


def one_problem(text: str) -> str:
    """The only thing that was told."""
    head, line = text.splitlines()
    assert head == "amp-tune: 1 problem"
    assert "Traceback" not in text
    return line.strip()


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_trial_is_told_with_its_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "0007.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_stored(path, StoredTrial)
    assert {problem.where for problem in caught.value.problems} == {str(path)}
    assert "broken, or not written by amp-tune" in str(caught.value) or "newer" in str(caught.value)


@pytest.mark.parametrize("name", ["study.json", "baseline.json", "clock.json", "trials/0000.json"])
def test_a_study_with_a_broken_file_is_not_resumed(
    quick: Command, finished: Path, name: str
) -> None:
    path = finished / "run" / name
    path.write_bytes(BROKEN["no mapping"])
    ended = quick("--config", finished / "study.yaml", "--quiet")
    assert ended.code == 2
    assert one_problem(ended.err).startswith(f"{path}: broken, or not written by amp-tune")
    assert path.read_bytes() == BROKEN["no mapping"]


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_study_with_a_broken_journal_is_not_resumed(
    quick: Command, finished: Path, line: bytes
) -> None:
    path = finished / "run" / "study.journal"
    path.write_bytes(path.read_bytes() + line)
    ended = quick("--config", finished / "study.yaml", "--quiet")
    assert ended.code == 2
    assert one_problem(ended.err).startswith(f"{path}: broken, or not written by amp-tune")


@pytest.mark.parametrize("verb", [["export", "--format", "env"], ["verify"]])
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["pareto/front.yaml", "pareto/POINT"])
def test_a_broken_front_or_point_is_told_with_its_file(
    amp_tune: Command, finished: Path, verb: list[str], content: bytes, name: str
) -> None:
    front = yaml.safe_load((finished / "run" / "pareto" / "front.yaml").read_text())
    path = finished / "run" / name.replace("POINT", f"{front['knee']:03d}.yaml")
    path.write_bytes(content)
    ended = amp_tune(verb[0], finished / "run", "--point", "knee", *verb[1:])
    assert ended.code == 2
    assert ended.out == ""
    assert str(path) in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("environment", {"LD_PRELOAD": "/tmp/evil.so"}, "environment: found 'LD_PRELOAD'"),
        ("environment", {"PATH": "/tmp"}, "environment: found 'PATH'"),
        ("environment", {"A; touch pwned": "x"}, "allowed: variables of a pass's lists"),
        (
            "environment",
            {"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_ALLOWLIST_ADD": "$(touch pwned)"},
            "allowed: op types and commas",
        ),
        (
            "environment",
            {"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LOG_PATH": "/etc"},
            "allowed: variables of a pass's lists",
        ),
        ("family", "evil", "family: found 'evil'; allowed: tensorflow, itex"),
        ("moves", {"a\nb": "allow"}, "allowed: op types, such as AvgPool"),
        ("moves", {"$(touch pwned)": "allow"}, "allowed: op types, such as AvgPool"),
        ("moves", {"A" * 5000: "allow"}, "allowed: op types, such as AvgPool"),
        ("number", "7; touch pwned", "number: Input should be a valid integer"),
        ("speedup", {"value": "x", "low": 1, "high": 2, "search_time": 1}, "speedup.value"),
        ("batch_size", None, "batch_size: Input should be a valid integer"),
        ("accuracy", [], "not a whole point"),
        ("rules", "../../etc/passwd", "../../etc/passwd"),
    ],
)
@pytest.mark.parametrize("form", ["env", "python"])
def test_a_hostile_point_is_not_exported(
    amp_tune: Command, finished: Path, key: str, value: object, message: str, form: str
) -> None:
    folder = finished / "run" / "pareto"
    front = yaml.safe_load((folder / "front.yaml").read_text())
    other = next(
        path for path in sorted(folder.glob("[0-9]*.yaml")) if "tf-cpu" in path.read_text()
    )
    point = yaml.safe_load(other.read_text())
    other.write_text(yaml.safe_dump({**point, key: value}))
    assert front["points"]
    ended = amp_tune("export", finished / "run", "--point", int(other.stem), "--format", form)
    assert ended.code == 2
    assert message in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("name", ["lock", "log.jsonl", "trials.csv", "study.journal", "work"])
def test_a_link_in_the_folder_is_not_followed(name: str, tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    (root / "study.json").write_text("{}")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (root / name).symlink_to(precious)
    for use in (open_folder, move_aside):
        with pytest.raises(InputError, match=rf"holds symbolic links \({name}\); remove them"):
            use(root)
    assert precious.read_text() == "precious"


def test_code_that_lies_in_the_scratch_folder_is_not_imported(tmp_path: Path) -> None:
    """It is on the worker's path while a study runs."""
    planted = tmp_path / "run" / "work" / "worker-on" / "import" / "sitecustomize.py"
    planted.parent.mkdir(parents=True)
    planted.write_text("raise SystemExit('pwned')")
    (tmp_path / "run" / "study.json").write_text("{}")
    folder, lock = open_folder(tmp_path / "run")
    lock.release()
    assert list(folder.work.iterdir()) == []
    assert not planted.exists()


def modes(folder: Path) -> set[str]:
    """Rights of everything in a folder, and of itself."""
    paths = [folder, *folder.rglob("*")]
    return {stat.filemode(path.stat().st_mode) for path in paths if not path.is_symlink()}


def test_what_a_study_writes_is_the_users_alone(
    quick: Command, small: Files, tmp_path: Path, open_umask: None
) -> None:
    plain = small_study.study(small.model, small.data, search={"trials": 2})
    path = small_study.write_study(tmp_path, plain)
    assert quick("--config", path, "--quiet").code in (0, 1)
    assert modes(tmp_path / "run") <= {"drwx------", "-rw-------"}
    assert len(list((tmp_path / "run").iterdir())) > 8


@pytest.mark.parametrize(("umask", "mode"), [(0o022, "-rw-r--r--"), (0o077, "-rw-------")])
def test_what_is_exported_to_a_place_of_the_users_choice_follows_the_umask(
    amp_tune: Command, finished: Path, umask: int, mode: str
) -> None:
    before = os.umask(umask)
    try:
        path = finished / "setting.env"
        ended = amp_tune(
            "export", finished / "run", "--point", "knee", "--format", "env", "--output", path
        )
        assert ended.code == 0
    finally:
        os.umask(before)
    assert stat.filemode(path.stat().st_mode) == mode
