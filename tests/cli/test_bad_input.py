"""What the user gave is wrong: exit code 2 or 3, every problem at once, nothing written over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files
from tests.rewrite.bad_graphs import broken


@pytest.fixture
def write(small: Files, tmp_path: Path) -> Any:
    """Writes a study file with other values than the sound one; returns its path."""

    def study_file(**changes: Any) -> Path:
        plain = small_study.study(small.model, small.data, **changes)
        return small_study.write_study(tmp_path, plain)

    return study_file


def problems(text: str) -> list[str]:
    """The problems that were told, without the line that counts them."""
    head, *lines = text.splitlines()
    assert head == f"amp-tune: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
    return [line.strip() for line in lines]


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file with its time of change and its bytes, every folder with its time."""
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


def assert_no_study_in(folder: Path) -> None:
    """A tuner that found bad input leaves nothing but its lock and its scratch folder."""
    assert not folder.exists() or {path.name for path in folder.iterdir()} <= {"lock", "work"}


def test_everything_that_is_wrong_in_a_study_file_is_told_at_once(
    amp_tune: Command, write: Any, tmp_path: Path
) -> None:
    path = write(
        model={"path": "no/model"},
        target={"threads": {"intra_op": "2"}},
        data={"bach_size": 64},
        search={"time_budget": "-8h"},
    )
    ended = amp_tune("--config", path)
    assert ended.code == 2
    assert [problem.split(": ")[0] for problem in problems(ended.err)] == [
        "$.target.threads.intra_op",
        "$.data.bach_size",
        "$.search.time_budget",
        "$.model.path",
    ]
    assert "(did you mean batch_size?)" in ended.err
    assert f"no such file: {tmp_path}/no/model" in ended.err
    assert not (tmp_path / "run").exists()


def test_no_message_reaches_the_terminal_as_more_than_text(
    amp_tune: Command, write: Any, tmp_path: Path
) -> None:
    path = write(model={"path": "a\x1b[2Jb\nc"}, data={"a\x07b": 1})
    ended = amp_tune("--config", path)
    assert ended.code == 2
    assert len(problems(ended.err)) == 2
    assert ended.err.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--trials", 0, "$.search.trials: found 0; allowed: 1 or more"),
        ("--time-budget", "soon", "$.search.time_budget: found 'soon'; allowed: numbers with"),
    ],
)
def test_options_are_checked_like_the_file(
    amp_tune: Command, write: Any, option: str, value: Any, message: str
) -> None:
    ended = amp_tune("--config", write(), option, value)
    assert ended.code == 2
    assert message in ended.err


def test_fp16_for_a_runtime_that_has_none(amp_tune: Command, write: Any) -> None:
    target = {"runtime": "itex", "data_types": ["bfloat16", "float16"]}
    ended = amp_tune("--config", write(target=target))
    assert ended.code == 2
    assert "itex on cpu has no float16 pass; allowed: bfloat16" in ended.err


def test_an_unknown_option_is_bad_input_too(amp_tune: Command, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        amp_tune("--config", tmp_path / "study.yaml", "--trails", "3")


@pytest.mark.parametrize("python", ["/no/python", "bare"])
def test_an_interpreter_that_cannot_be_the_target(
    amp_tune: Command, write: Any, tmp_path: Path, python: str
) -> None:
    if python == "bare":
        command = [sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"]
        subprocess.run(command, check=True)
        python = str(tmp_path / "bare" / "bin" / "python")
    ended = amp_tune("--config", write(target={"python": python}))
    assert ended.code == 3
    assert python in ended.err
    assert "no such interpreter" in ended.err or "has no TensorFlow" in ended.err
    assert_no_study_in(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        (
            {"model": {"signature": "serve"}},
            ["small0/model: has no signature 'serve'; it has serving_default"],
        ),
        (
            {"data": {"inputs": {"keys": "kyes"}, "labels": "label"}},
            ["$.data.inputs.keys", "did you mean keys?", "$.data.labels", "did you mean labels?"],
        ),
        (
            {"search": {"op_types": ["GatherV3", "MatMul", "Placeholder"]}},
            [
                "$.search.op_types[0]: the graph has no op type 'GatherV3'",
                "(did you mean GatherV2?)",
                "$.search.op_types[2]: 'Placeholder' cannot be tuned",
            ],
        ),
        ({"data": {"batch_size": 4096}}, ["$.data.batch_size", "4096"]),
        ({"accuracy": {"output": "logits"}}, ["$.accuracy.output", "probability"]),
    ],
    ids=["signature", "names", "op types", "batch", "output"],
)
def test_what_does_not_fit_the_model_is_told_with_its_place(
    quick: Command, write: Any, tmp_path: Path, changes: dict[str, Any], messages: list[str]
) -> None:
    ended = quick("--config", write(**changes))
    assert ended.code == 2
    for message in messages:
        assert message in ended.err
    assert_no_study_in(tmp_path / "run")


def test_shapes_types_and_lengths_that_do_not_fit_are_told_at_once(
    quick: Command, write: Any, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, keys=np.full((600, 7), 0.5), labels=np.zeros(599))
    ended = quick("--config", write(data={"path": str(path)}))
    assert ended.code == 2
    told = "\n".join(problems(ended.err))
    assert "(600, 7)" in told or "[7]" in told
    assert "float64" in told
    assert "599" in told
    assert_no_study_in(tmp_path / "run")


def test_labels_that_the_metric_cannot_use(quick: Command, write: Any, tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    keys = np.zeros((600, 8), np.int32)
    np.savez(path, keys=keys, labels=np.linspace(0, 1, 600))
    accuracy = {"metric": "auc", "goal": "99%", "also": [], "threshold": None}
    ended = quick("--config", write(data={"path": str(path)}, accuracy=accuracy))
    assert ended.code == 2
    assert "$.data.labels" in ended.err
    assert_no_study_in(tmp_path / "run")


def test_a_metric_that_raises_is_quoted(quick: Command, write: Any, tmp_path: Path) -> None:
    code = "def score(outputs, labels, reference):\n    raise ValueError('no such class: 7')\n"
    (tmp_path / "broken_metric.py").write_text(code)
    accuracy = {
        "metric": "broken_metric:score",
        "direction": "maximize",
        "threshold": None,
        "also": [],
    }
    ended = quick("--config", write(accuracy=accuracy))
    assert ended.code == 2
    (problem,) = problems(ended.err)
    assert problem.startswith("$.accuracy.metric: broken_metric:score")
    assert "ValueError: no such class: 7" in problem


@pytest.mark.parametrize("verb", ["run", "check", "inspect"])
@pytest.mark.parametrize(
    ("name", "bytes_", "message"),
    [
        ("text.pb", b"this is a README, not a graph\n", "text.pb"),
        ("cut.pb", None, "cut.pb"),
    ],
)
def test_a_file_that_is_no_graph_is_one_clear_error(
    quick: Command,
    write: Any,
    small: Files,
    tmp_path: Path,
    verb: str,
    name: str,
    bytes_: bytes | None,
    message: str,
) -> None:
    path = tmp_path / name
    whole = (small.model / "saved_model.pb").read_bytes()
    path.write_bytes(bytes_ or whole[: len(whole) // 2])
    if verb == "inspect":
        ended = quick("inspect", path)
    else:
        ended = quick(verb, "--config", write(model={"path": str(path)}))
    assert ended.code == 2
    (problem,) = problems(ended.err)
    assert message in problem
    assert_no_study_in(tmp_path / "run")


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("unknown op", "(node 'Tanh3') is not known"),
        ("too many inputs", "{{node Tanh3}}"),
        ("too few inputs", "{{node Tanh3}}"),
        ("missing attribute", "{{node Tanh3}}"),
        ("dangling input", "node 'Tanh3' reads 'nobody'"),
        ("dangling port", "Node 'Tanh3'"),
        ("cycle", "'Relu2' reads 'Tanh3' reads 'Relu2'"),
        ("itself", "'Tanh3' reads 'Tanh3'"),
        ("duplicate name", "Node 'Tanh3' is not unique"),
        ("no UTF-8", r"node 5 is called b'\xff\xfe\xfd\xfc\xfb'"),
    ],
)
def test_a_broken_graph_is_refused_with_the_nodes_name_and_nothing_is_written(
    quick: Command, tmp_path: Path, fault: str, named: str
) -> None:
    path, output = tmp_path / "broken.pb", tmp_path / "written"
    data = broken(fault).SerializeToString()
    if fault == "no UTF-8":
        data = data.replace(b"Tanh3", b"\xff\xfe\xfd\xfc\xfb")
    path.write_bytes(data)
    words = ["--rules", "tf-cpu-bfloat16", "--log-path", tmp_path / "log"]
    ended = quick("rewrite", path, *words, "--output", output)
    assert ended.code == 2
    (problem,) = problems(ended.err)
    assert named in problem
    assert [entry.name for entry in tmp_path.iterdir()] == ["broken.pb"]


def test_a_folder_below_a_file_cannot_be_written(
    amp_tune: Command, write: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("precious")
    for output in (tmp_path / "file" / "run", Path("/proc/amp-tune")):
        ended = amp_tune("--config", write(), "--output", output)
        assert ended.code == 2
        (problem,) = problems(ended.err)
        assert problem.startswith(f"$.output: cannot write to {output}")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_with_other_files_is_left_alone(
    amp_tune: Command, write: Any, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("precious")
    before = content(tmp_path / "thesis")
    ended = amp_tune("--config", write(), "--output", tmp_path / "thesis")
    assert ended.code == 2
    assert "holds no study but other files (thesis.tex" in ended.err
    assert content(tmp_path / "thesis") == before


def test_another_studys_folder_is_left_as_it_is_and_every_difference_is_told(
    amp_tune: Command, finished: Path, write: Any
) -> None:
    before = content(finished / "run")
    other = write(
        target={"data_types": ["bfloat16"]}, accuracy={"goal": "99%"}, data={"batch_size": 32}
    )
    ended = amp_tune("--config", other, "--output", finished / "run")
    assert ended.code == 2
    told = problems(ended.err)
    assert [problem.split(": ")[0] for problem in told] == [
        "$.accuracy.goal",
        "$.data.batch_size",
        "$.target.data_types",
        "$.target.rules.float16",
        "$.output",
    ]
    assert "has '90%', this one '99%'" in told[0]
    assert "--fresh" in told[-1]
    assert content(finished / "run") == before


def test_another_batch_size_on_the_command_line_is_another_study(
    amp_tune: Command, quick: Command, finished: Path, write: Any
) -> None:
    before = content(finished / "run")
    words = ("--output", finished / "run", "--batch-size", 32)
    ended = amp_tune("--config", finished / "study.yaml", *words)
    assert ended.code == 2
    assert problems(ended.err)[0].startswith("$.data.batch_size")
    assert content(finished / "run") == before
    ended = quick("check", "--config", write(), "--batch-size", 4096)
    assert ended.code == 2
    assert "$.data.batch_size" in ended.err


def test_other_data_under_the_same_name_is_another_study(
    quick: Command, finished: Path, small: Files, tmp_path: Path
) -> None:
    before = content(finished / "run")
    with np.load(small.data) as arrays:
        np.savez(tmp_path / "data.npz", keys=arrays["keys"], labels=1 - arrays["labels"])
    plain = small_study.study(small.model, tmp_path / "data.npz")
    ended = quick("--config", small_study.write_study(finished, plain))
    assert ended.code == 2
    first, second = problems(ended.err)
    assert first.startswith("$.digests.data: the study in")
    assert "--fresh" in second

    def study(found: dict[Path, Any]) -> dict[Path, Any]:
        # The data had to be opened to know: the lock and the scratch folder were used.
        root = finished / "run"
        used = (root, root / "lock", root / "work")
        return {
            path: value
            for path, value in found.items()
            if path not in used and root / "work" not in path.parents
        }

    assert study(content(finished / "run")) == study(before)


def test_a_study_of_a_newer_version_is_refused(amp_tune: Command, finished: Path) -> None:
    path = finished / "run" / "study.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2', 1))
    ended = amp_tune("--config", finished / "study.yaml")
    assert ended.code == 2
    assert "format 2 is newer" in ended.err


@pytest.mark.parametrize(
    ("lists", "messages"),
    [
        (None, ["cannot be read"]),
        ("moves: {MatMul: alow}", ["MatMul", "alow", "did you mean allow?"]),
        ("moves: [MatMul]", ["moves"]),
        ("move: {MatMul: allow}", ["moves"]),
        ("moves: {MatMul: allow, MatMul: deny}", ["line 1", "MatMul"]),
        ("format: 99\nmoves: {}", ["99"]),
        ("moves: {'$(touch pwned)': allow}", ["found '$(touch pwned)'; allowed: op types"]),
        ('moves: {"a\\nb\\e[2J": allow}', [r"found 'a\nb\x1b[2J'; allowed: op types"]),
    ],
)
@pytest.mark.parametrize("verb", ["compare", "inspect", "rewrite"])
def test_a_wrong_lists_file_is_told_before_anything_starts(
    amp_tune: Command,
    write: Any,
    small: Files,
    tmp_path: Path,
    verb: str,
    lists: str | None,
    messages: list[str],
) -> None:
    path = tmp_path / "lists.yaml"
    if lists is not None:
        path.write_text(lists)
    rules = ["--rules", "tf-cpu-bfloat16"]
    words = {
        "compare": ["compare", "--config", write()],
        "inspect": ["inspect", small.model, *rules],
        "rewrite": ["rewrite", small.model, *rules, "--output", tmp_path / "baked"],
    }[verb]
    ended = amp_tune(*words, "--lists", path)
    assert ended.code == 2
    assert all(str(path) in problem for problem in problems(ended.err))
    for message in messages:
        assert message in ended.err
    assert not (tmp_path / "baked").exists()


@pytest.mark.parametrize("verb", ["compare", "inspect", "rewrite"])
def test_lists_with_an_op_type_that_the_graph_lacks(
    quick: Command, write: Any, small: Files, tmp_path: Path, verb: str
) -> None:
    path = tmp_path / "lists.yaml"
    path.write_text("moves: {MatMull: allow, GatherV2: allow, Sun: deny}")
    rules = ["--rules", "tf-cpu-bfloat16"]
    words = {
        "compare": ["compare", "--config", write()],
        "inspect": ["inspect", small.model, *rules],
        "rewrite": ["rewrite", small.model, *rules, "--output", tmp_path / "baked"],
    }[verb]
    ended = quick(*words, "--lists", path)
    assert ended.code == 2
    first, second = problems(ended.err)
    assert "the graph has no op type 'MatMull' (did you mean MatMul?)" in first
    assert "the graph has no op type 'Sun' (did you mean Sum?)" in second
    assert not (tmp_path / "baked").exists()


def test_a_rule_set_that_does_not_exist(amp_tune: Command, small: Files) -> None:
    ended = amp_tune("inspect", small.model, "--rules", "tf-cpu-bfloat61")
    assert ended.code == 2
    assert "did you mean tf-cpu-bfloat16?" in ended.err


def test_lists_for_another_data_type(amp_tune: Command, small: Files, tmp_path: Path) -> None:
    path = tmp_path / "lists.yaml"
    path.write_text("data_type: float16\nmoves: {Sum: allow}")
    ended = amp_tune("inspect", small.model, "--rules", "tf-cpu-bfloat16", "--lists", path)
    assert ended.code == 2
    assert "holds a setting for float16, but tf-cpu-bfloat16@" in ended.err


def test_rewrite_writes_over_nothing(amp_tune: Command, small: Files, tmp_path: Path) -> None:
    (tmp_path / "there.pb").write_text("precious")
    words = ["rewrite", small.model, "--rules", "tf-cpu-bfloat16", "--output"]
    ended = amp_tune(*words, tmp_path / "there.pb")
    assert ended.code == 2
    assert "exists; name a new path" in ended.err
    assert (tmp_path / "there.pb").read_text() == "precious"


def test_export_of_a_folder_without_a_study(amp_tune: Command, tmp_path: Path) -> None:
    ended = amp_tune("export", tmp_path, "--format", "env")
    assert ended.code == 2
    assert problems(ended.err) == [
        f"{tmp_path}: holds no finished study (no pareto/front.yaml)",
    ]


@pytest.mark.parametrize("point", ["999", "bets", "-1", "²"])
def test_export_of_a_point_that_is_not_there(amp_tune: Command, finished: Path, point: str) -> None:
    ended = amp_tune("export", finished / "run", f"--point={point}", "--format", "yaml")
    assert ended.code == 2
    (problem,) = problems(ended.err)
    assert problem.startswith(f"--point: found {point!r}; allowed: best, knee, fastest, safest")
    assert ended.out == ""


def test_export_of_a_model_that_has_changed_since(
    amp_tune: Command, finished: Path, small: Files, tmp_path: Path
) -> None:
    path = finished / "run" / "study.json"
    path.write_text(path.read_text().replace(str(small.model), str(small.data)))
    ended = amp_tune("export", finished / "run", "--format", "savedmodel")
    assert ended.code == 2
    assert "is not the model that was measured any more" in ended.err
    assert not (finished / "run" / "best").exists()


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_a_page_that_cannot_be_written_is_told(
    quick: Command, small: Files, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_text("precious")
    for path, message in (
        (tmp_path, f"{option}: {tmp_path} is a folder; name a file"),
        (tmp_path / "file" / "x", f"{option}: cannot write to {tmp_path / 'file' / 'x'}"),
    ):
        ended = quick("inspect", small.model, option, path)
        assert ended.code == 2
        assert problems(ended.err)[0].startswith(message)
    assert (tmp_path / "file").read_text() == "precious"


def test_an_export_that_cannot_be_written_is_told(
    amp_tune: Command, finished: Path, tmp_path: Path
) -> None:
    words = ["export", finished / "run", "--point", "knee", "--format", "env", "--output"]
    ended = amp_tune(*words, tmp_path)
    assert ended.code == 2
    assert problems(ended.err) == [f"--output: {tmp_path} is a folder; name a file"]
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    assert amp_tune(*words, tmp_path / "link").code == 0
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"
